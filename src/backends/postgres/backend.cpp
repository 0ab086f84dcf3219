#include <backends/postgres/backend.hpp>
#include <backends/postgres/connection.hpp>
#include <backends/postgres/options.hpp>
#include <names/names.hpp>

#include <algorithm>

namespace holdfast {
inline namespace v0 {
namespace postgres {
namespace {

core::multiplexer_options multiplexer_options_from(const options& opts) {
    core::multiplexer_options made;
    made.multiplexing = multiplexes(opts);
    made.max_connections = opts.max_connections;
    made.max_waiting_connections = opts.max_waiting_connections;
    made.retry_cadence = opts.retry_every;
    made.connect_timeout = limit_of_connecting(opts).whole;
    made.max_server_wait = opts.max_server_wait;
    made.keepalive = opts.keepalive;
    if (opts.transaction_scope) {
        // Behind a pooler each transaction may have another session: a cancel that comes late would hit a stranger's
        // statement. So waits are short there, and a cancelled one just ends.
        constexpr std::chrono::milliseconds longest{500};
        made.cancels_on_server = false;
        if (made.max_server_wait.count() == 0 || made.max_server_wait > longest) made.max_server_wait = longest;
    }
    return made;
}

void append_hex(std::string& to, std::uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) to += "0123456789abcdef"[value >> shift & 0xF];
}

/// One text for one key, whatever form the name had.
std::string canonical(const names::postgres_key& key) {
    std::string made;
    if (key.in == names::postgres_key::space::int64) {
        append_hex(made, static_cast<std::uint32_t>(static_cast<std::uint64_t>(key.key) >> 32));
        append_hex(made, static_cast<std::uint32_t>(key.key));
    } else {
        append_hex(made, static_cast<std::uint32_t>(key.key1));
        made += ',';
        append_hex(made, static_cast<std::uint32_t>(key.key2));
    }
    return made;
}

}  // namespace

std::string key_name(std::int64_t key) {
    return canonical({.in = names::postgres_key::space::int64, .key = key, .text = {}});
}

std::string key_name(std::int32_t key1, std::int32_t key2) {
    return canonical({.in = names::postgres_key::space::int32_pair, .key1 = key1, .key2 = key2, .text = {}});
}

std::string mapped_key(std::string_view name, bool strict) {
    return canonical(names::postgres(name, !strict));
}

postgres_backend::postgres_backend(const options& opts)
    : opts_(opts),
      connections_(std::make_shared<core::multiplexer>(
          [opts, names = std::make_shared<core::resolver>()] { return std::make_unique<connection>(opts, names); },
          multiplexer_options_from(opts))) {
    capabilities_.lock = capabilities_.reader_writer_lock = capabilities_.cross_process = true;
    capabilities_.loss_detection = loss_detection::connection;
    // A standby that lags behind, and becomes the primary, knows nothing of the numbers given out last.
    if (!opts.fencing_sequence.empty()) capabilities_.fencing = fencing_support::may_regress;
    traits_.family = core::family::session;
    traits_.waits_on_server = true;
    // The first command on a connection takes as long as connecting does, which has a limit of its own.
    traits_.reply_grace = std::max(traits_.reply_grace, limit_of_connecting(opts).whole + std::chrono::seconds(1));
}

std::string postgres_backend::map_name(core::primitive_kind, std::string_view name) const {
    return mapped_key(name, opts_.strict_names);
}

std::unique_ptr<core::link> postgres_backend::make_link(const core::claim&, const core::backend_context& context) {
    return connections_->make_link(context);
}

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast
