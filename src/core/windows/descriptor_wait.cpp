// No link has a descriptor here.
#include <core/descriptor_wait.hpp>

namespace holdfast {
inline namespace v0 {
namespace core {

std::shared_ptr<descriptor_wait> make_descriptor_wait(const boost::asio::any_io_executor&) {
    throw error(errc::unsupported, "links with descriptors are not built on Windows");
}

}  // namespace core
}  // namespace v0
}  // namespace holdfast
