#include <contract/async_style.hpp>

#include <boost/asio/post.hpp>

#include <future>

namespace holdfast::contract {

user_thread::user_thread() : thread_([this] { context_.run(); }) {}

user_thread::~user_thread() {
    work_.reset();
    thread_.join();
}

void user_thread::catch_up() {
    std::promise<void> reached;
    asio::post(context_, [&reached] { reached.set_value(); });
    reached.get_future().wait();
}

void async_state::cancel() {
    asio::post(executor_, [self = shared_from_this()] { self->signal_.emit(self->type_); });
}

void async_state::report(outcome how) {
    if (takes_diagnostics) {
        how.diag = diag;
        expect_cleared(how, refused);
    }
    finish(std::move(how));
}

}  // namespace holdfast::contract
