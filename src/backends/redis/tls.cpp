#include <backends/redis/options.hpp>
#include <backends/redis/tls.hpp>

#include <holdfast/error.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <new>

namespace holdfast {
inline namespace v0 {
namespace redis {
namespace {

/// The first entry of the calling thread's error queue, which is emptied.
std::string last_reason() {
    const unsigned long number = ERR_get_error();
    ERR_clear_error();
    const char* const text = number == 0 ? nullptr : ERR_reason_error_string(number);
    if (text != nullptr) return text;
    char digits[256];
    ERR_error_string_n(number, digits, sizeof digits);
    return number == 0 ? "no reason given" : digits;
}

/// A key with a pass phrase must not make OpenSSL ask for it at a terminal.
int no_pass_phrase(char*, int, int, void*) {
    return 0;
}

bool is_address(const std::string& host) {
    ASN1_OCTET_STRING* const made = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(made);
    ERR_clear_error();
    return made != nullptr;
}

void check_text(const std::string& text, const char* name) {
    if (text.find('\0') != std::string::npos) refuse(std::string(name) + " holds a NUL");
}

}  // namespace

void tls_context::deleter::operator()(ssl_ctx_st* context) const noexcept {
    SSL_CTX_free(context);
}

tls_context::tls_context(const tls_options& opts) : server_name_(opts.server_name) {
    check_text(opts.ca_file, "'ca_file'");
    check_text(opts.cert_file, "'cert_file'");
    check_text(opts.key_file, "'key_file'");
    check_text(opts.server_name, "'server_name'");
    // What a name in a handshake can be (RFC 6066, RFC 1035).
    if (opts.server_name.size() > 255) refuse("'server_name' is longer than 255 bytes");
    if (opts.cert_file.empty() != opts.key_file.empty()) refuse("'cert_file' and 'key_file' go together");
    // Threads of ours may still use it while the program ends.
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr);
    ERR_clear_error();
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* const made = context_.get();
    if (made == nullptr) refuse("no TLS: " + last_reason());
    SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(made, &no_pass_phrase);
    if (opts.ca_file.empty()) {
        if (SSL_CTX_set_default_verify_paths(made) != 1) refuse("the system's CAs cannot be read: " + last_reason());
    } else if (SSL_CTX_load_verify_locations(made, opts.ca_file.c_str(), nullptr) != 1) {
        refuse("'ca_file' cannot be used: " + last_reason());
    }
    if (opts.cert_file.empty()) return;
    if (SSL_CTX_use_certificate_chain_file(made, opts.cert_file.c_str()) != 1) {
        refuse("'cert_file' cannot be used: " + last_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(made, opts.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        refuse("'key_file' cannot be used, or is of another certificate: " + last_reason());
    }
    if (SSL_CTX_check_private_key(made) != 1) refuse("'key_file' is not that of 'cert_file': " + last_reason());
}

void tls_session::deleter::operator()(ssl_st* session) const noexcept {
    SSL_free(session);
}

tls_session::tls_session(const tls_context& context, const std::string& host)
    : session_(SSL_new(context.context_.get())) {
    const std::string& name = context.server_name_.empty() ? host : context.server_name_;
    BIO* const in = BIO_new(BIO_s_mem());
    BIO* const out = BIO_new(BIO_s_mem());
    if (session_ == nullptr || in == nullptr || out == nullptr) {
        BIO_free(in);
        BIO_free(out);
        throw std::bad_alloc();
    }
    // An empty one has no end yet.
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(session_.get(), in, out);
    SSL_set_connect_state(session_.get());
    X509_VERIFY_PARAM* const verify = SSL_get0_param(session_.get());
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(name)) {
        if (X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) != 1) throw std::bad_alloc();
        return;
    }
    // SSL_set_tlsext_host_name without its old-style cast. The name is only read.
    std::string sent = name;
    if (X509_VERIFY_PARAM_set1_host(verify, name.data(), name.size()) != 1 ||
        SSL_ctrl(session_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sent.data()) != 1) {
        throw std::bad_alloc();
    }
}

tls_session::~tls_session() = default;

tls_session::status tls_session::shake_hands() {
    ERR_clear_error();
    const int result = SSL_do_handshake(session_.get());
    if (result == 1) return status::done;
    const int what = SSL_get_error(session_.get(), result);
    return what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE ? status::more : fail();
}

void tls_session::feed(const char* bytes, std::size_t size) {
    std::size_t written = 0;
    if (BIO_write_ex(SSL_get_rbio(session_.get()), bytes, size, &written) != 1 || written != size) {
        throw std::bad_alloc();
    }
}

tls_session::status tls_session::read(char* into, std::size_t& size) {
    ERR_clear_error();
    const std::size_t room = size;
    size = 0;
    const int result = SSL_read_ex(session_.get(), into, room, &size);
    if (result == 1) return status::done;
    const int what = SSL_get_error(session_.get(), result);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) return status::more;
    // The other side has said that it says nothing more.
    if (what == SSL_ERROR_ZERO_RETURN) return status::ended;
    return fail();
}

tls_session::status tls_session::write(std::string_view plain) {
    ERR_clear_error();
    std::size_t written = 0;
    if (SSL_write_ex(session_.get(), plain.data(), plain.size(), &written) == 1 && written == plain.size()) {
        return status::done;
    }
    return fail();
}

void tls_session::take_output(std::string& out) {
    BIO* const from = SSL_get_wbio(session_.get());
    for (auto left = BIO_ctrl_pending(from); left > 0; left = BIO_ctrl_pending(from)) {
        const auto end = out.size();
        out.resize(end + left);
        std::size_t taken = 0;
        if (BIO_read_ex(from, out.data() + end, left, &taken) != 1) taken = 0;
        out.resize(end + taken);
        if (taken == 0) return;
    }
}

tls_session::status tls_session::fail() {
    const int reason = ERR_GET_REASON(ERR_peek_error());
    stranger_ = reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
                reason == SSL_R_HTTP_REQUEST || reason == SSL_R_UNEXPECTED_MESSAGE;
    why_ = last_reason();
    const long verified = SSL_get_verify_result(session_.get());
    if (verified != X509_V_OK)
        why_ = std::string("its certificate is not trusted: ") + X509_verify_cert_error_string(verified);
    return status::failed;
}

}  // namespace redis
}  // namespace v0
}  // namespace holdfast
