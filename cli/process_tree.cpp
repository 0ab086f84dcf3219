#include "process_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

struct process_entry {
    pid_t id = 0;
    pid_t parent = 0;
    pid_t group = 0;
    /// With the id, this names a process for good.
    unsigned long long start_time = 0;
    char state = '?';
};

/// The table of all processes, in memory taken straight from the kernel.
class process_table {
public:
    process_table() = default;
    process_table(const process_table&) = delete;
    process_table& operator=(const process_table&) = delete;
    ~process_table() {
        if (entries_ != nullptr) munmap(entries_, capacity_ * sizeof(process_entry));
    }

    bool append(const process_entry& entry) noexcept {
        if (size_ == capacity_ && !grow()) return false;
        entries_[size_++] = entry;
        return true;
    }
    process_entry* begin() noexcept { return entries_; }
    process_entry* end() noexcept { return entries_ + size_; }

private:
    bool grow() noexcept {
        const std::size_t wanted = capacity_ == 0 ? 1024 : capacity_ * 2;
        void* memory = entries_ == nullptr ? mmap(nullptr, wanted * sizeof(process_entry), PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                           : mremap(entries_, capacity_ * sizeof(process_entry),
                                                    wanted * sizeof(process_entry), MREMAP_MAYMOVE);
        if (memory == MAP_FAILED) return false;
        entries_ = static_cast<process_entry*>(memory);
        capacity_ = wanted;
        return true;
    }

    process_entry* entries_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// "/proc/<id>/stat" without snprintf, which may allocate.
void write_stat_path(char* path, pid_t id) noexcept {
    char digits[16];
    int count = 0;
    for (auto rest = static_cast<unsigned>(id); rest != 0 || count == 0; rest /= 10) {
        digits[count++] = static_cast<char>('0' + rest % 10);
    }
    std::memcpy(path, "/proc/", 6);
    path += 6;
    while (count > 0) *path++ = digits[--count];
    for (const char c : std::string_view("/stat")) *path++ = c;
    *path = '\0';
}

bool read_entry(pid_t id, process_entry& entry) noexcept {
    char path[32];
    write_stat_path(path, id);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char text[1024];
    const ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return false;
    text[length] = '\0';
    // The program's name stands in parentheses and may hold anything, parentheses included.
    const char* at = std::strrchr(text, ')');
    if (at == nullptr || at[1] == '\0' || at[2] == '\0') return false;
    entry = {};
    entry.id = id;
    entry.state = at[2];
    char* next = text + (at - text) + 3;
    entry.parent = static_cast<pid_t>(std::strtol(next, &next, 10));
    entry.group = static_cast<pid_t>(std::strtol(next, &next, 10));
    // Fields 6 to 21 of proc(5) stand between the group and the start time.
    for (int field = 6; field <= 21; ++field) std::strtoll(next, &next, 10);
    entry.start_time = std::strtoull(next, &next, 10);
    return true;
}

/// Calls @p visit with the id of every process; false where /proc cannot be read.
template <class Visit>
bool for_each_process(Visit visit) noexcept {
    struct directory_entry {
        unsigned long long inode;
        long long offset;
        unsigned short length;
        unsigned char type;
        char name[1];
    };
    const int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return false;
    alignas(directory_entry) char buffer[16384];
    bool any = false;
    for (;;) {
        const long length = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
        if (length <= 0) break;
        for (long at = 0; at < length;) {
            directory_entry head;
            std::memcpy(&head, buffer + at, sizeof head);
            const char* name = buffer + at + offsetof(directory_entry, name);
            if (*name >= '1' && *name <= '9') {
                any = true;
                visit(static_cast<pid_t>(std::strtol(name, nullptr, 10)));
            }
            at += head.length;
        }
    }
    close(directory);
    return any;
}

/// Signals the process that @p entry was read from, and no later one that got the same id.
void signal_process(const process_entry& entry, int signal) noexcept {
    const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, entry.id, 0));
    if (descriptor < 0) {
        if (errno != ESRCH) kill(entry.id, signal);
        return;
    }
    process_entry again;
    if (read_entry(entry.id, again) && again.start_time == entry.start_time) {
        syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0);
    }
    close(descriptor);
}

/// What this process was started with.
process_table& spared() noexcept {
    static process_table all;
    return all;
}

/// What started before is spared, too.
unsigned long long& spared_before() noexcept {
    static unsigned long long start_time = 0;
    return start_time;
}

bool is_spared(const process_entry& entry) noexcept {
    if (entry.start_time < spared_before()) return true;
    return std::any_of(spared().begin(), spared().end(), [&entry](const process_entry& each) {
        return each.id == entry.id && each.start_time == entry.start_time;
    });
}

/// Reads all processes, and gathers our descendants at the table's front. @return their end; null: /proc is unreadable
process_entry* gather_descendants(process_table& table) noexcept {
    const bool readable = for_each_process([&](pid_t id) {
        process_entry entry;
        if (read_entry(id, entry)) table.append(entry);
    });
    if (!readable) return nullptr;
    const pid_t self = getpid();
    process_entry* ours_end = table.begin();
    for (bool grown = true; grown;) {
        grown = false;
        for (process_entry* entry = ours_end; entry != table.end(); ++entry) {
            const auto is_parent = [entry](const process_entry& other) { return other.id == entry->parent; };
            const bool is_child = entry->parent == self && !is_spared(*entry);
            if (!is_child && std::none_of(table.begin(), ours_end, is_parent)) continue;
            std::swap(*entry, *ours_end++);
            grown = true;
        }
    }
    return ours_end;
}

}  // namespace

void spare_present_children() noexcept {
    // Nearly nobody has any, and to know that costs no look at all processes.
    siginfo_t any{};
    if (waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return;
    const pid_t self = getpid();
    for_each_process([self](pid_t id) {
        process_entry entry;
        if (read_entry(id, entry) && entry.parent == self) spared().append(entry);
    });
}

void spare_what_is_older_than(pid_t process) noexcept {
    process_entry entry;
    if (spared().begin() != spared().end() && read_entry(process, entry)) spared_before() = entry.start_time;
}

void adopt_orphans() noexcept {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

bool signal_descendants(int signal, const descendant_filter& filter) noexcept {
    process_table table;
    process_entry* const ours_end = gather_descendants(table);
    if (ours_end == nullptr) return false;
    for (const process_entry* entry = table.begin(); entry != ours_end; ++entry) {
        if (entry->state == 'Z' || entry->state == 'X') continue;
        if (filter.except_group != 0 && entry->group == filter.except_group) continue;
        if (filter.only_group != 0 && entry->group != filter.only_group) continue;
        signal_process(*entry, signal);
    }
    return true;
}

bool is_descendant(pid_t process) noexcept {
    const pid_t self = getpid();
    process_entry entry;
    while (process > 1 && read_entry(process, entry)) {
        if (entry.parent == self) return true;
        process = entry.parent;
    }
    return false;
}

void end_all_descendants(int signal_descriptor) noexcept {
    int pause = 2;
    const bool has_others = spared().begin() != spared().end();
    int empty_looks = 0;
    for (;;) {
        signal_descendants(SIGKILL);
        int status = 0;
        pid_t gone = 0;
        do {
            gone = waitpid(-1, &status, WNOHANG | __WALL);
        } while (gone > 0);
        if (gone < 0 && errno == ECHILD) return;
        if (has_others) {
            // wait() will not say ECHILD. What is forked during one look is seen by the next.
            process_table table;
            process_entry* const end = gather_descendants(table);
            empty_looks = end == table.begin() ? empty_looks + 1 : 0;
            if (end != nullptr && empty_looks > 1) return;
        }
        // Woken by each end; the pause is for what was forked while we looked.
        pollfd waiting{signal_descriptor, POLLIN, 0};
        if (poll(&waiting, 1, pause) > 0) {
            signalfd_siginfo dropped[8];
            while (read(signal_descriptor, dropped, sizeof dropped) > 0) {
            }
        }
        if (pause < 100) pause *= 2;
    }
}

}  // namespace holdfast::cli
