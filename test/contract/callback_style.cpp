// A plain function object as the completion token.
#include <contract/async_style.hpp>

namespace holdfast::contract {
namespace {

struct callback_launcher {
    template <class Result, class Initiate>
    static void launch(const std::shared_ptr<async_state>& state, const Initiate& initiate) {
        initiate(reporting_handler(state));
    }
};

}  // namespace

std::unique_ptr<call_style> make_callback_style() {
    return std::make_unique<async_style<callback_launcher>>(asio::cancellation_type::total);
}

}  // namespace holdfast::contract
