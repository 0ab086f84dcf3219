// Holdfast: a completion handler without its type, so that asynchronous operations are compiled once.
#ifndef HOLDFAST_DETAIL_COMPLETION_HPP
#define HOLDFAST_DETAIL_COMPLETION_HPP

#include <holdfast/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace holdfast {
inline namespace v0 {
namespace detail {

/// What a cancellation slot reaches: an operation that may be over already.
class HOLDFAST_API cancellable {
public:
    virtual ~cancellable();
    virtual void cancel() noexcept = 0;
};

/// How a handler gets to its executor.
enum class delivery {
    /// Always later: in an initiating function, or where a handler's time is not ours to spend.
    post,
    /// From within, by a handler of the fallback executor that locks nothing, where the handler has no other executor:
    /// what is to run elsewhere must not be kept here, whatever a `dispatch` there would do.
    dispatch
};

/// @brief A handler of signature `void(error_code, Result)`, to be called once, from any thread.
template <class Result>
class completion {
public:
    completion() = default;
    completion(const completion&) = delete;
    completion& operator=(const completion&) = delete;
    virtual ~completion() = default;

    /// Gives the handler to its executor, which may be after this object's end.
    virtual void complete(error_code code, Result result, delivery how = delivery::post) = 0;
    /// Lets the handler's cancellation slot, if it has one, cancel @p target.
    virtual void connect(std::weak_ptr<cancellable> target) = 0;
};

/// For operations whose handler takes only an error code.
struct no_result {};

/** What keeps an executor from running out of work for as long as it lives.

    Not always an executor_work_guard: that of Boost 1.81 takes a strand of an `any_io_executor` for an executor of the
    old kind, and does not compile with it.
*/
template <class Executor>
auto track_work(const Executor& executor) {
    if constexpr (boost::asio::execution::is_executor<Executor>::value) {
        return boost::asio::prefer(executor, boost::asio::execution::outstanding_work_t::tracked);
    } else {
        return boost::asio::executor_work_guard<Executor>(executor);
    }
}

/// The call of a handler, on its executor. Asio takes the memory to bring it there from the handler's own allocator.
template <class Result, class Handler>
struct completion_call {
    using allocator_type = boost::asio::associated_allocator_t<Handler>;

    Handler handler;
    bool connected;
    error_code code;
    Result result;

    allocator_type get_allocator() const noexcept { return boost::asio::get_associated_allocator(handler); }

    void operator()() {
        // Emptied here, on the handler's executor, because a slot may only be touched there.
        if (connected) boost::asio::get_associated_cancellation_slot(handler).clear();
        if constexpr (std::is_same_v<Result, no_result>) {
            std::move(handler)(code);
        } else {
            std::move(handler)(code, std::move(result));
        }
    }
};

template <class Result, class Handler>
class completion_of final : public completion<Result> {
    using executor_type = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;

public:
    completion_of(Handler handler, const boost::asio::any_io_executor& fallback)
        : executor_(boost::asio::get_associated_executor(handler, fallback)),
          work_(track_work(executor_)),
          handler_(std::move(handler)) {
        if constexpr (std::is_same_v<executor_type, boost::asio::any_io_executor>) here_ = executor_ == fallback;
    }

    void complete(error_code code, Result result, delivery how) override {
        completion_call<Result, Handler> call{std::move(handler_), connected_, code, std::move(result)};
        if (how == delivery::dispatch && here_) {
            boost::asio::dispatch(executor_, std::move(call));
        } else {
            boost::asio::post(executor_, std::move(call));
        }
        work_.reset();
    }

    void connect(std::weak_ptr<cancellable> target) override {
        auto slot = boost::asio::get_associated_cancellation_slot(handler_);
        if (!slot.is_connected()) return;
        connected_ = true;
        slot.assign([target = std::move(target)](boost::asio::cancellation_type type) {
            if (type == boost::asio::cancellation_type::none) return;
            if (auto operation = target.lock()) operation->cancel();
        });
    }

private:
    executor_type executor_;
    std::optional<decltype(track_work(std::declval<const executor_type&>()))> work_;
    Handler handler_;
    bool connected_ = false;
    bool here_ = false;
};

template <class Result, class Handler>
std::unique_ptr<completion<Result>> erase_completion(Handler&& handler, const boost::asio::any_io_executor& fallback) {
    return std::make_unique<completion_of<Result, std::decay_t<Handler>>>(std::forward<Handler>(handler), fallback);
}

}  // namespace detail
}  // namespace v0
}  // namespace holdfast

#endif
