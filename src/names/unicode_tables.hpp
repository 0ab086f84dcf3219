// The generated tables; text.hpp has the functions over them.
#ifndef HOLDFAST_SRC_NAMES_UNICODE_TABLES_HPP
#define HOLDFAST_SRC_NAMES_UNICODE_TABLES_HPP

#include <cstdint>
#include <span>

namespace holdfast {
inline namespace v0 {
namespace names {

/// Inclusive at both ends.
struct unit_range {
    char16_t first;
    char16_t last;
};

/// Every `step`-th code point from `first` to `last` (inclusive) has its lower case `delta` further on.
struct lower_case_run {
    char32_t first;
    char32_t last;
    std::uint32_t step;
    std::int32_t delta;
};

/// In ascending order, without overlaps.
extern const std::span<const unit_range> letter_or_digit_ranges;
/// In ascending order, without overlaps.
extern const std::span<const lower_case_run> lower_case_runs;

}  // namespace names
}  // namespace v0
}  // namespace holdfast

#endif
