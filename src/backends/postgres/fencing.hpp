// The sequence that fencing tokens are drawn from.
#ifndef HOLDFAST_BACKENDS_POSTGRES_FENCING_HPP
#define HOLDFAST_BACKENDS_POSTGRES_FENCING_HPP

#include <holdfast/error.hpp>

#include <libpq-fe.h>

#include <optional>
#include <string>

namespace holdfast {
inline namespace v0 {
namespace postgres {

/// Asks about the sequence that `$1` names, as `fault_in_sequence` expects it.
extern const char* const sequence_question;

struct sequence_fault {
    errc code;
    std::string text;
};

/// Why the sequence @p name, about which @p answer tells (in text form), cannot be drawn from, or not trusted.
std::optional<sequence_fault> fault_in_sequence(const PGresult& answer, const std::string& name);

}  // namespace postgres
}  // namespace v0
}  // namespace holdfast

#endif
