#include <contract/environment.hpp>

#include <holdfast/backends/file.hpp>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace holdfast::contract {
namespace {

/// A directory of this test's own: in memory where there is such a place, since disks are slow and vary.
class private_directory {
public:
    private_directory() {
        const char* const wanted = std::getenv("TMPDIR");
        std::string path = wanted != nullptr ? wanted : std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
        path += "/holdfast-contract-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a directory like " + path);
        path_ = path;
    }
    private_directory(const private_directory&) = delete;
    private_directory& operator=(const private_directory&) = delete;
    ~private_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

class file_environment final : public environment {
public:
    explicit file_environment(const file::options& opts) : opts_(opts) {
        if (!opts_.exact_paths) opts_.directory = place_.path() / "locks";
    }

    provider make_provider(const provider_settings& settings) override { return file::make_provider(opts_, settings); }

    std::string unique_name() override {
        const std::string name = environment::unique_name();
        return opts_.exact_paths ? (place_.path() / name).string() : name;
    }

    bool takes_any_name() const override { return !opts_.exact_paths; }

    std::optional<int> lose_holds(std::string_view, std::string_view mapped) override {
        return std::filesystem::remove(mapped) ? 1 : 0;
    }

private:
    private_directory place_;
    file::options opts_;
};

environment_variant variant(std::string name, const file::options& opts) {
    file::options any_directory;
    any_directory.directory = "/";
    return {std::move(name), file::make_provider(any_directory).capabilities(),
            [opts] { return std::make_unique<file_environment>(opts); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {
        variant("directory", {}),
        variant("kept_files", {.keep_files = true}),
        variant("private_directory", {.private_directory = true}),
        variant("exact_paths", {.exact_paths = true}),
        variant("exact_paths_deleted", {.exact_paths = true, .delete_exact_files = true}),
    };
}

}  // namespace holdfast::contract
