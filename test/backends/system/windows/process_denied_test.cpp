// Objects that access is denied to, for a moment or for good.
#include <backends/system/options.hpp>
#include <core/backend.hpp>
#include <core/key_table.hpp>

#include <holdfast/lock.hpp>
#include <holdfast/semaphore.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <windows.h>

#include <sddl.h>

namespace holdfast {
namespace {

using core::verdict;

struct local_free {
    void operator()(void* memory) const noexcept { ::LocalFree(memory); }
};
struct close_handle {
    void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};

std::unique_ptr<void, local_free> access_list(const wchar_t* text) {
    PSECURITY_DESCRIPTOR made = nullptr;
    EXPECT_TRUE(::ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &made, nullptr));
    return std::unique_ptr<void, local_free>(made);
}

constexpr const wchar_t* for_nobody = L"D:(D;;GA;;;WD)";
constexpr const wchar_t* for_everybody = L"D:(A;;GA;;;WD)";

/// An event or a semaphore of somebody who has not opened it to anybody yet, as .NET has for a moment.
class denied_object {
public:
    explicit denied_object(core::primitive_kind what) : name_(unique_name()), what_(what) {
        const auto list = access_list(for_nobody);
        SECURITY_ATTRIBUTES attributes{sizeof attributes, list.get(), FALSE};
        const std::wstring name = L"Global\\" + std::wstring(name_.begin(), name_.end());
        handle_.reset(what == core::primitive_kind::lock ? ::CreateEventW(&attributes, FALSE, TRUE, name.c_str())
                                                         : ::CreateSemaphoreW(&attributes, 1, 1, name.c_str()));
        EXPECT_TRUE(handle_);
    }

    const std::string& name() const noexcept { return name_; }
    core::claim claim() const {
        return {std::make_shared<const core::resource>(std::make_shared<core::key_table>()->use("Global\\" + name_),
                                                       what_, name_)};
    }
    void open_to_everybody() const {
        const auto list = access_list(for_everybody);
        EXPECT_TRUE(::SetKernelObjectSecurity(handle_.get(), DACL_SECURITY_INFORMATION, list.get()));
    }

private:
    static std::string unique_name() {
        static int count = 0;
        return "denied-" + std::to_string(::GetCurrentProcessId()) + "-" + std::to_string(++count);
    }

    const std::string name_;
    const core::primitive_kind what_;
    std::unique_ptr<void, close_handle> handle_;
};

struct no_notifier final : core::notifier {
    void notify(unsigned) noexcept override {}
};

class Denied : public testing::TestWithParam<core::primitive_kind> {
protected:
    core::progress ask() { return link_->start({core::verb::try_acquire, &claim_}, nobody_); }

    const denied_object object_{GetParam()};
    const core::claim claim_ = object_.claim();
    const std::shared_ptr<core::backend> backend_ = system::make_backend({});
    const core::backend_context context_;
    const std::unique_ptr<core::link> link_ = backend_->make_link(claim_, context_);
    no_notifier nobody_;
};

TEST_P(Denied, IsTriedAgainUntilItIsAllowed) {
    auto before = boottime::now();
    core::progress how = ask();
    // As long as .NET waits at most, the longer the more often it was denied.
    for (const int most : {9, 19}) {
        ASSERT_FALSE(how.done);
        EXPECT_GE(how.again_at, before);
        EXPECT_LE(how.again_at, boottime::now() + std::chrono::milliseconds(most));
        before = boottime::now();
        how = link_->advance();
    }
    ASSERT_FALSE(how.done);
    object_.open_to_everybody();
    EXPECT_TRUE(link_->advance().done);
    EXPECT_EQ(link_->last_reply().result, verdict::granted) << link_->last_reply().text;
}

TEST_P(Denied, IsAnErrorTheFourthTime) {
    core::progress how = ask();
    for (int tries = 1; tries < 4; ++tries) {
        ASSERT_FALSE(how.done);
        how = link_->advance();
    }
    ASSERT_TRUE(how.done);
    EXPECT_EQ(link_->last_reply().result, verdict::failed);
    EXPECT_EQ(link_->last_reply().code, errc::permission);
    EXPECT_EQ(link_->last_reply().native_code, int{ERROR_ACCESS_DENIED});
    // Another call begins to count anew.
    EXPECT_FALSE(ask().done);
}

TEST_P(Denied, TriesNoMoreForWhoHasGivenUp) {
    ASSERT_FALSE(ask().done);
    link_->request_cancel();
    EXPECT_TRUE(link_->advance().done);
    EXPECT_EQ(link_->last_reply().result, verdict::refused);
}

TEST_P(Denied, IsToldToTheCaller) {
    const provider locks = system::make_provider();
    error_code code;
    diagnostics diag;
    const bool is_lock = GetParam() == core::primitive_kind::lock;
    const lock_handle held =
        is_lock ? locks.make_lock(object_.name()).acquire(timeout::infinite(), {}, code, &diag)
                : locks.make_semaphore(object_.name(), 1).acquire(timeout::infinite(), {}, code, &diag);
    EXPECT_FALSE(held);
    EXPECT_EQ(code, errc::permission) << code.message();
    EXPECT_EQ(diag.native_code, int{ERROR_ACCESS_DENIED});
}

INSTANTIATE_TEST_SUITE_P(kinds, Denied, testing::Values(core::primitive_kind::lock, core::primitive_kind::semaphore),
                         [](const auto& param) {
                             return std::string(param.param == core::primitive_kind::lock ? "event" : "semaphore");
                         });

}  // namespace
}  // namespace holdfast
