#include "acquisition.hpp"

#include "backends.hpp"
#include "default_directory.hpp"
#include "environment.hpp"

#include <holdfast/open.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace holdfast::cli {
namespace {

constexpr std::string_view file_scheme = "file:";

/// Its locks are kept on this machine, and no answer takes long.
bool is_local(const provider& source) {
    return source.backend_name() == "file" || source.backend_name() == "system" || source.backend_name() == "memory";
}

bool is_file_url(const std::string& url) {
    return url.starts_with(file_scheme);
}

/// What ends a wait: a signal, or that what is held already has been lost.
class wait_end {
public:
    explicit wait_end(std::stop_token first) : first_(std::move(first)) {}
    wait_end(const wait_end&) = delete;
    wait_end& operator=(const wait_end&) = delete;
    ~wait_end() = default;

    void comes_with(std::stop_token another) {
        if (callbacks_.empty()) add(first_);
        add(std::move(another));
    }
    std::stop_token token() const { return callbacks_.empty() ? first_ : any_.get_token(); }

private:
    struct end {
        std::stop_source* any;
        void operator()() const noexcept { any->request_stop(); }
    };
    void add(std::stop_token which) {
        callbacks_.push_back(std::make_unique<std::stop_callback<end>>(std::move(which), end{&any_}));
    }

    std::stop_token first_;
    std::stop_source any_;
    std::vector<std::unique_ptr<std::stop_callback<end>>> callbacks_;
};

std::string read_url_file(const std::string& path) {
    // Of UTF-8, which a plain path on Windows is not.
    std::ifstream file(std::filesystem::path(std::u8string(path.begin(), path.end())));
    std::string line;
    if (!std::getline(file, line)) throw usage_error("--url @" + path + ": the file cannot be read, or is empty");
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
    if (line.empty()) throw usage_error("--url @" + path + ": the first line is empty");
    return line;
}

}  // namespace

std::optional<std::string> chosen_url(const run_options& options) {
    std::optional<std::string> url = options.url;
    if (!url) {
        auto from_environment = environment_text("HOLDFAST_URL");
        if (!from_environment) throw usage_error("HOLDFAST_URL is not valid UTF-16");
        if (from_environment->empty() && is_in_environment("HOLDFAST_URL")) {
            // Of a variable that was to be filled in, likely: this machine's files would exclude nobody elsewhere.
            throw usage_error("HOLDFAST_URL is empty; unset it to lock files of this machine");
        }
        if (!from_environment->empty()) url = std::move(from_environment);
    }
    if (url && url->empty()) throw usage_error("--url takes a URL, or @ and a file that has it");
    if (url && url->front() == '@') url = read_url_file(url->substr(1));
    return url;
}

acquisition::acquisition(const run_options& options, std::optional<std::string> url, acquisition_listener& listener)
    : options_(options), listener_(listener), url_(std::move(url)) {
    const bool files = !url_ || is_file_url(*url_);
    if (options.keep_files && !files) throw usage_error("--keep-files goes with lock files only (file: URLs)");
    entries_.reserve(options.locks.size());
    for (const lock_request& request : options.locks) make_entry(request);
    check_for_twins();
}

/// Locks are not reentrant: under two names that mean one lock, the second would wait for the first.
void acquisition::check_for_twins() const {
    for (auto each = entries_.begin(); each != entries_.end(); ++each) {
        const auto twin =
            std::find_if(entries_.begin(), each, [&](const entry& other) { return are_twins(*each, other); });
        if (twin != each) throw usage_error("'" + twin->name + "' and '" + each->name + "' are one lock");
    }
}

bool acquisition::are_twins(const entry& one, const entry& other) {
    if (one.is_semaphore != other.is_semaphore) return false;
    if (!one.is_file || !other.is_file) return one.source == other.source && one.key == other.key;
    // Files are named in many ways, through links too.
    std::error_code unknown;
    if (std::filesystem::equivalent(one.key, other.key, unknown)) return true;
    const auto place = [&unknown](const std::string& path) {
        const auto found = std::filesystem::weakly_canonical(path, unknown);
        return found.empty() ? std::filesystem::path(path) : found;
    };
    return place(one.key) == place(other.key);
}

const provider& acquisition::named_locks() {
    if (!named_) {
        std::string url = url_ ? *url_ : "file://" + default_lock_directory();
        if (options_.keep_files) url += url.find('?') == std::string::npos ? "?keep" : "&keep";
        named_ = open_provider(url);
    }
    return *named_;
}

const provider& acquisition::exact_files() {
    if (!exact_) {
        if (url_ && !is_file_url(*url_)) throw usage_error("--exact goes with lock files only (file: URLs)");
        std::string address{file_scheme};
        if (url_ && !url::parse(*url_).path().empty()) {
            // The URL's directory and what belongs to it are for the other locks, if there are any; it must be right
            // all the same.
            open_provider(*url_);
            const url whole = url::parse(*url_);
            if (option_reader(whole).boolean("remote").value_or(false)) address += "?remote";
        } else if (url_) {
            address = *url_;
        }
        exact_ = open_provider(address);
    }
    return *exact_;
}

void acquisition::make_entry(const lock_request& request) {
    using kind = lock_request::kind;
    const provider& source = request.what == kind::exact ? exact_files() : named_locks();
    const bool is_plain = request.what == kind::lock || request.what == kind::exact;
    if (!is_plain && source.backend_name() == "file") {
        throw usage_error(
            "lock files keep plain locks only; readers, writers and tickets of this machine are kept with "
            "--url system:");
    }
    entry made;
    made.name = request.name;
    made.source = &source;
    made.is_semaphore = request.what == kind::semaphore;
    const auto keep = [&](const auto& primitive) {
        made.key = primitive.mapped_name();
        made.is_file = source.backend_name() == "file";
    };
    switch (request.what) {
        case kind::lock:
        case kind::exact: {
            const lock target = source.make_lock(request.name);
            keep(target);
            made.acquire = [target](timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) {
                return target.acquire(limit, std::move(stop), code, diag);
            };
            break;
        }
        case kind::read:
        case kind::write: {
            const reader_writer_lock target = source.make_reader_writer_lock(request.name);
            keep(target);
            const bool writes = request.what == kind::write;
            made.acquire = [target, writes](timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) {
                return writes ? target.acquire_write(limit, std::move(stop), code, diag)
                              : target.acquire_read(limit, std::move(stop), code, diag);
            };
            break;
        }
        case kind::semaphore: {
            const semaphore target = source.make_semaphore(request.name, request.tickets);
            keep(target);
            made.acquire = [target](timeout limit, std::stop_token stop, error_code& code, diagnostics* diag) {
                return target.acquire(limit, std::move(stop), code, diag);
            };
            break;
        }
    }
    made.is_local = is_local(source);
    // A file answers at once. Others are asked twice only for those who want to know that there is a wait, and servers
    // never: others would get into line meanwhile.
    made.try_first = made.is_file || (made.is_local && tells_steps());
    made.can_be_lost = source.capabilities().loss_detection != loss_detection::none;
    entries_.push_back(std::move(made));
}

acquisition::outcome acquisition::acquire(int signal_descriptor) {
    signal_descriptor_ = signal_descriptor;
    std::optional<boottime::time_point> deadline;
    if (options_.timeout) deadline = boottime::now() + *options_.timeout;
    std::exception_ptr failure;
    bool refused = false;
    try {
        for (entry& each : entries_) {
            if (acquire_one(each, deadline)) continue;
            refused = true;
            refused_ = each.name;
            break;
        }
    } catch (const error&) {
        failure = std::current_exception();
    }
    for (const auto& each : notices_) each->drop();
    // While one is waited for, others may go.
    const entry* const lost = entries_.size() > 1 ? lost_one() : nullptr;
    const bool interrupted = signals_ && signals_->caught() != 0;
    // What the thread reads is not the command's. What it has read by its end is ours to act on.
    if (!failure && !refused && !interrupted && lost == nullptr && stop_listening() == 0) return outcome::held;
    release();
    report_release();
    if (signal_ != 0) return outcome::interrupted;
    if (lost != nullptr) {
        refused_ = lost->name;
        return outcome::lost;
    }
    if (failure) std::rethrow_exception(failure);
    return outcome::conflict;
}

int acquisition::stop_listening() noexcept {
    if (signals_) {
        signals_->end();
        signal_ = signals_->caught();
        signals_.reset();
    }
    return signal_;
}

const acquisition::entry* acquisition::lost_one() const {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [](const entry& each) {
        return each.handle && each.can_be_lost && each.handle.state() == held_state::lost;
    });
    return found == entries_.end() ? nullptr : &*found;
}

bool acquisition::acquire_one(entry& target, std::optional<boottime::time_point> deadline) {
    const boottime::time_point begin = boottime::now();
    error_code code;
    diagnostics diag;
    const auto attempt = [&](timeout limit, std::stop_token stop) {
        target.handle = target.acquire(limit, std::move(stop), code, &diag);
        if (code && code != errc::timed_out) throw error(code, diag);
        return !code;
    };
    const auto remaining = [&] {
        if (!deadline) return timeout::infinite();
        return timeout(std::max(*deadline - boottime::now(), boottime::duration::zero()));
    };
    const auto stop = [&] {
        if (!signals_) signals_ = std::make_unique<wait_signals>(signal_descriptor_);
        return signals_->token();
    };
    bool got = target.try_first && attempt(timeout::zero(), target.is_file ? std::stop_token() : stop());
    if (!got && !(target.try_first && deadline && remaining().is_zero())) {
        // Before anybody is told that there is a wait: a signal ends it from then on. A server may take long to answer
        // even a try.
        wait_end over(stop());
        for (const entry& each : entries_) {
            if (each.handle && each.can_be_lost) over.comes_with(each.handle.lost_token());
        }
        wait_notice* const notice = tell_of_wait(target, deadline);
        got = attempt(remaining(), over.token());
        if (notice != nullptr) notice->end(got);
    }
    if (got) {
        const auto token = target.handle.fencing_token();
        listener_.acquired(target.name, token ? std::optional(token->value()) : std::nullopt, boottime::now() - begin);
    }
    return got;
}

/// @return what is to be told when it ends, if anything
wait_notice* acquisition::tell_of_wait(const entry& target, std::optional<boottime::time_point> deadline) {
    if (!tells_steps()) return nullptr;
    if (!target.is_local) {
        // A mere try is none.
        if (options_.timeout && *options_.timeout <= boottime::duration::zero()) return nullptr;
        const auto tell = [this, &target](const std::string& holder) { listener_.waiting(target.name, holder); };
        notices_.push_back(std::make_unique<wait_notice>(*target.source, target.key, deadline, tell));
        return notices_.back().get();
    }
    listener_.waiting(target.name, holder_of(*target.source, target.key, deadline));
    return nullptr;
}

std::optional<std::uint64_t> acquisition::fencing(std::size_t index) const {
    const auto token = entries_[index].handle.fencing_token();
    return token ? std::optional(token->value()) : std::nullopt;
}

std::vector<int> acquisition::descriptors() const {
    std::vector<int> result;
    for (const entry& each : entries_) {
        // A server's connection is none of the command's business; the guardian keeps it open.
        if (!each.is_file) continue;
        if (const auto descriptor = each.handle.native_descriptor()) result.push_back(*descriptor);
    }
    return result;
}

bool acquisition::are_files() const {
    return std::all_of(entries_.begin(), entries_.end(), [](const entry& each) { return each.is_file; });
}

std::vector<watched_lock> acquisition::watched() const {
    std::vector<watched_lock> result;
    result.reserve(entries_.size());
    for (const entry& each : entries_) {
        watched_lock lock;
        lock.name = each.name;
        if (each.can_be_lost) {
            lock.lost_token = [&each] { return each.handle.lost_token(); };
            lock.is_lost = [&each] { return each.handle.state() == held_state::lost; };
        }
        lock.valid_until = [&each] { return each.handle.valid_until().time_since_epoch(); };
        result.push_back(std::move(lock));
    }
    return result;
}

bool acquisition::release() noexcept {
    bool ours = true;
    listen_again();
    for (auto each = entries_.rbegin(); each != entries_.rend(); ++each) {
        if (!each->handle) continue;
        error_code code;
        diagnostics diag;
        each->handle.release(code, &diag);
        each->released = true;
        if (code) each->failure = error(code, diag).what();
        ours = ours && code != errc::lost;
    }
    stop_listening();
    return ours;
}

/// A server may leave a release without an answer for as long as one may take, each. Whoever sends a second signal does
/// not want to wait for that.
void acquisition::listen_again() noexcept {
    const auto is_ours = [](const entry& each) { return each.handle && !each.is_local; };
    if (signals_ || std::none_of(entries_.begin(), entries_.end(), is_ours)) return;
    try {
        signals_ = std::make_unique<wait_signals>(signal_descriptor_, signal_);
    } catch (const std::exception&) {
        // Out of threads or memory: the locks are released all the same.
    }
}

void acquisition::report_release() {
    for (auto each = entries_.rbegin(); each != entries_.rend(); ++each) {
        if (!std::exchange(each->released, false)) continue;
        if (each->failure.empty()) {
            listener_.released(each->name);
        } else {
            listener_.release_failed(each->name, each->failure);
        }
    }
}

}  // namespace holdfast::cli
