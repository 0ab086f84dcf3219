#include "key_command.hpp"

#include "default_directory.hpp"
#include "exit_codes.hpp"

#include "names/names.hpp"
#include "names/text.hpp"

#include <holdfast/error.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::cli {
namespace {

using nlohmann::json;

constexpr int exit_some_failed = 1;

struct key_options {
    std::string backend;
    std::string kind = "lock";
    bool exact = false;
    std::optional<std::string> directory;
    bool emulator = false;
    bool json_lines = false;
    std::vector<std::string> names;
};

struct usage_error {
    std::string message;
};

struct io_error {
    std::string message;
};

struct backend_row {
    std::string_view name;
    std::string_view kinds;
};

// The order is that of the help text.
constexpr backend_row backends[] = {
    {"file", "lock"},
    {"system", "lock, semaphore"},
    {"postgres", "lock, rw"},
    {"mysql", "lock"},
    {"sqlserver", "lock, rw, semaphore"},
    {"oracle", "lock, rw"},
    {"redis", "lock, rw, semaphore"},
    {"mongodb", "lock"},
    {"zookeeper", "lock, rw, semaphore"},
    {"azure", "lock"},
};

/// Appends the members that follow "name", each with a comma before it.
using mapper = std::function<void(std::string_view name, std::string& line)>;

/// As JSON, with U+FFFD for what is not UTF-8.
std::string json_text(std::string_view text) {
    std::string result = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    // JSON lets these three stand as they are, but many readers of lines take them for the end of one.
    constexpr std::pair<std::string_view, const char*> line_ends[] = {
        {"\xC2\x85", "\\u0085"}, {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}};
    for (const auto& [character, escape] : line_ends) {
        for (std::size_t at = 0; (at = result.find(character, at)) != std::string::npos;) {
            result.replace(at, character.size(), escape);
        }
    }
    return result;
}

void append_text(std::string& line, std::string_view key, std::string_view value) {
    if (names::find_invalid_utf8(value) != std::string_view::npos) {
        throw error(errc::invalid_name, "the path is not valid UTF-8, and JSON cannot hold it; use another directory");
    }
    line.append(",\"").append(key).append("\":").append(json_text(value));
}

void append_number(std::string& line, std::string_view key, std::int64_t value) {
    line.append(",\"").append(key).append("\":").append(std::to_string(value));
}

mapper text_mapper(std::function<std::string(std::string_view)> map) {
    return [map = std::move(map)](std::string_view name, std::string& line) { append_text(line, "mapped", map(name)); };
}

mapper postgres_mapper(bool allow_hashing) {
    return [allow_hashing](std::string_view name, std::string& line) {
        const names::postgres_key key = names::postgres(name, allow_hashing);
        append_text(line, "mapped", key.text);
        if (key.in == names::postgres_key::space::int64) {
            append_text(line, "space", "int64");
            append_number(line, "key", key.key);
        } else {
            append_text(line, "space", "int32pair");
            append_number(line, "key1", key.key1);
            append_number(line, "key2", key.key2);
        }
    };
}

void append_redis_rw(std::string_view name, std::string& line) {
    const names::redis_rw_keys keys = names::redis_rw(name);
    append_text(line, "readers", keys.readers);
    append_text(line, "writer", keys.writer);
}

void check_usage(const key_options& options) {
    if (options.backend.empty()) throw usage_error{"give a backend, for example: --backend redis"};
    const auto row = std::find_if(std::begin(backends), std::end(backends),
                                  [&](const backend_row& candidate) { return candidate.name == options.backend; });
    if (row == std::end(backends)) {
        std::string message = "there is no backend '" + options.backend + "'; there are";
        for (const backend_row& known : backends) message.append(&known == backends ? " " : ", ").append(known.name);
        throw usage_error{message};
    }
    const std::string& kind = options.kind;
    if (kind != "lock" && kind != "rw" && kind != "semaphore") {
        throw usage_error{"there is no kind '" + kind + "'; there are lock, rw, semaphore"};
    }
    if (row->kinds.find(kind) == std::string_view::npos) {
        throw usage_error{"'" + kind + "' is no kind of the backend " + options.backend +
                          "; it has: " + std::string(row->kinds)};
    }
    if (options.directory && options.backend != "file" && options.backend != "zookeeper") {
        throw usage_error{"--directory is for the backends file and zookeeper"};
    }
    if (options.directory && options.exact) throw usage_error{"an exact name is a whole path; leave --directory out"};
    if (options.emulator && options.backend != "azure") throw usage_error{"--emulator is for the backend azure"};
    if (options.exact && options.backend == "sqlserver" && kind == "semaphore") {
        throw usage_error{"sqlserver's semaphores have no exact names; leave --exact out"};
    }
    if (options.json_lines && !options.names.empty()) {
        throw usage_error{"--json reads the names from standard input; leave them out here, or leave --json out"};
    }
    if (!options.json_lines && options.names.empty()) {
        throw usage_error{"give a name, or --json to read names from standard input"};
    }
}

/// Expects checked options.
mapper make_mapper(const key_options& options) {
    const std::string& backend = options.backend;
    const names::mode how = options.exact ? names::mode::exact : names::mode::mapped;
    if (backend == "file") {
        if (options.exact) return text_mapper(names::exact_file_path);
        std::string directory = options.directory ? *options.directory : usual_lock_directory();
        return text_mapper([directory](std::string_view name) { return names::file_path(directory, name); });
    }
    if (backend == "system") {
        return text_mapper([how](std::string_view name) { return names::system_object(name, how); });
    }
    if (backend == "postgres") return postgres_mapper(!options.exact);
    if (backend == "mysql") return text_mapper([how](std::string_view name) { return names::mysql(name, how); });
    if (backend == "sqlserver") {
        if (options.kind == "semaphore") return text_mapper(names::sqlserver_semaphore);
        return text_mapper([how](std::string_view name) { return names::sqlserver(name, how); });
    }
    if (backend == "oracle") return text_mapper([how](std::string_view name) { return names::oracle(name, how); });
    if (backend == "redis") return options.kind == "rw" ? mapper(append_redis_rw) : text_mapper(names::redis);
    if (backend == "mongodb") return text_mapper(names::mongodb);
    if (backend == "zookeeper") {
        if (options.exact) return text_mapper(names::zookeeper_exact);
        std::string directory = options.directory.value_or("/");
        return text_mapper([directory](std::string_view name) { return names::zookeeper(name, directory); });
    }
    if (options.exact) return text_mapper(names::azure_exact);
    const auto service = options.emulator ? names::azure_service::emulator : names::azure_service::cloud;
    return text_mapper([service](std::string_view name) { return names::azure(name, service); });
}

/** Puts U+FFFD in the place of escaped halves of surrogate pairs (`"\ud83d"`) and says whether there were any.

    Such a name is legal JSON and legal in .NET, but no UTF-8; the JSON parser would call the line malformed.
*/
bool replace_lone_surrogates(std::string& line) {
    // The escape's value, or 0 (which no surrogate is) where there is none.
    const auto escape_at = [&](std::size_t at) -> unsigned {
        if (line.size() < at + 6 || line[at] != '\\' || line[at + 1] != 'u') return 0;
        unsigned value = 0;
        for (std::size_t i = at + 2; i < at + 6; ++i) {
            const char c = line[i];
            const char lower = static_cast<char>(c | 0x20);
            if (c >= '0' && c <= '9') {
                value = value << 4 | static_cast<unsigned>(c - '0');
            } else if (lower >= 'a' && lower <= 'f') {
                value = value << 4 | static_cast<unsigned>(lower - 'a' + 10);
            } else {
                return 0;
            }
        }
        return value;
    };
    const auto is_high = [](unsigned unit) { return unit >= 0xD800 && unit <= 0xDBFF; };
    const auto is_low = [](unsigned unit) { return unit >= 0xDC00 && unit <= 0xDFFF; };

    bool any = false;
    for (std::size_t at = line.find('\\'); at < line.size(); at = line.find('\\', at)) {
        const unsigned unit = escape_at(at);
        if (is_high(unit) && is_low(escape_at(at + 6))) {
            at += 12;
        } else if (is_high(unit) || is_low(unit)) {
            line.replace(at, 6, "\\ufffd");
            any = true;
            at += 6;
        } else {
            at += 2;  // Past the escaped character, which may be another backslash.
        }
    }
    return any;
}

/// Maps names one by one and writes their lines.
class key_printer {
public:
    explicit key_printer(mapper map) : map_(std::move(map)) {}

    void print_name(std::string_view name) {
        output_.append("{\"name\":").append(json_text(name));
        const std::size_t end_of_name = output_.size();
        try {
            map_(name, output_);
            output_ += "}\n";
        } catch (const error& failure) {
            output_.resize(end_of_name);
            finish_error(failure.diag().message);
        }
        if (output_.size() > flush_size) flush();
    }

    /// @param line a JSON string, where all is well
    void print_json_line(std::string line, std::size_t number) {
        json value = json::parse(line, nullptr, false);
        if (value.is_discarded() && replace_lone_surrogates(line)) {
            value = json::parse(line, nullptr, false);
            if (value.is_string()) {
                output_.append("{\"name\":").append(json_text(value.get_ref<const std::string&>()));
                finish_error("the name holds half of a surrogate pair, which is no character of its own");
                return;
            }
        }
        if (value.is_string()) {
            print_name(value.get_ref<const std::string&>());
        } else {
            output_ += "{\"name\":null";
            finish_error("line " + std::to_string(number) +
                         " is not a JSON string; write one a line, such as \"orders\"");
        }
    }

    void flush() {
        const bool written = std::fwrite(output_.data(), 1, output_.size(), stdout) == output_.size();
        output_.clear();
        if (!written || std::fflush(stdout) != 0) {
            throw io_error{std::string("cannot write to standard output: ") + std::strerror(errno)};
        }
    }

    bool all_mapped() const noexcept { return all_mapped_; }

private:
    static constexpr std::size_t flush_size = 64 * 1024;

    void finish_error(std::string_view message) {
        output_.append(",\"error\":").append(json_text(message)).append("}\n");
        all_mapped_ = false;
    }

    mapper map_;
    std::string output_;
    bool all_mapped_ = true;
};

void print_standard_input(key_printer& printer) {
    std::string pending;
    std::size_t number = 0;
    std::vector<char> buffer(64 * 1024);
    // read(2) and not stdio: it returns what there is, so that a program on the other end of a pipe gets its answers as
    // it goes.
    for (;;) {
        const ssize_t count = ::read(STDIN_FILENO, buffer.data(), static_cast<unsigned>(buffer.size()));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw io_error{std::string("cannot read standard input: ") + std::strerror(errno)};
        if (count == 0) break;
        const std::string_view chunk(buffer.data(), static_cast<std::size_t>(count));
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = chunk.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
            pending.append(chunk.substr(begin, end - begin));
            printer.print_json_line(std::exchange(pending, {}), ++number);
        }
        pending.append(chunk.substr(begin));
        printer.flush();
    }
    if (!pending.empty()) printer.print_json_line(std::move(pending), ++number);
}

int run(const key_options& options) {
    try {
        check_usage(options);
        key_printer printer(make_mapper(options));
        if (options.directory) {
            // A bad directory is one mistake of the command line, not one of each name.
            std::string ignored;
            make_mapper(options)("", ignored);
        }
        if (options.json_lines) {
            print_standard_input(printer);
        } else {
            for (const std::string& name : options.names) printer.print_name(name);
        }
        printer.flush();
        return printer.all_mapped() ? exit_code::success : exit_some_failed;
    } catch (const usage_error& failure) {
        std::fprintf(stderr, "holdfast key: %s\nSee: holdfast key --help\n", failure.message.c_str());
        return exit_code::usage;
    } catch (const error& failure) {
        std::fprintf(stderr, "holdfast key: %s\n", failure.diag().message.c_str());
        return exit_code::usage;
    } catch (const io_error& failure) {
        std::fprintf(stderr, "holdfast key: %s\n", failure.message.c_str());
        return exit_code::io;
    }
}

constexpr const char* examples = R"(Examples:
  The advisory lock of "orders" in Postgres, to look for in pg_locks:
    holdfast key --backend postgres orders
    {"name":"orders","mapped":"orders","space":"int32pair","key1":-540334498,"key2":1558183935}

  The file that `holdfast run orders/42` locks with --url file:///var/lock/app:
    holdfast key --backend file --directory /var/lock/app orders/42

  The keys of a reader-writer lock in Redis:
    holdfast key --backend redis --kind rw orders

  Many names, or names with any character in them: JSON strings, one a line:
    printf '%s\n' '"orders"' '"caf\u00e9\n"' | holdfast key --backend mysql --json

  A name that begins with a dash:
    holdfast key --backend redis -- -orders

Each name gives one line: {"name":...,"mapped":...}, or {"name":...,"error":...}.
Exit status: 0 all names have a key, 1 some have none, 64 wrong usage.)";

void configure(CLI::App& command, int& status) {
    const auto options = std::make_shared<key_options>();
    command.add_option("-b,--backend", options->backend,
                       "file, system (Windows kernel objects), postgres, mysql,\nsqlserver, oracle, redis, mongodb, "
                       "zookeeper or azure");
    command.add_option("-k,--kind", options->kind, "lock, rw or semaphore")->capture_default_str();
    command.add_flag("--exact", options->exact,
                     "The name is the backend's own: check it, but do not change it.\npostgres: do not hash it");
    command.add_option("--directory", options->directory,
                       "file: where the lock files are\n(default: where holdfast run has them without --url);\n"
                       "zookeeper: the parent node (default: /)");
    command.add_flag("--emulator", options->emulator, "azure: names for the emulator, which are shorter");
    command.add_flag("--json", options->json_lines, "Read JSON strings from standard input, one a line");
    // CLI11 takes "[a,b]" apart wherever it allows extra values, and elsewhere hands out values up to the lowest number
    // expected. So the names are a list that is never long enough; the policy leaves it uncomplained of, and comes
    // first because it would change the numbers.
    constexpr int many = CLI::detail::expected_max_vector_size;
    command
        .add_option("NAME", CLI::callback_t([options](const CLI::results_t& values) {
                        options->names = values;
                        return true;
                    }),
                    "Names of locks")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(many / 2, many)
        ->allow_extra_args(false);
    command.footer(examples);
    command.callback([options, &status] { status = run(*options); });
}

constexpr const char* description = "Print what a lock's name becomes on a backend";

}  // namespace

void add_key_command(CLI::App& app, int& status) {
    configure(*app.add_subcommand("key", description), status);
}

int key_command(int count, const char* const* arguments) {
    int status = exit_code::success;
    CLI::App app{description, "holdfast key"};
    configure(app, status);
    try {
        app.parse(count, arguments);
    } catch (const CLI::ParseError& stopped) {
        // A request for help comes this way too.
        return app.exit(stopped) == 0 ? exit_code::success : exit_code::usage;
    }
    return status;
}

}  // namespace holdfast::cli
