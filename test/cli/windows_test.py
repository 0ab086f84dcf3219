"""holdfast.exe, under Wine: HOLDFAST is the program, UNDER what runs it, and CHILD a command for it to run.

No step waits without a limit. One that comes to it says at once what it was, how far it got and who is there: the time
limit of the whole test would show nothing.
"""

import fcntl
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
import unittest

UNDER = os.environ["UNDER"]
HOLDFAST = os.environ["HOLDFAST"]
CHILD = "Z:" + os.environ["CHILD"].replace("/", "\\")

# For one step, in seconds. The longest takes one or two, on a machine that does nothing else.
LIMIT = 45


def processes():
    """Those that have our Wine: their states, their arguments, and what they write to."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % number, "rb") as file:
                if ("WINEPREFIX=" + os.environ["WINEPREFIX"]).encode() not in file.read().split(b"\0"):
                    continue
            with open("/proc/%s/stat" % number) as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
            with open("/proc/%s/cmdline" % number, "rb") as file:
                arguments = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            outputs = [os.readlink("/proc/%s/fd/%d" % (number, each)) for each in (1, 2)]
        except OSError:
            continue
        found.append("  %s %s %s %s" % (number, state, " ".join(outputs), arguments))
    return "\n".join(found)


class Running:
    """A program under Wine, whose output is read as it comes."""

    def __init__(self, program, *arguments, **more):
        self.arguments = [UNDER, program, *arguments]
        self.begin = time.monotonic()
        self.changed = threading.Condition()
        self.read = {"output": b"", "errors": b""}
        self.process = subprocess.Popen(self.arguments,
                                        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})
        self.readers = []
        for name, source in (("output", self.process.stdout), ("errors", self.process.stderr)):
            if source:
                self.readers.append(threading.Thread(target=self.keep_reading, args=(name, source), daemon=True))
                self.readers[-1].start()

    def keep_reading(self, name, source):
        with source:
            while part := os.read(source.fileno(), 65536):
                with self.changed:
                    self.read[name] += part
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def give_up(self, why):
        text = "%s, %.1f s after the start of %s\noutput: %r\nerrors: %r\nstatus: %r\nprocesses:\n%s" % (
            why, time.monotonic() - self.begin, self.arguments, self.read["output"], self.read["errors"],
            self.process.poll(), processes())
        print(text, file=sys.stderr, flush=True)
        self.kill()
        raise AssertionError(text)

    def await_line(self, name, beginning):
        """The rest of the first line that begins so."""
        deadline = time.monotonic() + LIMIT
        pattern = re.compile(b"^" + re.escape(beginning) + b"(.*)\n", re.MULTILINE)
        with self.changed:
            while not (found := pattern.search(self.read[name])):
                if not any(each.is_alive() for each in self.readers):
                    self.give_up("ended without %r" % beginning)
                if not self.changed.wait(deadline - time.monotonic()):
                    self.give_up("no %r" % beginning)
            return found[1]

    def wait(self):
        """Its status, and all that it wrote, as subprocess.run gives them."""
        deadline = time.monotonic() + LIMIT
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.give_up("it does not end")
        for each in self.readers:
            each.join(max(deadline - time.monotonic(), 1))
            if each.is_alive():
                self.give_up("it has ended, and somebody else keeps its output open")
        return subprocess.CompletedProcess(self.arguments, self.process.returncode, self.read["output"],
                                           self.read["errors"])

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)


def holdfast(*arguments, **more):
    return Running(HOLDFAST, *arguments, **more).wait()


def run(*arguments, **more):
    return holdfast("run", "--url", "system:", *arguments, **more)


class Case(unittest.TestCase):
    def assert_status(self, result, status):
        """Shows all of it, where it is another."""
        self.assertEqual(result.returncode, status, result)

    def background(self, *arguments):
        """A `holdfast run` that holds a lock until it is killed, at the end of the test at the latest."""
        started = Running(HOLDFAST, "run", *arguments, "--", CHILD, "sleep")
        self.addCleanup(started.kill)
        started.await_line("output", b"ready")
        return started

    def on_console(self, name, *arguments):
        """A `holdfast run` on a console of its own, which Wine makes of a terminal. See windows_child.cpp."""
        keys, terminal = pty.openpty()
        self.addCleanup(os.close, keys)
        started = Running(os.environ["CHILD"], "console", name, "Z:" + HOLDFAST.replace("/", "\\"), "run", "-v",
                          *arguments, stdin=terminal, start_new_session=True,
                          preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.addCleanup(started.kill)
        return started

    def press_ctrl_c(self, name):
        self.assert_status(Running(os.environ["CHILD"], "press", name).wait(), 0)


class CtrlC(Case):
    def test_reaches_the_command_which_decides(self):
        running = self.on_console("key 1", "--url", "system:", "ctrl-c", "--", CHILD, "sleep")
        running.await_line("output", b"ready")
        self.press_ctrl_c("key 1")
        result = running.wait()
        self.assert_status(result, 42)
        self.assertRegex(result.stdout, rb"^ready \d+\r\ncontrol 0\r\n$", result)
        # It was given back, and not found by its next user to be a dead holder's.
        self.assertIn(b'released "ctrl-c"', result.stderr)

    def test_ends_a_wait(self):
        for url in ("system:", "file:///C:/ctrl-c"):
            self.background("--url", url, "ctrl-c-wait")
            waiting = self.on_console("key " + url, "--url", url, "--json-fd", "1", "ctrl-c-wait", "--", CHILD, "exit",
                                      "0")
            waiting.await_line("errors", b"holdfast: waiting")
            self.press_ctrl_c("key " + url)
            result = waiting.wait()
            # Of 0xC000013A, as much as Linux' wait tells.
            self.assert_status(result, 0x3A)
            events = [json.loads(line) for line in result.stdout.splitlines()]
            self.assertEqual([each["event"] for each in events], ["waiting", "interrupted"], result)
            self.assertEqual(events[1]["signal"], 2)
            self.assertNotIn(b"started", result.stderr)


class Run(Case):
    def test_arguments_arrive_as_they_are(self):
        given = ["", "a b", '"', 'a"b', "\\", "a\\", "a b\\", 'a\\"b', '\\\\"', "a b\\\\", "\t", "%PATH%", "^&|<>",
                 "*", "'", "\u00e4\U0001F512"]
        result = run("quoting", "--", CHILD, "echo", *given)
        self.assert_status(result, 0)
        shown = ["".join(c if " " <= c < "\x7f" else "".join(
            "<%04X>" % int.from_bytes(c.encode("utf-16-be")[i:i + 2], "big")
            for i in range(0, len(c.encode("utf-16-be")), 2)) for c in each) for each in given]
        self.assertEqual(result.stdout.decode().split("\r\n")[:-1], ["[%s]" % each for each in shown])

    def test_the_exit_status_is_the_commands(self):
        for status in (0, 1, 75, 200):
            self.assert_status(run("status", "--", CHILD, "exit", str(status)), status)

    def test_what_cannot_be_run(self):
        self.assert_status(run("x", "--", "no-such-program"), 127)
        # Windows does not see what the others end with.
        for name in ("some.bat", "some.CMD", "some.bat.", "some.bat . ."):
            batch = run("x", "--", "C:\\" + name, 'a"&echo injected')
            self.assert_status(batch, 126)
            self.assertIn(b"cmd /c", batch.stderr)

    def test_wrong_use(self):
        self.assert_status(run("x"), 64)
        self.assert_status(run("--keep-until-children-exit", "x", "--", CHILD), 64)
        self.assert_status(holdfast("run", "--url", "system:?scope=user", "x", "--", CHILD), 78)

    def test_the_environment(self):
        more = dict(os.environ, HOLDFAST_URL="system:", HOLDFAST_TEST="stays")
        result = holdfast("run", "one", "two \u00e4", "--", CHILD, "environment", env=more)
        self.assertEqual(result.stdout.decode().split("\r\n")[:-1],
                         ["HOLDFAST_NAME=one", "HOLDFAST_NAME_2=two <00E4>", "HOLDFAST_URL=", "HOLDFAST_TEST=stays"])

    def test_the_url_of_the_environment_is_text_as_that_of_an_argument(self):
        # In no letters of the code page, which would make another directory of it.
        url = "file:///C:/\u0142\u9375"
        self.background("--url", url, "letters")
        more = dict(os.environ, LC_ALL="C.UTF-8", HOLDFAST_URL=url)
        self.assert_status(holdfast("run", "--try", "letters", "--", CHILD, "exit", "0", env=more), 75)
        self.assert_status(holdfast("run", "--try", "letters", "--", CHILD, "exit", "0",
                                    env=dict(more, HOLDFAST_URL=url + "2")), 0)

    def test_a_file_with_the_url_is_found_under_any_name(self):
        name = os.path.join(os.environ["WINEPREFIX"], "dosdevices", "c:", "\u0142.url")
        with open(name, "w") as file:
            file.write("system:\n")
        self.addCleanup(os.unlink, name)
        self.assert_status(holdfast("run", "--url", "@C:\\\u0142.url", "x", "--", CHILD, "exit", "0"), 0)

    def test_a_held_lock_is_refused(self):
        for arguments in (["--url", "system:", "held"], ["held"], ["--url", "system:", "--semaphore", "1", "tickets"]):
            self.background(*arguments)
            self.assert_status(holdfast("run", "--try", *arguments, "--", CHILD, "exit", "0"), 75)

    def test_what_the_command_leaves_is_gone_when_the_lock_is_free(self):
        holder = Running(HOLDFAST, "run", "--url", "system:", "left", "--", CHILD, "leave")
        self.addCleanup(holder.kill)
        left = holder.await_line("output", b"left ").strip().decode()
        # As soon as the lock is free.
        result = run("left", "--", CHILD, "is-gone", left)
        self.assertEqual(result.stdout, b"gone\r\n", result)
        self.assert_status(holder.wait(), 0)

    def test_the_command_dies_with_a_killed_holdfast(self):
        for url in ("system:", "file:///C:/killed"):
            result = Running(os.environ["CHILD"], "kill", "Z:" + HOLDFAST.replace("/", "\\"), url).wait()
            self.assertEqual((result.returncode, result.stdout), (0, b"ended\r\n"), result)
            # And the lock is free, though nobody gave it back.
            again = holdfast("run", "--url", url, "--timeout", "20s", "killed", "--", CHILD, "exit", "7")
            self.assert_status(again, 7)

    def test_killed_at_any_moment_it_leaves_nobody_with_the_lock(self):
        for milliseconds in range(0, 12, 2):
            name = "killed-%d.lock" % milliseconds
            made = os.path.join(os.environ["WINEPREFIX"], "dosdevices", "c:", name)
            holder = Running(HOLDFAST, "run", "--exact", "C:\\" + name, "--", CHILD, "sleep")
            self.addCleanup(holder.kill)
            deadline = time.monotonic() + LIMIT
            while not os.path.exists(made):
                self.assertLess(time.monotonic(), deadline, "no lock file")
                time.sleep(0.0002)
            time.sleep(milliseconds / 1000)
            holder.kill()
            result = holdfast("run", "--timeout", "40s", "--exact", "C:\\" + name, "--", CHILD, "exit", "0")
            self.assertEqual(result.returncode, 0, "%d ms: %s\n%s" % (milliseconds, result, processes()))

    def test_the_command_has_the_lock_files_and_holdfast_alone_gives_them_back(self):
        arguments = ["run", "--url", "file:///C:/inherited", "one", "two"]
        result = holdfast(*arguments, "--", CHILD, "locks")
        self.assert_status(result, 0)
        found = result.stdout.split()
        self.assertEqual([b"one" in each or b"two" in each for each in found], [True, True], result)
        self.assertEqual(len(set(found)), 2, result)
        # All of them are closed, and so the files are deleted.
        self.assertEqual(holdfast("list", "--url", "file:///C:/inherited").stdout, b"")
        result = holdfast(*arguments, "--close", "--", CHILD, "locks")
        self.assertEqual((result.returncode, result.stdout), (0, b""), result)


class Events(Case):
    """--json-fd and --json-handle"""

    def events(self, text):
        return [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]

    def lend(self, what, descriptor, *arguments):
        """See windows_child.cpp."""
        result = Running(os.environ["CHILD"], "lend", what, str(descriptor), "Z:" + HOLDFAST.replace("/", "\\"), "run",
                         *arguments).wait()
        self.assert_status(result, 0)
        return result

    def test_each_step_is_a_line_of_json(self):
        name = 'quote" \u00e9'
        for descriptor in ("1", "2"):
            result = run("--json-fd", descriptor, name, "--", CHILD, "exit", "7")
            self.assert_status(result, 7)
            events = self.events(result.stdout if descriptor == "1" else result.stderr)
            self.assertEqual([each["event"] for each in events], ["acquired", "started", "exited", "released"], result)
            self.assertEqual((events[0]["name"], events[2]["status"]), (name, 7))
            for each in events:
                self.assertRegex(each["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_conflict_and_errors_are_told(self):
        self.background("--url", "system:", "told")
        # Long enough for a first try on a busy machine: without time left there would be no wait to tell of.
        result = run("--timeout", "2s", "--json-fd", "1", "told", "--", CHILD)
        self.assertEqual([each["event"] for each in self.events(result.stdout)], ["waiting", "conflict"], result)
        result = run("--json-fd", "1", "x", "--", "no-such-program")
        self.assertEqual([each["event"] for each in self.events(result.stdout)], ["acquired", "released", "error"])
        self.assertEqual(self.events(result.stdout)[2]["exit_code"], 127)

    def test_a_file_that_the_command_writes_too(self):
        path = os.path.join(os.environ["WINEPREFIX"], "events")
        with open(path, "wb") as file:
            self.assert_status(run("--json-fd", "2", "x", "--", CHILD, "complain", stderr=file), 0)
        with open(path, "rb") as file:
            lines = file.read().splitlines()
        self.assertEqual(len(lines), 5, lines)
        self.assertIn(b"complaint", lines)
        self.assertEqual([each["event"] for each in self.events(b"\n".join(lines))],
                         ["acquired", "started", "exited", "released"])

    def test_a_descriptor_or_handle_is_inherited_by_us_and_not_by_the_command(self):
        for option, descriptor, number in (("--json-fd", 4, "4"), ("--json-fd", 17, "17"),
                                           ("--json-handle", 0, "HANDLE")):
            result = self.lend("pipe", descriptor, option, number, "lent", "--", CHILD, "has", "HANDLE")
            self.assertEqual([each["event"] for each in self.events(result.stdout)],
                             ["acquired", "started", "exited", "released"], result)
            self.assertIn(b"has it not\r\n", result.stdout)
            self.assertIn(b"status 0\r\n", result.stdout)

    def test_what_cannot_be_written(self):
        for what, descriptor, option, number, reason in (
                ("pipe", 4, "--json-fd", "0", b"from 1 to"),
                ("pipe", 4, "--json-fd", "x", b"from 1 to"),
                ("pipe", 4, "--json-fd", "5", b"--json-fd 5: not open; "),
                ("pipe", 4, "--json-fd", "123456789", b"not open; "),
                ("reading", 4, "--json-fd", "4", b"not open for writing"),
                ("reading", 0, "--json-handle", "HANDLE", b"not open for writing"),
                ("event", 0, "--json-handle", "HANDLE", b"not a file, pipe or console"),
                ("pipe", 0, "--json-handle", "4", b"not a handle that was inherited"),
                ("pipe", 0, "--json-handle", "123456788", b"not a handle that was inherited")):
            result = self.lend(what, descriptor, option, number, "x", "--", CHILD, "exit", "0")
            self.assertIn(b"status 64\r\n", result.stdout, result)
            self.assertIn(reason, result.stderr)
        self.assert_status(run("--json-fd", "1", "--json-handle", "4", "x", "--", CHILD), 64)

    def test_a_reader_that_went_away_does_no_harm(self):
        self.assertIn(b"status 5\r\n", self.lend("broken", 4, "--json-fd", "4", "x", "--", CHILD, "exit", "5").stdout)
        reader, writer = os.pipe()
        os.close(reader)
        result = run("--json-fd", "2", "x", "--", CHILD, "exit", "5", stderr=writer)
        os.close(writer)
        self.assert_status(result, 5)

    def test_a_reader_that_does_not_read_holds_nothing_up(self):
        # The first event is larger than the pipe.
        result = self.lend("full", 4, "--json-fd", "4", 600 * "x", "--", CHILD, "exit", "5")
        self.assertIn(b"status 5\r\n", result.stdout, result)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(writer, 4096 * b"x")
        os.set_blocking(writer, True)
        result = run("--json-fd", "2", "x", "--", CHILD, "exit", "5", stderr=writer)
        os.close(reader)
        os.close(writer)
        self.assert_status(result, 5)

    def test_what_was_dropped_is_told(self):
        # Of control characters, which take six bytes each.
        names = ["%d-%s" % (at, 240 * "\x7f") for at in range(60)]
        result = self.lend("late", 4, "--json-fd", "4", *names, "--", CHILD, "read-now")
        expected = [("acquired", each) for each in names] + [("started", None), ("exited", None)] + \
                   [("released", each) for each in reversed(names)]
        dropped = 0
        for each in self.events(result.stdout):
            del expected[:each.get("dropped", 0)]
            dropped += each.get("dropped", 0)
            self.assertEqual((each["event"], each.get("name")), expected.pop(0), each)
        self.assertGreater(dropped, 0, result)
        self.assertIn(b"status 0\r\n", result.stdout)


class Others(Case):
    def test_key(self):
        result = holdfast("key", "--backend", "system", "a\\b", "Global\\x")
        self.assert_status(result, 0)
        self.assertEqual([json.loads(line)["mapped"][:9] for line in result.stdout.splitlines()],
                         ["Global\\a_", "Global\\x"])

    def test_list_of_files(self):
        self.background("listed")
        result = holdfast("list", "--json")
        self.assert_status(result, 0)
        found = [json.loads(line) for line in result.stdout.decode().splitlines()]
        self.assertTrue(any("listed" in each["key"] and each["state"] == "held" for each in found), found)

    def test_list_of_kernel_objects(self):
        for arguments, expected in (
                (["one held"], {"key": "Global\\one held", "state": "held", "access": "exclusive"}),
                (["--semaphore", "2", "two"],
                 {"key": "Global\\two", "state": "held", "access": "ticket", "taken": "1", "tickets": "2"})):
            self.background("--url", "system:", *arguments)
            result = holdfast("list", "--url", "system:", "--json")
            self.assert_status(result, 0)
            self.assertIn(expected, [json.loads(line) for line in result.stdout.splitlines()])

    def test_doctor(self):
        for url in ("system:", "file:///C:/doctored"):
            result = holdfast("doctor", "--clean", "--json", url)
            self.assert_status(result, 0)
            found = {line["subject"]: line["grade"] for line in map(json.loads, result.stdout.splitlines())}
            self.assertEqual((found["locking"], found["clean"]), ("ok", "ok"), found)

    def test_doctor_removes_files_that_nobody_holds(self):
        self.background("--url", "file:///C:/cleaned", "held")
        self.background("--url", "file:///C:/cleaned?keep=true", "left").kill()
        result = holdfast("doctor", "--clean", "file:///C:/cleaned")
        self.assertIn(b"deleted 1 lock files that nobody held", result.stdout, result)
        listed = holdfast("list", "--url", "file:///C:/cleaned").stdout
        self.assertIn(b": held", listed)
        self.assertNotIn(b": free", listed)

    def test_bench_of_something_else(self):
        self.assert_status(holdfast("bench", "--url", "redis://127.0.0.1"), 78)
        result = holdfast("bench", "--url", "memory:", "--json")
        self.assert_status(result, 0)
        self.assertGreater(json.loads(result.stdout)["p50_us"], 0)

    def test_help_and_version(self):
        self.assert_status(holdfast("--help"), 0)
        result = holdfast("run", "--help")
        self.assert_status(result, 0)
        self.assertIn(b"--json-handle N", result.stdout)
        self.assert_status(holdfast("--version"), 0)
        self.assert_status(holdfast("no-such-thing"), 64)


if __name__ == "__main__":
    unittest.main()
