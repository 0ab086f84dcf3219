// Never two at once: processes with and without Holdfast pass through one section in shared memory.
//
// HOLDFAST_OVERLAP_TOTAL says how often in all; the long test asks for 100,000 for each of four.
#include "process/foreign_lockers.hpp"
#include "process/overlap_section.hpp"
#include "support/file_waiters.hpp"
#include "support/second_process.hpp"

#include <gtest/gtest.h>

#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>
#include <random>

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

std::uint64_t total_wanted() {
    const char* const text = std::getenv("HOLDFAST_OVERLAP_TOTAL");  // NOLINT(concurrency-mt-unsafe)
    return text == nullptr ? 5'000 : std::strtoull(text, nullptr, 10);
}

std::chrono::seconds time_limit(std::uint64_t total) {
    return 40s + std::chrono::seconds(total / 500);
}

/// Takes the lock again and again in one process; made after the fork, as Holdfast asks.
using participant = std::function<void(overlap_section&, int who)>;

void run(const char* what, const std::vector<std::pair<const char*, participant>>& all) {
    const std::uint64_t wanted = total_wanted();
    // A short run may be over before the scheduler has been round often.
    const std::uint64_t least_entries = wanted < 100'000 ? 1 : wanted / 1000;
    const temporary_directory directory;
    overlap_section& section = overlap_section::map((directory / "section").c_str());
    section.wanted = wanted;
    const auto began = std::chrono::steady_clock::now();
    {
        const watchdog bounded(what, time_limit(wanted) + 10s);
        std::vector<std::unique_ptr<forked_child>> children;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const int who = static_cast<int>(i) + 1;
            children.push_back(std::make_unique<forked_child>(
                [&, i, who] {
                    section.begin(static_cast<int>(all.size()));
                    all[i].second(section, who);
                },
                time_limit(wanted)));
        }
        for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(children[i]->result(), "") << all[i].first;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const std::uint64_t total = section.total;
    std::printf("    %s: %llu in %.1f s, %llu overlaps;", what, static_cast<unsigned long long>(total), took.count(),
                static_cast<unsigned long long>(section.overlaps.load()));
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::uint64_t entries = section.entries[i + 1];
        std::printf(" %s %.2f %%", all[i].first, 100.0 * static_cast<double>(entries) / static_cast<double>(total));
        EXPECT_GE(entries, least_entries) << all[i].first << " hardly ever had it";
    }
    std::printf("\n");
    EXPECT_GE(total, wanted);
    EXPECT_EQ(section.overlaps, 0U);
    EXPECT_EQ(section.unprotected, total);
    ::munmap(&section, sizeof section);
}

using make_lock = std::function<lock()>;

participant blocking(make_lock make) {
    return [make](overlap_section& section, int who) {
        const lock mine = make();
        while (!section.is_over()) {
            auto held = mine.acquire();
            section.pass(who);
            held.release();
            section.rest();
        }
    };
}

/// Waits that can be interrupted, half of them with a timeout that is often too short.
participant impatient(make_lock make) {
    return [make](overlap_section& section, int who) {
        const lock mine = make();
        std::minstd_rand random(static_cast<unsigned>(who));
        std::stop_source never_stopped;
        while (!section.is_over()) {
            const timeout limit = random() % 2 == 0 ? timeout(std::chrono::milliseconds(random() % 3)) : 10s;
            auto held = mine.try_acquire(limit, never_stopped.get_token());
            if (held) section.pass(who);
            held.reset();
            section.rest();
        }
    };
}

/// One waiter after another on an executor, each handing the lock back in its handler.
class async_loop : public std::enable_shared_from_this<async_loop> {
public:
    async_loop(lock mine, overlap_section& section, int who) : lock_(std::move(mine)), section_(section), who_(who) {}

    void next() {
        if (section_.is_over()) return;
        lock_.async_acquire(timeout::infinite(), [self = shared_from_this()](error_code code, lock_handle held) {
            if (code) throw error(code);
            self->section_.pass(self->who_);
            held.async_release([self](error_code failed) {
                if (failed) throw error(failed);
                self->section_.rest();
                self->next();
            });
        });
    }

private:
    const lock lock_;
    overlap_section& section_;
    const int who_;
};

participant asynchronous(std::function<lock(const provider_settings&)> make) {
    return [make](overlap_section& section, int who) {
        boost::asio::io_context context(1);
        provider_settings settings;
        settings.executor = context.get_executor();
        std::make_shared<async_loop>(make(settings), section, who)->next();
        context.run();
    };
}

std::function<lock(const provider_settings&)> in(const std::string& directory, bool keep) {
    return [directory, keep](const provider_settings& settings) {
        file::options options;
        options.directory = directory;
        options.keep_files = keep;
        return file::make_provider(options, settings).make_lock("shared");
    };
}

std::function<lock(const provider_settings&)> at(const std::string& path) {
    return [path](const provider_settings& settings) {
        file::options options;
        options.exact_paths = true;
        return file::make_provider(options, settings).make_lock(path);
    };
}

make_lock with_defaults(std::function<lock(const provider_settings&)> make) {
    return [make] { return make({}); };
}

std::string path_in(const std::string& directory) {
    return std::string(in(directory, true)({}).mapped_name());
}

participant foreign_closing(const std::string& path) {
    return [path](overlap_section& section, int who) {
        while (!section.is_over()) {
            const int file = foreign_lock(path.c_str(), true);
            section.pass(who);
            foreign_unlock_and_close(file);
            section.rest();
        }
    };
}

/// Keeps its descriptor, so that its unlocking makes no event.
participant foreign_keeping(const std::string& path) {
    return [path](overlap_section& section, int who) {
        const int file = ::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
        while (!section.is_over()) {
            require(::flock(file, LOCK_EX) == 0, "flock");
            section.pass(who);
            ::flock(file, LOCK_UN);
            section.rest();
        }
    };
}

/// .NET, with its sleeps of 50 to 1000 ms made shorter.
participant foreign_dotnet(const std::string& path) {
    return [path](overlap_section& section, int who) {
        std::minstd_rand random(static_cast<unsigned>(who));
        while (!section.is_over()) {
            const int file = foreign_lock(path.c_str(), false);
            if (file >= 0) {
                section.pass(who);
                foreign_unlock_as_dotnet(path.c_str(), file);
                section.rest();
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
            }
        }
    };
}

TEST(NeverTwoAtOnce, WithKeptFilesAndForeignersWhoCloseOrKeepThem) {
    const temporary_directory directory;
    const auto make = in(directory.path(), true);
    const std::string path = path_in(directory.path());
    run("kept, blocking and async", {{"blocking", blocking(with_defaults(make))},
                                     {"async", asynchronous(make)},
                                     {"closing C", foreign_closing(path)},
                                     {"keeping C", foreign_keeping(path)}});
    run("kept, impatient and blocking", {{"impatient", impatient(with_defaults(make))},
                                         {"blocking", blocking(with_defaults(make))},
                                         {"closing C", foreign_closing(path)},
                                         {"keeping C", foreign_keeping(path)}});
}

TEST(NeverTwoAtOnce, WithDeletedFilesAndTheOrderOfDotNet) {
    const temporary_directory directory;
    const auto make = in(directory.path(), false);
    const std::string path = path_in(directory.path());
    run("deleted, sync and async", {{"blocking", blocking(with_defaults(make))},
                                    {"impatient", impatient(with_defaults(make))},
                                    {"async", asynchronous(make)},
                                    {".NET's order", foreign_dotnet(path)}});
}

/// Some keep the file and some delete it, as two programs with different options would.
TEST(NeverTwoAtOnce, WithFilesThatSomeKeepAndSomeDelete) {
    const temporary_directory directory;
    const std::string path = path_in(directory.path());
    run("some keep and some delete", {{"keeping", blocking(with_defaults(in(directory.path(), true)))},
                                      {"deleting", blocking(with_defaults(in(directory.path(), false)))},
                                      {"keeping async", asynchronous(in(directory.path(), true))},
                                      {".NET's order", foreign_dotnet(path)}});
}

/// Runs flock(1), which runs a program that passes through the section.
participant flock_command(const std::string& path, const std::string& section_file, std::uint64_t rounds) {
    return [path, section_file, rounds](overlap_section&, int who) {
        const std::string program = helper_program("LOCK_SECTION");
        for (std::uint64_t round = 0; round < rounds; ++round) {
            second_process command({"flock", path, program, section_file, std::to_string(who)});
            require(command.wait() == 0, "flock(1) failed");
        }
    };
}

TEST(NeverTwoAtOnce, WithTheFlockCommandOnAnExactPath) {
    const temporary_directory directory;
    const std::string path = directory / "user.txt";
    const std::string section_file = directory / "section";
    const std::uint64_t rounds = total_wanted() / 50;
    overlap_section& section = overlap_section::map(section_file.c_str());
    section.wanted = ~std::uint64_t{0};
    {
        const watchdog bounded("flock(1)", 400s);
        forked_child command([&] { flock_command(path, section_file, rounds)(section, 1); }, 300s);
        forked_child first([&] { blocking(with_defaults(at(path)))(section, 2); }, 300s);
        forked_child second([&] { asynchronous(at(path))(section, 3); }, 300s);
        EXPECT_EQ(command.result(), "");
        section.wanted = 0;
        EXPECT_EQ(first.result(), "");
        EXPECT_EQ(second.result(), "");
    }
    std::printf("    flock(1): %llu rounds beside %llu of ours, %llu overlaps\n",
                static_cast<unsigned long long>(section.entries[1].load()),
                static_cast<unsigned long long>(section.entries[2]) + section.entries[3],
                static_cast<unsigned long long>(section.overlaps.load()));
    EXPECT_EQ(section.entries[1], rounds);
    EXPECT_GT(section.entries[2], 0U);
    EXPECT_GT(section.entries[3], 0U);
    EXPECT_EQ(section.overlaps, 0U);
    EXPECT_EQ(section.unprotected, section.total);
    EXPECT_TRUE(std::filesystem::exists(path));
    ::munmap(&section, sizeof section);
}

}  // namespace
}  // namespace holdfast::test
