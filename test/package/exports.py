"""What shared libraries of Holdfast show to those who load them: their names, and no symbol but those meant for others."""

import pathlib
import re
import subprocess

OPENS = re.compile(r"(?:inline )?namespace (\w+(?:::\w+)*) \{")
CLASS = re.compile(r"\s*(?:class|struct|enum class) (?:HOLDFAST_API )?(\w+)")
FUNCTION = re.compile(r"HOLDFAST_API [^(]*?(\w+)\(")

# In front of the name itself: of a virtual table, of type information, of a guard, of a variable in a function.
SPECIAL = re.compile(r"_Z(?:T[VTIS]|GV|Th\w+?_)?Z*")
# Templates and inline functions of headers that both sides include; one copy of each must serve them all, or Asio's
# services and Boost's error categories would differ between libraries.
HEADERS = re.compile(SPECIAL.pattern + r"N?[rVKRO]*(?:St|Sa|Ss|5boost|9__gnu_cxx|\d+boost_asio_)")


def marked(source):
    """The qualified names that headers mark with HOLDFAST_API, as tuples."""
    found = set()
    for header in sorted([*(source / "include").rglob("*.hpp"), *(source / "src").rglob("*.hpp")]):
        namespaces, last_class = [], None
        for line in header.read_text().splitlines():
            if opened := OPENS.match(line):
                namespaces.append(opened[1].split("::"))
            elif line.startswith("}") and "// namespace" in line and namespaces:
                namespaces.pop()
            if class_here := CLASS.match(line):
                last_class = class_here[1]
            if "HOLDFAST_API" not in line or line.startswith("#"):
                continue
            where = tuple(part for group in namespaces for part in group)
            function = FUNCTION.search(line)
            if class_here:
                found.add((*where, last_class))
            elif function:
                found.add((*where, *([last_class] if line[0] == " " else []), function[1]))
    return found


def path_of(symbol):
    """The qualified name of a mangled one, without what follows it: ("holdfast", "v0", "lock_handle", "release")."""
    rest = symbol[SPECIAL.match(symbol).end():]
    rest = re.sub(r"^N[rVKRO]*", "", rest)
    path = []
    while length := re.match(r"\d+", rest):
        begin, end = length.end(), length.end() + int(length[0])
        path.append(rest[begin:end])
        rest = rest[end:]
    return tuple(path)


def output(*command):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def dynamic(binary, entry):
    return re.findall(rf"\({entry}\).*\[(.*)\]", output("readelf", "--dynamic", "--wide", binary))


def faults(library, allowed):
    """What is wrong with the symbols that it exports, one text each, and how many it exports of Holdfast."""
    wrong, ours = [], 0
    for line in output("nm", "--dynamic", "--defined-only", "--format=posix", library).splitlines():
        symbol, kind = line.split()[:2]
        path = path_of(symbol) if symbol.startswith("_Z") else ()
        if path[:1] == ("holdfast",):
            ours += 1
            if not any(path[:length] in allowed for length in range(1, len(path) + 1)):
                wrong.append(f"{symbol} ({kind}): no header marks it with HOLDFAST_API")
        elif kind not in "WVu" or not HEADERS.match(symbol):
            wrong.append(f"{symbol} ({kind}): somebody else's")
    return wrong, ours


def check(source, prefix, version, programs):
    """Of all that is installed below `prefix`, and of programs that were linked with it. Returns what is wrong."""
    major, minor, _ = version.split(".")
    ending = f"{major}.{minor}" if major == "0" else major
    allowed = marked(source)
    wrong = [] if len(allowed) > 40 else [f"only {len(allowed)} names were found in the headers"]
    libraries = sorted(found for found in prefix.rglob("libholdfast_*.so") if "-" not in found.name)
    if not libraries:
        wrong.append(f"no shared libraries below {prefix}")
    for library in libraries:
        wanted = f"{library.name}.{ending}"
        if dynamic(library, "SONAME") != [wanted]:
            wrong.append(f"{library.name}: SONAME is {dynamic(library, 'SONAME')}, not {wanted}")
        if not (library.parent / wanted).exists():
            wrong.append(f"{library.name}: there is no {wanted} beside it")
        if library.resolve().name != f"{library.name}.{version}":
            wrong.append(f"{library.name}: leads to {library.resolve().name}")
        found, ours = faults(library, allowed)
        wrong += [f"{library.name}: {each}" for each in found]
        # What users call must be there: else nothing was looked at.
        if ours < 2:
            wrong.append(f"{library.name}: exports only {ours} symbols of Holdfast")
    for program in programs:
        needed = [each for each in dynamic(program, "NEEDED") if each.startswith("libholdfast_")]
        if f"libholdfast_core.so.{ending}" not in needed or not all(each.endswith(f".so.{ending}") for each in needed):
            wrong.append(f"{program.name}: needs {needed}")
    return wrong
