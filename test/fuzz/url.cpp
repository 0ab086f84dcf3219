// URLs: any text is taken apart or refused with a reason, and no way out shows a secret.
#include "check.hpp"

#include <holdfast/holdfast.hpp>

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {
namespace {

using fuzz::check;

/// Stands where secrets stand. Made from the whole input, or the fuzzer would learn to write it elsewhere too.
std::string secret_for(std::string_view input) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : input) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return "s3cr3t" + std::to_string(hash);
}

void check_hidden(std::string_view shown, const std::string& secret) {
    check(secret.empty() || shown.find(secret) == std::string_view::npos, "a secret was shown");
}

void check_refusal(const error& refused) {
    check(refused.boost_code() == errc::invalid_options, "an unexpected code");
    check(!refused.diag().message.empty(), "a refusal without a reason");
}

/// @param secret stands in @p text in a place for secrets; or is empty
void check_url(const std::string& text, const std::string& secret) {
    try {
        const url made = url::parse(text);
        check_hidden(made.masked(), secret);
        check(!made.scheme().empty(), "a URL without a scheme");
        check(made.masked().starts_with(made.scheme() + ':'), "a masked URL without its scheme");
        for (const url::option& each : made.options()) check(!each.name.empty(), "an option without a name");
    } catch (const error& refused) {
        check_refusal(refused);
        check_hidden(refused.what(), secret);
    }
    std::optional<provider> opened;
    try {
        opened = open(text);
    } catch (const error& refused) {
        check_refusal(refused);
        check_hidden(refused.what(), secret);
    }
    if (!opened) return;
    try {
        (void)opened->make_lock("name");
    } catch (const error& refused) {
        // A directory may be longer than any path.
        check_hidden(refused.what(), secret);
    }
}

std::string without(std::string text, std::string_view characters) {
    std::erase_if(text, [&](char c) { return characters.find(c) != std::string_view::npos; });
    return text;
}

std::string encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string made;
    for (const char c : text) {
        if (c == '\0') continue;
        const auto byte = static_cast<unsigned char>(c);
        made += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return made;
}

/// A valid URL from any parts: it must give them back, and keep the password and the secret options to itself.
void check_parts(FuzzedDataProvider& input, const std::string& secret) {
    const std::string user = without(input.ConsumeRandomLengthString(20), std::string_view("\0", 1));
    const std::string host = without(input.ConsumeRandomLengthString(20), std::string_view("\0", 1));
    const std::string path = without(input.ConsumeRandomLengthString(40), std::string_view("\0", 1));
    constexpr const char* words[] = {"password", "Secret", "TOKEN", "api_key", "credentials", "auth", "sas", "sig"};
    const std::string name = "x" + input.ConsumeRandomLengthString(5) + input.PickValueInArray(words);
    const std::string password = secret + input.ConsumeRandomLengthString(10);
    const std::string text = "made://" + encoded(user) + ':' + encoded(password) + '@' + encoded(host) + '/' +
                             encoded(path) + '?' + encoded(name) + '=' + encoded(password);
    const url made = url::parse(text);
    const std::string plain = without(password, std::string_view("\0", 1));
    check(made.scheme() == "made" && made.user() == user && made.password() == plain && made.authority() == host &&
              made.path() == '/' + path && made.options().size() == 1 && made.options()[0].value == plain,
          "a part was changed");
    check_hidden(made.masked(), secret);
    check_url(text, secret);
}

/// A text that is broken anywhere, with the secret in the password's place or in that of a secret option's value.
void check_broken(FuzzedDataProvider& input, const std::string& secret) {
    const std::string scheme = without(input.ConsumeRandomLengthString(8), ":/?#@");
    const std::string user = without(input.ConsumeRandomLengthString(10), "/?#@");
    const std::string tail = without(input.ConsumeRandomLengthString(10), "/?#@&");
    const std::string rest = input.ConsumeRemainingBytesAsString();
    check_url(scheme + "://" + user + ':' + secret + tail + '@' + rest, secret);
    check_url(scheme + ":" + without(rest, "?#") + "?password=" + secret + tail, secret);
}

}  // namespace
}  // namespace holdfast

/// The first byte says which of the three; '0' and a text is the plainest.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::uint8_t which = data[0] % 3;
    const std::string secret = holdfast::secret_for({reinterpret_cast<const char*>(data), size});
    FuzzedDataProvider input(data + 1, size - 1);
    if (which == 1) {
        holdfast::check_parts(input, secret);
    } else if (which == 2) {
        holdfast::check_broken(input, secret);
    } else {
        holdfast::check_url(input.ConsumeRemainingBytesAsString(), {});
    }
    return 0;
}
