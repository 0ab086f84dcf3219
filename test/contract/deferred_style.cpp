// An operation that is made now and started later, somewhere else.
#include <contract/async_style.hpp>

#include <boost/asio/deferred.hpp>

namespace holdfast::contract {
namespace {

struct deferred_launcher {
    template <class Result, class Initiate>
    static void launch(const std::shared_ptr<async_state>& state, const Initiate& initiate) {
        auto made = initiate(asio::deferred);
        auto later = std::move(made);
        std::move(later)(reporting_handler(state));
    }
};

}  // namespace

std::unique_ptr<call_style> make_deferred_style() {
    return std::make_unique<async_style<deferred_launcher>>(asio::cancellation_type::partial);
}

}  // namespace holdfast::contract
