#include <core/asio_timer.hpp>

#include <utility>

namespace holdfast {
inline namespace v0 {
namespace core {

std::shared_ptr<boottime_timer> boottime_timer::make(const boost::asio::any_io_executor& executor,
                                                     std::function<void()> work) {
    return std::make_shared<asio_timer>(executor, std::move(work));
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
