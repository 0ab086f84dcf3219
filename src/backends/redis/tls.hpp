// TLS over bytes that somebody else sends and receives.
#ifndef HOLDFAST_BACKENDS_REDIS_TLS_HPP
#define HOLDFAST_BACKENDS_REDIS_TLS_HPP

#include <holdfast/backends/redis.hpp>

#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace holdfast {
inline namespace v0 {
namespace redis {

/** Whom we trust, and who we are: read from files once, for all connections.

    Thread safety: safe.
*/
class tls_context {
public:
    /// Throws @ref error with `errc::invalid_options` for files that cannot be used.
    explicit tls_context(const tls_options& opts);
    tls_context(const tls_context&) = delete;
    tls_context& operator=(const tls_context&) = delete;

private:
    friend class tls_session;
    struct deleter {
        void operator()(ssl_ctx_st* context) const noexcept;
    };

    std::unique_ptr<ssl_ctx_st, deleter> context_;
    std::string server_name_;
};

/** One connection's encryption. Knows no socket, so that nothing is sent to anybody by destroying it.

    Thread safety: distinct objects safe.
*/
class tls_session {
public:
    /// @param host whom the certificate must name, where the options do not say
    tls_session(const tls_context& context, const std::string& host);
    tls_session(const tls_session&) = delete;
    tls_session& operator=(const tls_session&) = delete;
    ~tls_session();

    enum class status { more, done, failed, ended };
    /// Goes on with what has been received so far.
    status shake_hands();
    /// What came from the socket.
    void feed(const char* bytes, std::size_t size);
    /// Takes decrypted bytes. `more`: none for now; `done`: some; `ended`: none ever again. @param size how many there
    /// is room for, then are
    status read(char* into, std::size_t& size);
    /// @pre hands are shaken
    status write(std::string_view plain);
    /// Adds what is to be sent to @p out.
    void take_output(std::string& out);

    /// After `failed`.
    const std::string& why() const noexcept { return why_; }
    /// The other side does not speak TLS at all.
    bool is_stranger() const noexcept { return stranger_; }

private:
    status fail();

    struct deleter {
        void operator()(ssl_st* session) const noexcept;
    };
    std::unique_ptr<ssl_st, deleter> session_;
    std::string why_;
    bool stranger_ = false;
};

}  // namespace redis
}  // namespace v0
}  // namespace holdfast

#endif
