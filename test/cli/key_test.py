#!/usr/bin/env python3
"""Tests `holdfast key` against the vectors and against a second implementation, test/data/names/ref_names.py.

Usage: key_test.py HOLDFAST [UNITTEST ARGUMENTS]
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "names"
sys.path.insert(0, str(DATA))
sys.dont_write_bytecode = True
import ref_names as ref  # noqa: E402

HOLDFAST = None
RANDOM_NAMES = 100_000
SEED = 20240917

# File of vectors: the command's options. The paths of the file vectors are under /locks.
VECTORS = {
    "file": ["--backend=file", "--directory=/locks"],
    "waithandle": ["--backend=system"],
    "waithandle-semaphore": ["--backend=system", "--kind=semaphore"],
    "waithandle-exact": ["--backend=system", "--exact"],
    "postgres": ["--backend=postgres"],
    "postgres-nohash": ["--backend=postgres", "--exact"],
    "mysql": ["--backend=mysql"],
    "mysql-exact": ["--backend=mysql", "--exact"],
    "sqlserver": ["--backend=sqlserver", "--kind=rw"],
    "sqlserver-exact": ["--backend=sqlserver", "--exact"],
    "sqlserver-semaphore": ["--backend=sqlserver", "--kind=semaphore"],
    "oracle": ["--backend=oracle"],
    "oracle-exact": ["--backend=oracle", "--exact"],
    "redis": ["--backend=redis"],
    "mongo": ["--backend=mongodb"],
    "zookeeper": ["--backend=zookeeper"],
    "zookeeper-dir": ["--backend=zookeeper", "--directory=/my/dir"],
    "zookeeper-exact": ["--backend=zookeeper", "--exact"],
    "azure": ["--backend=azure"],
    "azure-emulator": ["--backend=azure", "--emulator"],
}


def key(*arguments, names=None, cwd=None):
    """Runs the command; `names` go to its standard input. Returns status, lines and the text of standard error."""
    data = b"" if names is None else b"".join(json.dumps(name).encode() + b"\n" for name in names)
    return key_raw(*arguments, *([] if names is None else ["--json"]), data=data, cwd=cwd)


def key_raw(*arguments, data=b"", cwd=None):
    done = subprocess.run([HOLDFAST, "key", *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=cwd, timeout=60, check=False)
    # Strict: what it prints must be UTF-8, and no character inside an object may pass for the end of a line.
    lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    return done.returncode, lines, done.stderr.decode("utf-8", "replace")


def read_vectors(file):
    with open(DATA / f"{file}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Vectors(unittest.TestCase):
    def test_all(self):
        for file, options in VECTORS.items():
            rows = read_vectors(file)
            status, lines, errors = key(*options, names=[row["name"] for row in rows])
            self.assertEqual(errors, "")
            self.assertEqual(len(lines), len(rows))
            self.assertEqual(status, 1 if any("error" in row for row in rows) else 0)
            for row, line in zip(rows, lines):
                with self.subTest(file=file, name=row["name"]):
                    self.assertEqual(line["name"], row["name"])
                    if "error" in row:
                        self.assertNotIn("mapped", line)
                        self.assertTrue(line["error"])
                        continue
                    self.assertEqual(line["mapped"], row["mapped"])
                    if "sqlKind" in row:
                        self.assertEqual(line["space"], row["sqlKind"])
                        self.assertEqual(line.get("key"), row.get("int64"))
                        self.assertEqual(line.get("key1"), row.get("key1"))
                        self.assertEqual(line.get("key2"), row.get("key2"))

    def test_redis_kinds(self):
        rows = read_vectors("redis")
        names = [row["name"] for row in rows]
        for row, line in zip(rows, key("--backend=redis", "--kind=rw", names=names)[1]):
            self.assertEqual(line, {"name": row["name"], "readers": row["readers"], "writer": row["writer"]})
        for row, line in zip(rows, key("--backend=redis", "--kind=semaphore", names=names)[1]):
            self.assertEqual(line, {"name": row["name"], "mapped": row["semaphore"]})

    def test_as_arguments(self):
        # No argument can hold a NUL, and all together must fit the system's limit.
        rows = [row for row in read_vectors("file") if "\0" not in row["name"] and len(row["name"]) < 2000]
        status, lines, _ = key("--backend=file", "--directory=/locks", "--", *[row["name"] for row in rows])
        self.assertEqual(status, 0)
        self.assertEqual([line["mapped"] for line in lines], [row["mapped"] for row in rows])


def random_name(source):
    """Like the names people use, and like those that break things."""
    alphabets = (
        "abcdefghijklmnopqrstuvwxyz0123456789-_/.",
        "ABCDEFabcdef0123456789,",
        "/\\. _",
        "".join(map(chr, range(128))),
        "äÖéßİıΣσςКжאبहไ語한ǅͅ٣ⅧⒶ\u0301\u200d\u00a0\u0085\u2028\u2029",
        "😀🦊𐐀𐐨𠀀\U0001e921\U0010ffff",
    )
    kind = source.random()
    if kind < 0.15:
        return "".join(source.choices("0123456789abcdefABCDEF", k=8)) + source.choice(("", ",", ";")) + "".join(
            source.choices("0123456789abcdefABCDEF\0", k=source.choice((7, 8, 8, 8))))
    length = source.choice((0, 1, 2, 5, 8, 9, 10, 16, 17, 26, 27, 28, 31, 32, 33, 63, 64, 65)) if kind < 0.9 else \
        source.choice((127, 128, 129, 167, 168, 169, 252, 253, 254, 255, 256, 257, 260, 261))
    if kind > 0.998:
        length = source.choice((935, 936, 937, 1023, 1024, 1025))
    if kind < 0.7:
        return "".join(source.choices(source.choice(alphabets), k=length))
    characters = []
    while len(characters) < length:
        if source.random() < 0.5:
            characters.append(source.choice(source.choice(alphabets)))
        else:
            code_point = source.randrange(0x10000) if source.random() < 0.8 else source.randrange(0x110000)
            if not 0xD800 <= code_point <= 0xDFFF:
                characters.append(chr(code_point))
    return source.choice(("", "", "", "Global\\")) + "".join(characters)


def on_the_wire(units):
    return ref.utf8(units).decode("utf-8")


def length(name):
    return len(ref.units(name))


def lower(name):
    return on_the_wire(ref.tolower(ref.units(name)))


def hex_text(number, bits):
    return format(number & ((1 << bits) - 1), f"0{bits // 4}x")


def ref_postgres(name, hashing):
    ready, single, high, low = ref.pg(ref.units(name))
    if not (ready or hashing):
        return None
    if single:
        number = (high << 32) | (low & 0xFFFFFFFF)
        return {"mapped": hex_text(number, 64), "space": "int64", "key": number}
    text = name if len(name) <= 9 else f"{hex_text(high, 32)},{hex_text(low, 32)}"
    return {"mapped": text, "space": "int32pair", "key1": high, "key2": low}


def ref_azure(name, limit):
    segments = []
    for segment in on_the_wire(ref.az(ref.units(name), limit)).strip("/").split("/"):
        if segment == ".." and not segments:
            return None
        if segment == "..":
            segments.pop()
        elif segment != ".":
            segments.append(segment)
    return {"mapped": "/".join(segments)}


def ref_zookeeper_exact(path):
    segments = path.split("/")
    bad = any(unit == 0 or ref.badzk(unit) for unit in ref.units(path))
    if not path.startswith("/") or bad or path == "/" or any(s in ("", ".", "..") for s in segments[1:]):
        return None
    return {"mapped": path}


def ref_system_exact(name):
    rest = name[len("Global\\"):]
    fits = name.startswith("Global\\") and rest and "\\" not in rest and length(name) <= 260
    return {"mapped": name} if fits else None


def mapped(function):
    return lambda name: {"mapped": on_the_wire(function(ref.units(name)))}


def same_if(fits):
    return lambda name: {"mapped": name} if fits(name) else None


# Options, and what the second implementation says: the members that follow "name", or None for an error.
REFERENCES = [
    (["--backend=file", "--directory=/d"], mapped(ref.filename)),
    (["--backend=system"], mapped(ref.wh)),
    (["--backend=system", "--exact"], ref_system_exact),
    (["--backend=postgres"], lambda name: ref_postgres(name, True)),
    (["--backend=postgres", "--exact"], lambda name: ref_postgres(name, False)),
    (["--backend=mysql"], mapped(ref.mysql)),
    (["--backend=mysql", "--exact"], same_if(lambda n: n and length(n) <= 64 and lower(n) == n)),
    (["--backend=sqlserver"], mapped(ref.sql)),
    (["--backend=sqlserver", "--exact"], same_if(lambda n: length(n) <= 255)),
    (["--backend=sqlserver", "--kind=semaphore"], mapped(ref.sqlsem)),
    (["--backend=oracle", "--kind=rw"], mapped(ref.ora)),
    (["--backend=oracle", "--exact"], same_if(lambda n: n and length(n) <= 128)),
    (["--backend=redis"], lambda name: {"mapped": name}),
    (["--backend=redis", "--kind=rw"], lambda name: {"readers": name + ".readers", "writer": name + ".writer"}),
    (["--backend=mongodb"], lambda name: {"mapped": name}),
    (["--backend=zookeeper"], mapped(lambda units: ref.zk(units, "/"))),
    (["--backend=zookeeper", "--directory=/a/b"], mapped(lambda units: ref.zk(units, "/a/b"))),
    (["--backend=zookeeper", "--exact"], ref_zookeeper_exact),
    (["--backend=azure"], lambda name: ref_azure(name, 1024)),
    (["--backend=azure", "--emulator"], lambda name: ref_azure(name, 256)),
]


class SecondImplementation(unittest.TestCase):
    def test_random_names(self):
        source = random.Random(SEED)
        names = [random_name(source) for _ in range(RANDOM_NAMES)]
        backends = set()
        for number, (options, function) in enumerate(REFERENCES):
            # Each backend's first mapping gets all names; the others a share, another one each time.
            first = options[0] not in backends
            backends.add(options[0])
            share = names if first else names[number % 4::4]
            _, lines, errors = key(*options, names=share)
            self.assertEqual(errors, "")
            self.assertEqual(len(lines), len(share))
            refused = 0
            for name, line in zip(share, lines):
                expected = function(name)
                if expected is None:
                    refused += 1
                    self.assertEqual(list(line), ["name", "error"], f"{options} must refuse {name!a}")
                elif line != {"name": name, **expected}:
                    self.fail(f"{options}: {name!a} gives {line!a}, not {expected!a} (seed {SEED})")
            self.assertLess(refused, len(share), options)


class Input(unittest.TestCase):
    def test_bad_utf8_in_arguments(self):
        status, lines, _ = key_raw("--backend=redis", "good", b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", "fine")
        self.assertEqual(status, 1)
        self.assertEqual([("mapped" in line) for line in lines], [True, False, False, False, True])
        self.assertIn("UTF-8", lines[1]["error"])

    def test_names_that_look_like_something_else(self):
        names = ["[a,b]", "[]", "{}", "%%", "++", "key", "run", "", " ", "a=b", "'", '"', "-x", "--", "--json", "--help"]
        status, lines, _ = key_raw("--backend=redis", "--", *names)
        self.assertEqual(status, 0)
        self.assertEqual([line["mapped"] for line in lines], names)

    def test_options_after_names(self):
        status, lines, _ = key_raw("a", "--backend=redis", "b", "--", "-c")
        self.assertEqual(status, 0)
        self.assertEqual([line["mapped"] for line in lines], ["a", "b", "-c"])

    def test_lone_surrogates(self):
        data = rb'''"\ud83d"
"a\udc00b"
"\ud83d\ude00"
"\ud83d\ud83d\ude00"
"\\ud83d"
"\ude00\ud83d"
"\uD83Dx"
'''
        status, lines, _ = key_raw("--backend=mongodb", "--json", data=data)
        self.assertEqual(status, 1)
        self.assertEqual([("mapped" in line) for line in lines], [False, False, True, False, True, False, False])
        self.assertEqual(lines[2]["mapped"], "😀")
        self.assertEqual(lines[4]["mapped"], "\\ud83d")
        for line in lines:
            self.assertEqual("error" in line, "mapped" not in line)
            self.assertIsNotNone(line["name"])

    def test_lines_that_are_no_json_strings(self):
        bad = [b"", b"x", b"1", b"null", b'["a"]', b'{"name":"a"}', b'"a" "b"', b'"a', b'"\\x"', b'"\xff"',
               b'"\xed\xa0\x80"', b"1e999", b"[" * 100_000]
        status, lines, _ = key_raw("--backend=redis", "--json", data=b'"a"\n' + b"\n".join(bad) + b'\n"b"')
        self.assertEqual(status, 1)
        self.assertEqual(len(lines), len(bad) + 2)
        self.assertEqual(lines[0], {"name": "a", "mapped": "a"})
        self.assertEqual(lines[-1], {"name": "b", "mapped": "b"})
        for number, line in enumerate(lines[1:-1], start=2):
            self.assertIn(f"line {number} ", line["error"])

    def test_line_ends(self):
        status, lines, _ = key_raw("--backend=redis", "--json", data=b'"a"\r\n  "b"  \n"c\\u0000\\n"')
        self.assertEqual(status, 0)
        self.assertEqual([line["mapped"] for line in lines], ["a", "b", "c\0\n"])

    def test_no_lines(self):
        self.assertEqual(key_raw("--backend=redis", "--json")[:2], (0, []))

    def test_a_long_name(self):
        name = "n" * 3_000_000
        status, lines, _ = key("--backend=redis", names=[name, "x"])
        self.assertEqual(status, 0)
        self.assertEqual([line["mapped"] for line in lines], [name, "x"])

    def test_answers_come_as_the_questions_do(self):
        with subprocess.Popen([HOLDFAST, "key", "--backend=redis", "--json"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            for name in ("a", "b"):
                process.stdin.write(json.dumps(name).encode() + b"\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["mapped"], name)
            process.stdin.close()
            self.assertEqual(process.wait(), 0)

    def test_100000_names_are_quick(self):
        data = b"".join(b'"order/%d"\n' % number for number in range(100_000))
        begin = time.monotonic()
        done = subprocess.run([HOLDFAST, "key", "--backend=file", "--directory=/d", "--json"], input=data,
                              stdout=subprocess.PIPE, check=True)
        # A tenth of this is usual; sanitizers and a loaded machine take their share.
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(done.stdout.count(b"\n"), 100_000)


class Usage(unittest.TestCase):
    def refused(self, *arguments):
        status, lines, errors = key_raw(*arguments)
        self.assertEqual((status, lines), (64, []), arguments)
        self.assertTrue(errors)
        return errors

    def test_kinds(self):
        kinds = {
            "file": ["lock"], "system": ["lock", "semaphore"], "postgres": ["lock", "rw"], "mysql": ["lock"],
            "sqlserver": ["lock", "rw", "semaphore"], "oracle": ["lock", "rw"], "redis": ["lock", "rw", "semaphore"],
            "mongodb": ["lock"], "zookeeper": ["lock", "rw", "semaphore"], "azure": ["lock"],
        }
        for backend, has in kinds.items():
            for kind in ("lock", "rw", "semaphore"):
                arguments = [f"--backend={backend}", f"--kind={kind}", "abc"]
                if kind in has:
                    self.assertEqual(key_raw(*arguments)[0], 0, arguments)
                else:
                    self.assertIn(", ".join(has), self.refused(*arguments))

    def test_mistakes(self):
        self.refused()
        self.refused("abc")
        self.assertIn("zookeeper", self.refused("--backend=zoo", "abc"))
        self.assertIn("semaphore", self.refused("--backend=redis", "--kind=mutex", "abc"))
        self.refused("--backend=redis")
        self.refused("--backend=redis", "--json", "abc")
        self.refused("--backend=redis", "--bogus", "abc")
        self.refused("--backend", "redis", "--kind")
        self.refused("--backend=redis", "--directory=/a", "abc")
        self.refused("--backend=redis", "--emulator", "abc")
        self.refused("--backend=file", "--exact", "--directory=/a", "/abc")
        self.refused("--backend=sqlserver", "--kind=semaphore", "--exact", "abc")
        self.assertIn("directory", self.refused("--backend=zookeeper", "--directory=a", "abc"))
        self.assertIn("directory", self.refused("--backend=file", "--directory", "", "abc"))
        self.refused("--backend=file", b"--directory=/\xff", "abc")

    def test_help(self):
        done = subprocess.run([HOLDFAST, "key", "--help"], stdout=subprocess.PIPE, check=True)
        text = done.stdout.decode()
        self.assertIn("Examples:", text)
        for backend in ("file", "system", "postgres", "mysql", "sqlserver", "oracle", "redis", "mongodb", "zookeeper",
                        "azure"):
            self.assertIn(backend, text)

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([HOLDFAST, "key", "--backend=redis", "abc"], stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn(b"standard output", done.stderr)


class Paths(unittest.TestCase):
    def test_relative(self):
        with tempfile.TemporaryDirectory() as directory:
            directory = os.path.realpath(directory)
            name = "abc56LLTQOSBT6ULGHITLS4KQEIRREMO53J.lock"
            self.assertEqual(key_raw("--backend=file", "--directory=x/../y", "abc", cwd=directory)[1][0]["mapped"],
                             f"{directory}/y/{name}")
            self.assertEqual(key_raw("--backend=file", "--exact", "./a", "/b//c", cwd=directory)[1],
                             [{"name": "./a", "mapped": f"{directory}/a"}, {"name": "/b//c", "mapped": "/b/c"}])

    def test_exact_paths_that_are_no_files(self):
        status, lines, _ = key("--backend=file", "--exact", names=["", "/", "/a/", "a\0b", "/a"])
        self.assertEqual(status, 1)
        self.assertEqual([("mapped" in line) for line in lines], [False, False, False, False, True])

    def test_default_directory_is_the_users_own(self):
        path = key_raw("--backend=file", "abc")[1][0]["mapped"]
        self.assertRegex(path, rf"^/(run/lock|var/lock|tmp)/holdfast-{os.geteuid()}/abc[A-Z2-7]{{32}}\.lock$")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    HOLDFAST = os.path.abspath(sys.argv.pop(1))
    unittest.main()
