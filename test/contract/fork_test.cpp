// Forks: what was made before one is refused in the child, which does the parent's holds no harm.
#include <contract/fixture.hpp>
#include <support/second_process.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

namespace holdfast::contract {
namespace {

using test::in_child;
using test::require;

/// For the child, where GoogleTest is not heard.
template <class Call>
void require_refused(const char* what, Call call) {
    try {
        call();
    } catch (const error& refused) {
        const std::string text = std::string(what) + ": " + refused.what();
        require(refused.boost_code() == errc::invalid_state, text);
        require(text.find("before a fork") != std::string::npos, text);
        return;
    }
    require(false, std::string(what) + " is not refused");
}

class forked : public contract_test {};

HOLDFAST_CONTRACT_SUITE(forked, {});

HOLDFAST_CONTRACT(forked, a_provider_makes_and_tells_nothing_in_the_child, covers()) {
    const std::string name = place().unique_name();
    // The backend's reasons, where it has no such lock or cannot tell, come second.
    EXPECT_EQ(in_child([&] {
                  require_refused("make_lock", [&] { (void)locks().make_lock(name); });
                  require_refused("make_reader_writer_lock", [&] { (void)locks().make_reader_writer_lock(name); });
                  require_refused("make_upgradeable_reader_writer_lock",
                                  [&] { (void)locks().make_upgradeable_reader_writer_lock(name); });
                  require_refused("make_semaphore", [&] { (void)locks().make_semaphore(name, 3); });
                  require_refused("list", [&] { (void)locks().list(); });
                  require_refused("examine", [&] { (void)locks().examine(); });
              }),
              "");
}

HOLDFAST_CONTRACT(forked, a_wait_for_a_loss_that_the_child_drops_is_not_told_there, covers()) {
    boost::asio::io_context user;
    // Of the user's own, which only the handler goes to.
    boost::asio::io_context handlers;
    const provider mine = place().make_provider({.executor = user.get_executor()});
    lock_handle held = mine.make_lock(place().unique_name()).acquire(seconds(5));
    int told = 0;
    held.async_wait_lost(boost::asio::bind_executor(handlers.get_executor(), [&told](error_code) { ++told; }));
    EXPECT_EQ(in_child([&] {
                  held = lock_handle();
                  handlers.poll();
                  require(told == 0, "the parent's handler was called in the child");
              }),
              "");
    held.release();
    handlers.run();
    EXPECT_EQ(told, 1);
}

class forked_shapes : public shaped_test {};

HOLDFAST_CONTRACT_SUITE(forked_shapes, {.shapes = single_shapes});

HOLDFAST_CONTRACT(forked_shapes, a_lock_of_the_parent_is_refused_in_the_child, covers()) {
    const target same = thing();
    EXPECT_EQ(in_child([&] {
                  for (const verb what : {verb::acquire, verb::try_acquire}) {
                      const request call{what, &same, nullptr, seconds(1)};
                      const outcome how = calls().run(call);
                      require(how.code == errc::invalid_state, how.code.message());
                      require(!how.handle, "it has the lock");
                  }
              }),
              "");
    EXPECT_TRUE(is_free(same));
}

HOLDFAST_CONTRACT(forked_shapes, a_watched_hold_that_the_child_drops_stays_the_parents, covers()) {
    const target same = thing();
    held first = take(same);
    const std::stop_token lost = first.lost_token();
    EXPECT_EQ(in_child([&] {
                  require(first.state() == held_state::unknown, "the child knows what has become of it");
                  first.drop();
              }),
              "");
    EXPECT_EQ(first.state(), held_state::held);
    EXPECT_TRUE(is_taken(same));
    EXPECT_FALSE(lost.stop_requested());
    give(first);
    EXPECT_TRUE(is_free(same));
}

HOLDFAST_CONTRACT(forked_shapes, a_hold_that_the_child_releases_stays_the_parents, covers()) {
    const target same = thing();
    held first = take(same);
    EXPECT_EQ(in_child([&] {
                  const outcome how = release(first);
                  require(how.code == errc::invalid_state, how.code.message());
              }),
              "");
    EXPECT_EQ(first.state(), held_state::held);
    EXPECT_TRUE(is_taken(same));
    give(first);
}

}  // namespace
}  // namespace holdfast::contract
