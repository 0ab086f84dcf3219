// Who holds a lock file, as the kernel's lists tell it.
#include <backends/file/holder.hpp>

#include <gtest/gtest.h>

#include <sstream>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

TEST(holder_test, the_holder_is_found_by_device_and_inode) {
    std::istringstream locks(
        "1: POSIX  ADVISORY  WRITE 100 00:1b:257 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 101 00:1c:257 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 102 00:1b:258 0 EOF\n"
        "4: FLOCK  ADVISORY  WRITE 103 00:1b:257 0 EOF\n"
        "4: -> FLOCK  ADVISORY  WRITE 104 00:1b:257 0 EOF\n");
    EXPECT_EQ(find_holder(locks, {0, 0x1b, 257}), 103);
    std::istringstream none("4: -> FLOCK  ADVISORY  WRITE 104 00:1b:257 0 EOF\n");
    EXPECT_EQ(find_holder(none, {0, 0x1b, 257}), 0);
}

/// On Btrfs stat(2) tells the subvolume's device, which is not in the list of locks.
TEST(holder_test, the_device_of_a_whole_file_system_is_its_mounts) {
    const char* const mounts =
        "36 35 0:27 /home /home rw,noatime shared:1 - btrfs /dev/sda2 rw,subvol=/home\n"
        "136 35 8:1 / /boot rw - ext4 /dev/sda1 rw\n";
    file_place place{0, 0x2f, 257};
    std::istringstream first(mounts);
    EXPECT_TRUE(find_device(first, 36, place));
    EXPECT_EQ(place.device_major, 0U);
    EXPECT_EQ(place.device_minor, 27U);
    EXPECT_EQ(place.inode, 257U);
    std::istringstream second(mounts);
    EXPECT_TRUE(find_device(second, 136, place));
    EXPECT_EQ(place.device_major, 8U);
    std::istringstream third(mounts);
    EXPECT_FALSE(find_device(third, 3, place));
    std::istringstream locks("4: FLOCK  ADVISORY  WRITE 103 00:1b:257 0 EOF\n");
    EXPECT_EQ(find_holder(locks, {0, 27, 257}), 103);
}

}  // namespace
}  // namespace file
}  // namespace v0
}  // namespace holdfast
