#include <holdfast/error.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace {

const char* text_of(errc code) noexcept {
    switch (code) {
        case errc::timed_out: return "the timeout ended before the lock could be acquired";
        case errc::cancelled: return "the operation was cancelled";
        case errc::lost: return "the lock was lost";
        case errc::in_doubt: return "the outcome is in doubt: a reply was lost";
        case errc::deadlock: return "the server reported a deadlock";
        case errc::not_held: return "the lock is not held";
        case errc::invalid_name: return "the name cannot be used";
        case errc::invalid_options: return "the options are not usable";
        case errc::invalid_argument: return "an argument is out of range";
        case errc::invalid_state: return "the object is not in a state for this";
        case errc::unavailable: return "the backend is unavailable";
        case errc::protocol: return "the other side broke the protocol";
        case errc::permission: return "access was refused";
        case errc::unsupported: return "not supported here";
    }
    return "unknown holdfast error";
}

class category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "holdfast"; }
    std::string message(int value) const override { return text_of(static_cast<errc>(value)); }
    boost::system::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
            case errc::timed_out: return boost::system::errc::timed_out;
            case errc::cancelled: return boost::system::errc::operation_canceled;
            case errc::deadlock: return boost::system::errc::resource_deadlock_would_occur;
            case errc::invalid_argument: return boost::system::errc::invalid_argument;
            case errc::permission: return boost::system::errc::permission_denied;
            case errc::unsupported: return boost::system::errc::not_supported;
            default: return boost::system::error_condition(value, *this);
        }
    }
};

std::string describe(const diagnostics& diag) {
    std::string text;
    if (!diag.backend.empty()) text += diag.backend;
    if (!diag.lock_name.empty()) {
        if (!text.empty()) text += ' ';
        text += "lock '" + diag.lock_name + "'";
    }
    if (!diag.message.empty()) {
        if (!text.empty()) text += ": ";
        text += diag.message;
    }
    return text;
}

diagnostics with_message(std::string message) {
    diagnostics diag;
    diag.message = std::move(message);
    return diag;
}

}  // namespace

const boost::system::error_category& holdfast_category() noexcept {
    static const category instance;
    return instance;
}

error::error(error_code code, diagnostics diag)
    : std::system_error(code, describe(diag)), code_(code), diag_(std::move(diag)) {}

error::error(errc code, std::string message) : error(make_error_code(code), with_message(std::move(message))) {}

bool error::is_transient() const noexcept {
    return code_ == errc::timed_out || code_ == errc::deadlock || code_ == errc::unavailable || code_ == errc::in_doubt;
}

void throw_if(const error_code& code, const diagnostics& diag) {
    if (code) throw error(code, diag);
}

}  // namespace v0
}  // namespace holdfast
