// The contract suite on lock files of Windows.
#include <contract/environment.hpp>

#include <holdfast/backends/file.hpp>

#include <filesystem>
#include <random>
#include <string>

namespace holdfast::contract {
namespace {

/// A directory of its own, gone with all its files afterwards.
class private_directory {
public:
    private_directory()
        : path_(std::filesystem::temp_directory_path() /
                ("holdfast-" + std::to_string(std::random_device{}()) + "-" + std::to_string(std::random_device{}()))) {
        std::filesystem::create_directory(path_);
    }
    private_directory(const private_directory&) = delete;
    private_directory& operator=(const private_directory&) = delete;
    ~private_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    const std::filesystem::path path_;
};

class file_environment final : public environment {
public:
    explicit file_environment(const file::options& opts) : opts_(opts) {
        if (!opts_.exact_paths) opts_.directory = (place_.path() / "made" / "locks").string();
    }

    provider make_provider(const provider_settings& settings) override { return file::make_provider(opts_, settings); }

    std::string unique_name() override {
        const std::string name = environment::unique_name();
        return opts_.exact_paths ? (place_.path() / name).string() : name;
    }

    bool takes_any_name() const override { return !opts_.exact_paths; }
    bool tells_case_apart() const override { return !opts_.exact_paths; }

private:
    private_directory place_;
    file::options opts_;
};

environment_variant variant(std::string name, const file::options& opts) {
    file::options any_directory;
    any_directory.directory = "C:\\";
    return {std::move(name), file::make_provider(any_directory).capabilities(),
            [opts] { return std::make_unique<file_environment>(opts); }};
}

}  // namespace

std::vector<environment_variant> environment_variants() {
    return {
        variant("directory", {}),
        variant("kept_files", {.keep_files = true}),
        variant("exact_paths", {.exact_paths = true}),
        variant("exact_paths_deleted", {.exact_paths = true, .delete_exact_files = true}),
    };
}

}  // namespace holdfast::contract
