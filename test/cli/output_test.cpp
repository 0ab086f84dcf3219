// What holdfast writes where the command writes as well, and where perhaps nobody reads.
#include "cli/event_sink.hpp"
#include "cli/printable.hpp"
#include "cli/say.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <string>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

/// Where somebody else writes as soon as poll has told that there is room; -1: nobody does.
int flooded = -1;

/// Takes all the room there is, without a change to the open file.
void flood(int descriptor) noexcept {
    static const std::string much(4096, 'x');
    while (send(descriptor, much.data(), much.size(), MSG_DONTWAIT) >= 0) {
    }
    if (errno != ENOTSOCK) return;
    pollfd room{descriptor, POLLOUT, 0};
    const timespec now{};
    while (ppoll(&room, 1, &now, nullptr) == 1 && (room.revents & POLLOUT) != 0 &&
           write(descriptor, much.data(), much.size()) >= 0) {
    }
}

}  // namespace

/// Instead of the C library's.
extern "C" int poll(pollfd* fds, nfds_t nfds, int timeout) {
    const timespec limit{timeout / 1000, timeout % 1000 * 1'000'000L};
    const int found = ppoll(fds, nfds, timeout < 0 ? nullptr : &limit, nullptr);
    if (flooded >= 0) flood(flooded);
    return found;
}

namespace holdfast::cli {
namespace {

constexpr unsigned patience_s = 10;

class output_test : public testing::TestWithParam<bool> {
protected:
    output_test() {
        if (GetParam()) {
            EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
        } else {
            EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
        }
    }
    ~output_test() override {
        for (const int each : ends_) close(each);
    }

    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }

    /// In a process of its own, which has its own standard error and can be ended. @return its wait status
    template <class Body>
    static int apart(Body body) {
        const pid_t child = fork();
        if (child == 0) {
            // A standstill ends by this.
            alarm(patience_s);
            body();
            _exit(0);
        }
        int status = -1;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        return status;
    }

    std::string read_all() const {
        fcntl(reader(), F_SETFL, O_NONBLOCK);
        std::string all;
        std::array<char, 4096> part{};
        for (ssize_t size = 0; (size = read(reader(), part.data(), part.size())) > 0;) {
            all.append(part.data(), static_cast<std::size_t>(size));
        }
        return all;
    }

private:
    std::array<int, 2> ends_{};
};

TEST_P(output_test, a_message_does_not_wait_for_room_that_somebody_else_has_taken) {
    const int status = apart([this] {
        dup2(writer(), STDERR_FILENO);
        flooded = STDERR_FILENO;
        say("anything");
    });
    EXPECT_EQ(status, 0) << "by SIGALRM: it stood still";
}

TEST_P(output_test, an_event_does_not_wait_for_room_that_somebody_else_has_taken) {
    const int status = apart([this] {
        dup2(writer(), STDERR_FILENO);
        const auto sink = open_event_sink({STDERR_FILENO, false});
        flooded = STDERR_FILENO;
        sink->write("{}\n", 0);
        if (sink->take_lost() != 1) _exit(2);
    });
    EXPECT_EQ(status, 0);
}

TEST_P(output_test, a_line_beyond_what_fits_is_followed_by_nothing_until_it_is_whole) {
    const std::string large = std::string(300'000, 'a') + '\n';
    const int status = apart([&] {
        dup2(writer(), STDERR_FILENO);
        const auto sink = open_event_sink({STDERR_FILENO, false});
        sink->write(large, 0);
        sink->write("lost\n", 0);
        if (sink->take_lost() != 1) _exit(2);
        // Enough room for a short line, but the large one is not out.
        std::array<char, 65536> part{};
        if (read(reader(), part.data(), part.size()) <= 0) _exit(3);
        sink->write("lost too\n", 0);
        if (sink->take_lost() != 1) _exit(4);
    });
    EXPECT_EQ(status, 0);
    const std::string rest = read_all();
    EXPECT_EQ(rest, std::string(rest.size(), 'a'));
}

TEST_P(output_test, a_large_line_reaches_whoever_reads) {
    const std::string large = std::string(300'000, 'a') + '\n';
    std::string got;
    std::thread reading([&] {
        std::array<char, 65536> part{};
        while (got.size() < large.size() + 2) {
            const ssize_t size = read(reader(), part.data(), part.size());
            if (size <= 0) return;
            got.append(part.data(), static_cast<std::size_t>(size));
        }
    });
    // It closes the one that it is given.
    const auto sink = open_event_sink({dup(writer()), false});
    sink->write(large, 0);
    // What the first has left over is out before the next.
    for (std::int64_t told = 0; (sink->write("b\n", told), told = sink->take_lost()) > 0;) {
    }
    reading.join();
    EXPECT_EQ(got, large + "b\n");
}

TEST_P(output_test, others_find_their_descriptor_as_it_was) {
    const int status = apart([this] {
        dup2(writer(), STDERR_FILENO);
        say("one\ntwo\x1b\n");
        if ((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) != 0) _exit(2);
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(read_all(), "holdfast: one\ntwo?\n\n");
}

TEST(printable, leaves_text_as_it_is_and_nothing_else) {
    EXPECT_EQ(printable("plain, caf\u00e9, \u20ac, \U0001f512"), "plain, caf\u00e9, \u20ac, \U0001f512");
    EXPECT_EQ(printable("a\nb\x7f\u009fc"), "a?b??c");
    EXPECT_EQ(printable_lines("a\nb\r"), "a\nb?");
    EXPECT_EQ(printable("\xff \xc3( \xed\xa0\x80 \xe2\x82"), "? ?( ??? ??") << "no UTF-8";
}

INSTANTIATE_TEST_SUITE_P(kinds, output_test, testing::Bool(),
                         [](const auto& which) { return which.param ? "socket" : "pipe"; });

}  // namespace
}  // namespace holdfast::cli
