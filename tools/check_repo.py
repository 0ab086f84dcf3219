#!/usr/bin/env python3
"""Rules about the repository that no compiler knows. Each finding is one line: file:line: what is wrong.

  backends   each folder in src/backends has its header, sources, contract environment, docs page and CMake call
  async      the docs of each public async function say what may fail, which threads may call, and what cancelling does
  errors     each errc that docs name exists
  links      relative links in Markdown lead somewhere, anchors included
  texts      no private keys, no reminders to finish something, no paths of somebody's machine
  layout     ends of lines and files; include guards named after the file (--fix mends the first)
"""

import argparse
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
findings = []

# Holds no lock outside its process, so it has no environment to start; the rest is asked of it as of every backend.
inside_core = {"memory"}


def report(path, line, text):
    findings.append(f"{path.relative_to(root)}:{line}: {text}")


def repository_files():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True, check=True).stdout
    return [root / name for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()]


def text_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_backends():
    calls = (root / "src/backends/CMakeLists.txt").read_text()
    for folder in sorted((root / "src/backends").iterdir()):
        name = folder.name
        if not folder.is_dir() or not any(folder.iterdir()):
            continue
        wanted = [f"docs/backends/{name}.md", f"test/backends/{name}/environment.cpp"]
        rows = {"README.md": f"(docs/backends/{name}.md)", "docs/wire.md": f"\n| {name} |"}
        if name not in inside_core:
            wanted += [f"include/holdfast/backends/{name}.hpp"]
            wanted += [f"src/backends/{name}/{part}.cpp" for part in ("options", "provider", "inspection")]
            rows["include/holdfast/holdfast.hpp"] = f"{name}::add_to("
            if not re.search(rf"holdfast_add_backend\(\s*NAME {name}\b", calls):
                report(folder / "CMakeLists.txt", 1, f"no holdfast_add_backend(NAME {name}) in src/backends/CMakeLists.txt")
        for path in wanted:
            if not (root / path).is_file():
                report(folder / name, 1, f"the backend {name} has no {path}")
        for path, text in rows.items():
            if text not in (root / path).read_text():
                report(root / path, 1, f"the backend {name} is not in {path}: no '{text.strip()}'")


def doc_block_above(lines, index):
    """The comment that ends directly above a line, with templates, attributes and the like between skipped."""
    block = []
    while index > 0:
        index -= 1
        line = lines[index].strip()
        if line.startswith("///") or line.startswith("//!"):
            block.append(line)
            continue
        if line.endswith("*/"):
            while index >= 0:
                block.append(lines[index])
                if "/**" in lines[index]:
                    return "\n".join(reversed(block))
                index -= 1
            break
        # Anything that ends a declaration ends the search as well.
        if block or line == "" or line.endswith((";", "}", "{", ":")):
            break
    return "\n".join(reversed(block))


def check_async():
    declaration = re.compile(r"^[^/*\"(]*?\b(async_\w+)\(")
    called = re.compile(r"\b(return|co_await|=|\.|->|::)\s*$")
    for path in sorted((root / "include/holdfast").rglob("*.hpp")):
        if "detail" in path.relative_to(root).parts:
            continue
        lines = path.read_text().split("\n")
        text = "\n".join(lines)
        for index, line in enumerate(lines):
            found = declaration.match(line)
            before = line[: found.start(1)] if found else ""
            if not found or called.search(before.rstrip() or "x") or before.strip() in ("return", "co_await"):
                continue
            # A definition's body calling another: indented deeper than a member declaration.
            if len(line) - len(line.lstrip()) > 4:
                continue
            block = doc_block_above(lines, index)
            if "@copydoc" in block:
                continue
            if "@par Cancellation" not in block:
                report(path, index + 1, f"the docs of {found[1]} have no '@par Cancellation' (nor @copydoc)")
            # Errors may be those of the blocking form, and thread safety is mostly said once for the class.
            if not re.search(r"\berrors?\b|errc::", block, re.I) and "async_" not in block:
                report(path, index + 1, f"the docs of {found[1]} do not say what errors there are")
            if "@par Thread safety" not in text:
                report(path, index + 1, f"neither {found[1]} nor its class has '@par Thread safety'")


def check_errors():
    header = root / "include/holdfast/error.hpp"
    body = re.search(r"enum class errc[^{]*\{(.*?)\};", header.read_text(), re.S)
    if body is None:
        report(header, 1, "no 'enum class errc' found")
        return
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", body[1], flags=re.S)
    known = set(re.findall(r"\b([a-z_]+)\b(?=\s*[,=]|\s*$)", code))
    for path in repository_files():
        if path.suffix not in (".hpp", ".md"):
            continue
        text = text_of(path) or ""
        for found in re.finditer(r"\berrc::([a-z_]+)\b", text):
            # Boost and the standard library have an errc of their own.
            if not re.search(r"(boost::system|std)::(errc::)?$", text[max(0, found.start() - 22): found.start()]) \
                    and found[1] not in known and found[1] not in ("success", "errc_t"):
                report(path, line_of(text, found.start()), f"there is no errc::{found[1]}")


def anchors(text):
    """The anchors of a Markdown text, as the usual renderers make them."""
    made = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (unique := anchor if number == 0 else f"{anchor}-{number}") in made:
            number += 1
        made.add(unique)
    return made | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def check_links():
    for path in repository_files():
        if path.suffix != ".md":
            continue
        text = text_of(path) or ""
        # Same length, so that positions stay true.
        plain = re.sub(r"^```.*?^```|`[^`\n]*`", lambda code: re.sub(r"[^\n]", " ", code[0]), text, flags=re.M | re.S)
        for found in re.finditer(r"\]\(\s*<?([^)\s>]+)", plain):
            target, _, anchor = found[1].partition("#")
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            file = path if not target else (root / target[1:] if target.startswith("/") else path.parent / target)
            if not file.exists():
                report(path, line_of(text, found.start()), f"the link {found[1]} leads nowhere")
            elif anchor and file.suffix == ".md" and anchor not in anchors(text_of(file) or ""):
                report(path, line_of(text, found.start()), f"{target or 'this page'} has no heading for #{anchor}")


def check_texts():
    # Put together from parts, so that this file does not find itself.
    forbidden = {
        "PRIVATE" + " KEY-----": "a private key",
        r"\bTO" + r"DO\b": "a reminder; do it, or write an issue",
        r"\bFIX" + r"ME\b": "a reminder; do it, or write an issue",
        r"\bX" + r"XX\b(?!X)": "a reminder; do it, or write an issue",
        r"(?<![\w/.$}~])/(home|Us" + r"ers)/[A-Za-z0-9_.-]+/": "a path of somebody's home",
        r"(?<![\w/.$}~])/ro" + r"ot/\.?\w+": "a path of somebody's home",
    }
    for path in repository_files():
        text = text_of(path)
        if text is None:
            continue
        for pattern, what in forbidden.items():
            for found in re.finditer(pattern, text):
                report(path, line_of(text, found.start()), f"{what}: {found[0]}")


def check_layout(fix):
    generated = ("tools/unicode/", "test/data/", "test/fuzz/corpus/")
    for path in repository_files():
        name = str(path.relative_to(root))
        text = text_of(path)
        if text is None or not text or name.startswith(generated):
            continue
        mended = text
        if path.suffix != ".md":
            mended = re.sub(r"[ \t]+$", "", mended, flags=re.M)
        mended = mended.replace("\r\n", "\n").rstrip("\n") + "\n"
        if mended != text:
            if fix:
                path.write_text(mended, encoding="utf-8")
            else:
                report(path, 1, "blanks at the end of a line, or not one end of line at the end (--fix mends it)")
        if path.suffix == ".hpp":
            inside = re.sub(r"^(include|src)/", "", name)
            inside = inside if inside.startswith("holdfast/") else f"holdfast/{inside}"
            guard = re.sub(r"[^A-Z0-9]", "_", inside.upper())
            found = re.search(r"^#ifndef (\w+)\n#define (\w+)$", text, re.M)
            if found is None or found[1] != found[2]:
                report(path, 1, "no include guard")
            elif not found[1].startswith("HOLDFAST_") or guard.rsplit("_", 2)[-2] not in found[1]:
                report(path, line_of(text, found.start()), f"the include guard {found[1]} should be {guard}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="mend what can be mended without thought")
    arguments = parser.parse_args()

    check_layout(arguments.fix)
    check_backends()
    check_async()
    check_errors()
    check_links()
    check_texts()
    for finding in sorted(findings):
        print(finding)
    if findings:
        sys.exit(f"{len(findings)} findings")


if __name__ == "__main__":
    main()
