#!/usr/bin/env python3
"""Writes src/names/unicode_tables.cpp from the lists in tools/unicode/.

With --check it writes nothing, and fails when the file is not what it would write.
"""
import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tools" / "unicode"
TARGET = ROOT / "src" / "names" / "unicode_tables.cpp"
COLUMNS = 120

HEADER = """\
// Made by tools/generate_unicode_tables.py from the lists in tools/unicode/; change those and run it again.
#include "names/unicode_tables.hpp"

// clang-format off
namespace holdfast {
inline namespace v0 {
namespace names {
namespace {

"""


def read_ranges(path):
    ranges = []
    for line in path.read_text(encoding="ascii").split():
        first, last = (int(text, 16) for text in line.split("-"))
        if not (first <= last <= 0xFFFF and (not ranges or ranges[-1][1] < first)):
            sys.exit(f"{path}: {line} is out of order")
        ranges.append((first, last))
    return ranges


def read_lower_case(path):
    """Pairs become (first, last, step, delta): every step-th code point from first to last moves by delta."""
    groups = []
    previous = -1
    for line in path.read_text(encoding="ascii").splitlines():
        upper, lower = (int(text, 16) for text in line.split())
        if upper <= previous:
            sys.exit(f"{path}: {line} is out of order")
        previous = upper
        delta = lower - upper
        if groups:
            first, last, step, group_delta = groups[-1]
            gap = upper - last
            # A run of one has no step yet. Steps of 1 (alphabets) and 2 (upper and lower in turn) are all there is.
            if delta == group_delta and gap <= 2 and (first == last or gap == step):
                groups[-1] = (first, upper, gap, delta)
                continue
        groups.append((upper, upper, 1, delta))
    return groups


def rows(entries):
    line = "   "
    for entry in entries:
        if len(line) + 1 + len(entry) > COLUMNS:
            yield line
            line = "   "
        line += " " + entry
    yield line


def generate():
    ranges = read_ranges(SOURCE / "dotnet_letter_or_digit_bmp.txt")
    lower = read_lower_case(SOURCE / "dotnet_invariant_lower.txt")
    lines = [HEADER + "constexpr unit_range ranges[] = {"]
    lines += rows(f"{{0x{first:04x}, 0x{last:04x}}}," for first, last in ranges)
    lines += ["};", "", "constexpr lower_case_run runs[] = {"]
    lines += rows(f"{{0x{first:04x}, 0x{last:04x}, {step}, {delta}}}," for first, last, step, delta in lower)
    lines += [
        "};",
        "",
        "}  // namespace",
        "",
        "const std::span<const unit_range> letter_or_digit_ranges = ranges;",
        "const std::span<const lower_case_run> lower_case_runs = runs;",
        "",
        "}  // namespace names",
        "}  // namespace v0",
        "}  // namespace holdfast",
        "",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail when the file is not current")
    arguments = parser.parse_args()
    text = generate()
    if not arguments.check:
        TARGET.write_text(text, encoding="ascii")
    elif not TARGET.exists() or TARGET.read_text(encoding="ascii") != text:
        sys.exit(f"{TARGET} is not current: run tools/generate_unicode_tables.py")


if __name__ == "__main__":
    main()
