// Every mapping of names, on any bytes: what a name may be is for each function to say, and all else is refused.
#include "names/names.hpp"
#include "check.hpp"
#include "names/text.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::names {
namespace {

using fuzz::check;

/// The result, or nothing where the name was refused; twice, as a mapping must not depend on what was mapped before.
std::optional<std::string> mapped(const std::function<std::string()>& map, errc refusal = errc::invalid_name) {
    const auto once = [&]() -> std::optional<std::string> {
        try {
            return map();
        } catch (const error& refused) {
            const errc code = static_cast<errc>(refused.boost_code().value());
            check(code == errc::invalid_name || code == refusal, "an unexpected code");
            check(!refused.diag().message.empty(), "a refusal without a reason");
            return std::nullopt;
        }
    };
    auto first = once();
    check(first == once(), "the mapping is not deterministic");
    return first;
}

/// What is promised of every result: text, of bounded length.
void check_text(const std::optional<std::string>& result, std::size_t most_units) {
    if (!result) return;
    check(find_invalid_utf8(*result) == std::string_view::npos, "the result is not UTF-8");
    check(utf16_length(*result) <= most_units, "the result is too long");
}

void check_file(std::string_view directory, std::string_view name, bool text) {
    const auto file = mapped([&] { return file_name(name); });
    check(file.has_value() == text, "a file name is refused for no text, and for nothing else");
    check_text(file, 64);
    if (file) {
        check(file->find_first_of(std::string_view("/\0", 2)) == std::string::npos, "a file name leaves its directory");
        check(file->size() <= 255, "a file name is longer than Linux takes");
        check(file->ends_with(".lock") && file->size() > 32, "a file name is no hash");
    }

    const auto path = mapped([&] { return file_path(directory, name); }, errc::invalid_options);
    const bool usable = !directory.empty() && directory.find('\0') == std::string_view::npos;
    check(path.has_value() == (text && usable), "a path is refused without a reason");
    if (path) {
        const std::filesystem::path made(*path);
        check(made.is_absolute() && made.filename() == *file, "a path does not end in its file name");
        auto expected = (std::filesystem::current_path() / directory).lexically_normal();
        if (!expected.has_filename()) expected = expected.parent_path();
        check(made.parent_path() == expected, "a path is not in its directory");
    }

    const auto exact = mapped([&] { return exact_file_path(name); });
    if (exact) {
        check(exact->front() == '/' && exact->back() != '/', "an exact path is not that of a file");
        check(find_invalid_utf8(*exact) == std::string_view::npos, "an exact path is not UTF-8");
        check(exact == mapped([&] { return exact_file_path(*exact); }), "an exact path is not clean");
    }
}

void check_postgres(std::string_view name, bool text) {
    std::optional<postgres_key> key;
    const auto shown = mapped([&] {
        key = postgres(name);
        return key->text;
    });
    check(shown.has_value() == text, "a key is refused for no text, and for nothing else");
    if (key) check(postgres(key->text, false) == *key, "a key's text gives another key");
    mapped([&] { return postgres(name, false).text; });
}

void check_zookeeper(std::string_view directory, std::string_view name, bool text) {
    const auto node = mapped([&] { return zookeeper(name); });
    check(node.has_value() == text, "a node is refused for no text, and for nothing else");
    if (node) check(zookeeper_exact(*node) == *node, "a mapped node is no valid path");
    const auto below = mapped([&] { return zookeeper(name, directory); }, errc::invalid_options);
    if (below) {
        check(zookeeper_exact(*below) == *below, "a mapped node below a directory is no valid path");
        check(below->substr(0, below->rfind('/')) == (directory == "/" ? "" : directory), "a node left its directory");
    }
    const auto exact = mapped([&] { return zookeeper_exact(name); });
    if (exact) check(*exact == name, "an exact name was changed");
}

void check_all(std::string_view directory, std::string_view name) {
    const bool text = find_invalid_utf8(name) == std::string_view::npos;
    constexpr std::size_t unlimited = std::string::npos;
    const struct {
        std::string (*map)(std::string_view);
        std::size_t most_units;
        /// Refuses no text but what is not UTF-8.
        bool takes_all;
        /// The result is a name that stands for itself.
        bool is_name;
    } mappings[] = {
        {[](std::string_view n) { return system_object(n); }, 260, true, false},
        {[](std::string_view n) { return system_object(n, mode::exact); }, 260, false, true},
        {[](std::string_view n) { return mysql(n); }, 64, true, false},
        {[](std::string_view n) { return mysql(n, mode::exact); }, 64, false, true},
        {[](std::string_view n) { return sqlserver(n); }, 255, true, false},
        {[](std::string_view n) { return sqlserver(n, mode::exact); }, 255, false, true},
        {[](std::string_view n) { return sqlserver_semaphore(n); }, 85, true, false},
        {[](std::string_view n) { return oracle(n); }, 128, true, false},
        {[](std::string_view n) { return oracle(n, mode::exact); }, 128, false, true},
        {[](std::string_view n) { return redis(n); }, unlimited, true, true},
        {[](std::string_view n) { return redis_rw(n).readers; }, unlimited, true, false},
        {[](std::string_view n) { return redis_rw(n).writer; }, unlimited, true, false},
        {[](std::string_view n) { return mongodb(n); }, unlimited, true, true},
        {[](std::string_view n) { return azure(n); }, 1024, false, false},
        {[](std::string_view n) { return azure(n, azure_service::emulator); }, 256, false, false},
        {[](std::string_view n) { return azure_exact(n); }, unlimited, false, true},
    };
    for (const auto& each : mappings) {
        const auto result = mapped([&] { return each.map(name); });
        check_text(result, each.most_units);
        check(text || !result, "what is not UTF-8 was taken");
        check(!text || !each.takes_all || result, "a text was refused");
        if (result && each.is_name) check(*result == name, "an exact name was changed");
    }
    if (text) {
        check(mapped([&] { return system_object(system_object(name), mode::exact); }).has_value(),
              "a mapped name is no name of a kernel object");
        check(!mysql(name).empty() && !oracle(name).empty(), "a mapped name is empty");
    }
    check_file(directory, name, text);
    check_postgres(name, text);
    check_zookeeper(directory, name, text);
}

}  // namespace
}  // namespace holdfast::names

/// The input is a name, or a directory and a name with a newline between them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    const std::size_t line = all.find('\n');
    if (line == std::string_view::npos) {
        holdfast::names::check_all("/var/lock", all);
    } else {
        holdfast::names::check_all(all.substr(0, line), all.substr(line + 1));
    }
    return 0;
}
