// The objects are those that .NET would use: made here with the calls that it makes.
#include <holdfast/backends/system.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/semaphore.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

struct close_handle {
    void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};
using owned = std::unique_ptr<void, close_handle>;

std::string unique_name() {
    static int count = 0;
    return "sharing-" + std::to_string(::GetCurrentProcessId()) + "-" + std::to_string(++count);
}

std::wstring global(const std::string& name) {
    return L"Global\\" + std::wstring(name.begin(), name.end());
}

void expect_refused(errc wanted, const auto& call) {
    try {
        call();
        ADD_FAILURE() << "not refused";
    } catch (const error& refused) {
        EXPECT_EQ(refused.boost_code(), wanted) << refused.what();
    }
}

TEST(Sharing, OfALockWithAnEventOfDotNet) {
    const std::string name = unique_name();
    const owned theirs(::CreateEventW(nullptr, FALSE, TRUE, global(name).c_str()));
    ASSERT_TRUE(theirs);
    const lock mine = system::make_provider().make_lock(name);
    EXPECT_EQ(mine.mapped_name(), "Global\\" + name);

    ASSERT_EQ(::WaitForSingleObject(theirs.get(), 0), WAIT_OBJECT_0);
    EXPECT_FALSE(mine.try_acquire());
    ::SetEvent(theirs.get());
    lock_handle held = mine.acquire(5s);
    EXPECT_EQ(::WaitForSingleObject(theirs.get(), 0), DWORD{WAIT_TIMEOUT});
    held.release();
    EXPECT_EQ(::WaitForSingleObject(theirs.get(), 5000), WAIT_OBJECT_0);
}

TEST(Sharing, OfASemaphoreWithOneOfDotNet) {
    const std::string name = unique_name();
    const owned theirs(::CreateSemaphoreW(nullptr, 2, 2, global(name).c_str()));
    ASSERT_TRUE(theirs);
    const provider locks = system::make_provider();
    const semaphore mine = locks.make_semaphore(name, 2);
    EXPECT_EQ(mine.current_count(), 2);
    const lock_handle first = mine.acquire(5s);
    ASSERT_EQ(::WaitForSingleObject(theirs.get(), 0), WAIT_OBJECT_0);
    EXPECT_FALSE(mine.try_acquire());
    EXPECT_EQ(mine.current_count(), 0);
    ::ReleaseSemaphore(theirs.get(), 1, nullptr);
    EXPECT_TRUE(mine.acquire(5s));

    expect_refused(errc::invalid_argument, [&] { locks.make_semaphore(name, 3).acquire(0ms); });
    expect_refused(errc::invalid_name, [&] { locks.make_lock(name).acquire(0ms); });
}

TEST(Sharing, IsForEverybody) {
    const std::string name = unique_name();
    const lock_handle held = system::make_provider().make_lock(name).acquire(0ms);
    const owned seen(::OpenEventW(READ_CONTROL, FALSE, global(name).c_str()));
    ASSERT_TRUE(seen);
    PACL list = nullptr;
    PSECURITY_DESCRIPTOR descriptor = nullptr;
    ASSERT_EQ(::GetSecurityInfo(seen.get(), SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, &list,
                                nullptr, &descriptor),
              DWORD{ERROR_SUCCESS});
    ASSERT_TRUE(list != nullptr && list->AceCount == 1);
    void* entry = nullptr;
    ASSERT_TRUE(::GetAce(list, 0, &entry));
    const auto* const allowed = static_cast<ACCESS_ALLOWED_ACE*>(entry);
    EXPECT_EQ(allowed->Header.AceType, ACCESS_ALLOWED_ACE_TYPE);
    EXPECT_TRUE(allowed->Mask == EVENT_ALL_ACCESS || allowed->Mask == GENERIC_ALL) << std::hex << allowed->Mask;
    char* text = nullptr;
    ASSERT_TRUE(::ConvertSidToStringSidA(&const_cast<ACCESS_ALLOWED_ACE*>(allowed)->SidStart, &text));
    EXPECT_EQ(std::string(text), "S-1-1-0");
    ::LocalFree(text);
    ::LocalFree(descriptor);
}

TEST(Sharing, OfALongNameThatIsCutWithinAPair) {
    const std::string name =
        unique_name() + std::string(164 - unique_name().size(), 'x') + "\U0001F512" + std::string(120, 'y');
    const lock mine = system::make_provider().make_lock(name);
    const std::string mapped(mine.mapped_name());
    ASSERT_GT(mapped.size(), 88U);
    const std::string hash = mapped.substr(mapped.size() - 88);
    // As .NET cuts it: the first half of the pair stays.
    const std::wstring theirs = global(name.substr(0, 164)) + L'\xD83D' + std::wstring(hash.begin(), hash.end());
    const lock_handle held = mine.acquire(0ms);
    const owned seen(::OpenEventW(SYNCHRONIZE, FALSE, theirs.c_str()));
    EXPECT_TRUE(seen) << ::GetLastError();
}

TEST(Sharing, IsNotOffered) {
    expect_refused(errc::invalid_options, [] { system::make_provider({.scope = system::scope::user}); });
    expect_refused(errc::invalid_options, [] { system::make_provider({.directory = "C:\\x"}); });
    expect_refused(errc::invalid_options,
                   [] { system::make_provider({.abandonment_check = std::chrono::milliseconds(0)}); });
    expect_refused(errc::invalid_name, [] { system::make_provider().make_lock(std::string("a\0b", 3)); });
    const provider exact = system::make_provider({.exact_names = true});
    for (const char* bad : {"x", "global\\x", "Global\\", "Global\\a\\b"}) {
        expect_refused(errc::invalid_name, [&] { exact.make_lock(bad); });
    }
}

}  // namespace
}  // namespace holdfast
