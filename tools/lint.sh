#!/usr/bin/env bash
# Every check of the sources that is not a test. Goes on after a finding; exit status 1 when there was one.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

fix=0
only=()
for argument in "$@"; do
    case "$argument" in
    --fix) fix=1 ;;
    format | tidy | shell | repo) only+=("$argument") ;;
    *)
        cat <<'HELP'
Usage: tools/lint.sh [--fix] [format] [tidy] [shell] [repo]

  format   clang-format: the layout of every C++ file     (--fix rewrites the files)
  tidy     clang-tidy: names and mistakes, see .clang-tidy (--fix applies what clang-tidy offers)
  shell    shellcheck
  repo     tools/check_repo.py: files that belong together, links, forbidden texts

Without a name: all of them.
HELP
        [ "$argument" = --help ] || [ "$argument" = -h ]
        exit
        ;;
    esac
done
[ ${#only[@]} -gt 0 ] || only=(format shell repo tidy)

# The first of the names that is installed: Debian has the version in them.
tool() {
    local name
    for name in "$@"; do
        if command -v "$name" >/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "lint: none of these is installed: $*" >&2
    exit 1
}

# Tracked files and new ones, but nothing that .gitignore names.
files() {
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
        if [ -f "$file" ]; then
            printf '%s\n' "$file"
        fi
    done
}

lint_format() {
    local clang_format mode=(--dry-run -Werror)
    clang_format=$(tool clang-format-14 clang-format) || return
    [ $fix = 0 ] || mode=(-i)
    files '*.hpp' '*.cpp' '*.h' '*.c' | xargs -r -d '\n' "$clang_format" --style=file "${mode[@]}"
}

lint_shell() {
    local scripts=()
    tool shellcheck >/dev/null || return
    mapfile -t scripts < <(files | xargs -r -d '\n' grep -lE '^#!.*\b(ba|da)?sh$|^# shellcheck shell=' -- |
        grep -vE '\.(md|py)$|^tools/lint\.sh$')
    shellcheck -x tools/lint.sh "${scripts[@]}"
}

lint_repo() {
    if [ $fix = 1 ]; then
        python3 tools/check_repo.py --fix
    else
        python3 tools/check_repo.py
    fi
}

lint_tidy() {
    local clang_tidy arguments=()
    clang_tidy=$(tool clang-tidy-14 clang-tidy) || return
    [ $fix = 0 ] || arguments+=(--fix)
    cmake --preset lint >/dev/null && python3 tools/run_clang_tidy.py --clang-tidy "$clang_tidy" "${arguments[@]}"
}

failed=()
for check in "${only[@]}"; do
    echo "-- lint: $check"
    "lint_$check" || failed+=("$check")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: findings by ${failed[*]}" >&2
    exit 1
fi
echo "lint: nothing to say"
