// Certificates for tests: an authority of its own, in a temporary folder, and whom it vouches for.
#ifndef HOLDFAST_TEST_SUPPORT_CERTIFICATES_HPP
#define HOLDFAST_TEST_SUPPORT_CERTIFICATES_HPP

#include <string>
#include <vector>

namespace holdfast::test {

/// Made by the program openssl, valid from now for two days.
class certificates {
public:
    certificates();
    certificates(const certificates&) = delete;
    certificates& operator=(const certificates&) = delete;
    ~certificates();

    std::string authority() const { return directory_ + "/authority.crt"; }
    std::string certificate(const std::string& of) const { return directory_ + "/" + of + ".crt"; }
    std::string key(const std::string& of) const { return directory_ + "/" + of + ".key"; }
    /// @param names "IP:127.0.0.1,DNS:localhost"
    void add(const std::string& of, const std::string& names) const;
    /// The options of a redis-server that speaks TLS only, as "server".
    /// @param clients what redis.conf calls it: "yes", "no" or "optional"
    std::vector<std::string> server_options(const std::string& clients) const;

private:
    static void run(const std::vector<std::string>& words);

    std::string directory_;
};

}  // namespace holdfast::test

#endif
