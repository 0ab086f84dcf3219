// Holdfast: the URLs that name a backend.
#ifndef HOLDFAST_URL_HPP
#define HOLDFAST_URL_HPP

#include <holdfast/config.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {
inline namespace v0 {

/** @brief A URL taken apart (RFC 3986), with percent-encoding undone in every part.

    `scheme:[//[user[:password]@]authority][/path][?option=value&...]`. The authority stays one text, since backends
    disagree on what may stand there (several hosts, a socket's path).
*/
class HOLDFAST_API url {
public:
    struct option {
        std::string name;
        std::string value;
    };

    /** @brief Takes @p text apart.
        @par Errors
        Throws @ref error with `errc::invalid_options` that says where the text is wrong; never shows the password.
    */
    static url parse(std::string_view text);

    const std::string& scheme() const noexcept { return scheme_; }
    bool has_authority() const noexcept { return has_authority_; }
    const std::optional<std::string>& user() const noexcept { return user_; }
    const std::optional<std::string>& password() const noexcept { return password_; }
    const std::string& authority() const noexcept { return authority_; }
    const std::string& path() const noexcept { return path_; }
    const std::vector<option>& options() const noexcept { return options_; }

    /// The URL with its password and every option whose name speaks of a secret replaced by "***".
    std::string masked() const;

private:
    std::string scheme_;
    bool has_authority_ = false;
    std::optional<std::string> user_;
    std::optional<std::string> password_;
    std::string authority_;
    std::string path_;
    std::vector<option> options_;
};

/** @brief Reads a URL's options one by one and refuses what is left over.

    Each getter throws `errc::invalid_options` when the value is unusable; @ref finish when an option was not asked for,
    with the names that there are.
*/
class HOLDFAST_API option_reader {
public:
    explicit option_reader(const url& source);

    std::optional<std::string> text(std::string_view name);
    /// `true`, `false`, `1`, `0`, `yes`, `no`; an option without a value is true.
    std::optional<bool> boolean(std::string_view name);
    /// A whole number from @p least to @p most.
    std::optional<int> number(std::string_view name, int least, int most);
    /// `500ms`, `30s` or `2m`, up to 2^31-1 ms.
    /// @param plain what a number without a unit counts; zero: it is refused
    std::optional<std::chrono::milliseconds> time(std::string_view name,
                                                  std::chrono::milliseconds plain = std::chrono::milliseconds(0));
    void finish() const;

private:
    const url::option* take(std::string_view name);

    const url& source_;
    std::vector<bool> taken_;
    std::vector<std::string> known_;
};

}  // namespace v0
}  // namespace holdfast

#endif
