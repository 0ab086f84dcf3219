#include <backends/file/holder.hpp>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace holdfast {
inline namespace v0 {
namespace file {
namespace {

std::optional<file_place> place_of(const std::string& path) {
    struct statx about {};
    if (path.empty() || statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_MNT_ID, &about) != 0) return std::nullopt;
    file_place found{about.stx_dev_major, about.stx_dev_minor, about.stx_ino};
    // Btrfs has a device for each subvolume, and the kernel's list of locks that of the whole file system. (In which
    // several subvolumes may have a file of that number; it is a guess then.)
    struct statfs system {};
    if ((about.stx_mask & STATX_MNT_ID) != 0 && statfs(path.c_str(), &system) == 0 &&
        system.f_type == BTRFS_SUPER_MAGIC) {
        std::ifstream mounts("/proc/self/mountinfo");
        find_device(mounts, about.stx_mnt_id, found);
    }
    return found;
}

std::string start_of(const std::string& stat_line) {
    // Field 22 of proc(5), counted from the state, which follows the name in parentheses.
    std::istringstream fields(stat_line.substr(stat_line.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 22; ++field) fields >> skipped;
    unsigned long long ticks = 0;
    fields >> ticks;
    std::ifstream statistics("/proc/stat");
    std::string key;
    long long boot = 0;
    while (statistics >> key) {
        if (key == "btime") {
            statistics >> boot;
            break;
        }
    }
    const long ticks_per_second = sysconf(_SC_CLK_TCK);
    if (!fields || boot == 0 || ticks_per_second <= 0) return {};
    const auto start = static_cast<time_t>(boot + static_cast<long long>(ticks) / ticks_per_second);
    tm parts{};
    localtime_r(&start, &parts);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts));
}

/// The command line on one line, shortened; a program that has none is known by its name. Either is anything that the
/// holder wants it to be.
std::string shown_command(const std::string& directory, const std::string& name) {
    constexpr std::size_t longest = 80;
    std::ifstream file(directory + "/cmdline");
    std::string text;
    for (char c = 0; text.size() <= longest && file.get(c);) text += c;
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= 0x20) text.pop_back();
    if (text.size() > longest) text.replace(longest - 3, std::string::npos, "...");
    if (text.empty()) text = name;
    for (char& each : text) {
        if (static_cast<unsigned char>(each) < 0x20 || each == 0x7F) each = ' ';
    }
    return text;
}

}  // namespace

long find_holder(std::istream& locks, const file_place& file) {
    std::string line;
    while (std::getline(locks, line)) {
        // "2: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"; a waiter's line has "->" after the number.
        std::istringstream fields(line);
        std::string number;
        std::string type;
        std::string kind;
        std::string mode;
        long process = 0;
        std::string place;
        fields >> number >> type;
        if (type != "FLOCK") continue;
        fields >> kind >> mode >> process >> place;
        unsigned long device_major = 0;
        unsigned long device_minor = 0;
        unsigned long long inode = 0;
        if (std::sscanf(place.c_str(), "%lx:%lx:%llu", &device_major, &device_minor, &inode) != 3) continue;
        const bool is_here = device_major == file.device_major && device_minor == file.device_minor;
        if (is_here && inode == file.inode) return process;
    }
    return 0;
}

bool find_device(std::istream& mounts, unsigned long long mount, file_place& file) {
    std::string line;
    while (std::getline(mounts, line)) {
        // "36 35 0:27 / /home rw,noatime shared:1 - btrfs /dev/sda2 rw"
        unsigned long long number = 0;
        unsigned long device_major = 0;
        unsigned long device_minor = 0;
        const int read = std::sscanf(line.c_str(), "%llu %*u %lu:%lu", &number, &device_major, &device_minor);
        if (read != 3 || number != mount) continue;
        file.device_major = device_major;
        file.device_minor = device_minor;
        return true;
    }
    return false;
}

std::string describe_holder(const std::string& path) {
    const std::optional<file_place> place = place_of(path);
    if (!place) return {};
    std::ifstream locks("/proc/locks");
    const long process = find_holder(locks, *place);
    if (process <= 0) return {};
    const std::string holder = "process " + std::to_string(process);
    const std::string directory = "/proc/" + std::to_string(process);
    std::ifstream status(directory + "/stat");
    // All of it: the name may hold line ends.
    const std::string line{std::istreambuf_iterator<char>(status), {}};
    if (line.empty()) return holder + ", which has ended; a process that it started still has the file";
    const std::size_t name_begin = line.find('(') + 1;
    const std::string name = line.substr(name_begin, line.rfind(')') - name_begin);
    const std::string since = start_of(line);
    return holder + " (" + shown_command(directory, name) + ")" + (since.empty() ? "" : ", running since " + since);
}

}  // namespace file
}  // namespace v0
}  // namespace holdfast
