#!/usr/bin/env python3
"""Runs clang-tidy over every source of build/lint/compile_commands.json, two lines a file at most, findings in full.

A file that was clean is not looked at again until it, a header of ours or .clang-tidy changes; build/lint/tidy-clean.json
remembers.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

root = pathlib.Path(__file__).resolve().parent.parent
build = root / "build/lint"
headers = ("include", "src", "cli", "test", "bench", "examples")


def own_headers():
    for folder in headers:
        yield from sorted((root / folder).rglob("*.hpp"))


def include_closure(source, texts):
    """The headers of ours that a source includes, by the last parts of their names: too many rather than too few."""
    seen, open_files = set(), [source]
    while open_files:
        file = open_files.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', texts.setdefault(file, file.read_text()), re.M):
            tail = "/" + name.removeprefix("./").removeprefix("../")
            open_files += [header for header in texts["headers"] if str(header).endswith(tail)]
    return sorted(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clang-tidy", default="clang-tidy")
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("HOLDFAST_JOBS", os.cpu_count() or 1)))
    parser.add_argument("paths", nargs="*", help="only sources whose path contains one of these")
    arguments = parser.parse_args()

    commands = json.loads((build / "compile_commands.json").read_text())
    sources = {pathlib.Path(command["file"]): command["command"] for command in commands}
    sources = {source: command for source, command in sources.items()
               if source.is_relative_to(root) and not source.is_relative_to(root / "build")
               and (not arguments.paths or any(part in str(source) for part in arguments.paths))}

    texts = {"headers": list(own_headers())}
    # The compiler and Boost count by their versions: a system upgrade may change what clang-tidy sees.
    common = (root / ".clang-tidy").read_text() + (root / "test/.clang-tidy").read_text() + subprocess.run(
        [arguments.clang_tidy, "--version"], capture_output=True, text=True, check=True).stdout
    remembered = build / "tidy-clean.json"
    clean = json.loads(remembered.read_text()) if remembered.exists() else {}

    def fingerprint(source):
        digest = hashlib.sha256((common + sources[source]).encode())
        for file in include_closure(source, texts):
            digest.update(texts[file].encode())
        return digest.hexdigest()

    prints = {source: fingerprint(source) for source in sources}
    todo = [source for source in sorted(sources) if clean.get(str(source.relative_to(root))) != prints[source]]
    print(f"{len(sources)} sources, {len(sources) - len(todo)} unchanged since they were clean", flush=True)

    def check(source):
        begin = time.monotonic()
        command = [arguments.clang_tidy, "-p", str(build), "--quiet", str(source)]
        if arguments.fix:
            command.insert(1, "--fix")
        completed = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return source, completed, time.monotonic() - begin

    bad = 0
    # Fixes by two at once would meet in the headers.
    with concurrent.futures.ThreadPoolExecutor(1 if arguments.fix else arguments.jobs) as pool:
        for number, (source, completed, seconds) in enumerate(pool.map(check, todo), 1):
            name = str(source.relative_to(root))
            print(f"[{number}/{len(todo)}] {seconds:5.1f} s  {name}", flush=True)
            if completed.returncode == 0 and not arguments.fix:
                clean[name] = prints[source]
                # At once: a run that is cut short has not been for nothing.
                remembered.write_text(json.dumps(clean, indent=1, sort_keys=True))
            elif completed.returncode != 0:
                bad += 1
                print(completed.stdout, end="")
                # Its other stream counts warnings it has not shown; it matters only where nothing else was said.
                print("" if completed.stdout.strip() else completed.stderr, end="", flush=True)
    if bad:
        sys.exit(f"clang-tidy has something to say about {bad} of {len(todo)} sources")


if __name__ == "__main__":
    main()
