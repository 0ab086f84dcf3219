"""holdfast.exe, under Wine: HOLDFAST is the program, UNDER what runs it, and CHILD a command for it to run."""

import fcntl
import json
import os
import pty
import subprocess
import termios
import threading
import unittest

UNDER = os.environ["UNDER"]
HOLDFAST = os.environ["HOLDFAST"]
CHILD = "Z:" + os.environ["CHILD"].replace("/", "\\")


def holdfast(*arguments, **more):
    return subprocess.run([UNDER, HOLDFAST, *arguments], capture_output=True, timeout=60, **more)


def run(*arguments, **more):
    return holdfast("run", "--url", "system:", *arguments, **more)


class Background:
    """A `holdfast run` that holds a lock until it is let go."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([UNDER, HOLDFAST, "run", *arguments, "--", CHILD, "sleep"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        timer = threading.Timer(30, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line.startswith(b"ready"), line

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class OnConsole:
    """A `holdfast run` on a console of its own, which Wine makes of a terminal."""

    def __init__(self, *arguments):
        self.keys, terminal = pty.openpty()
        self.process = subprocess.Popen([UNDER, HOLDFAST, "run", "-v", *arguments], stdin=terminal,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.timer = threading.Timer(30, self.process.kill)
        self.timer.start()

    def await_line(self, source, beginning):
        while True:
            line = source.readline()
            if line.startswith(beginning):
                return line
            if not line:
                raise AssertionError("ended without %r" % beginning)

    def press_ctrl_c(self):
        os.write(self.keys, b"\x03")

    def wait(self):
        rest = self.process.communicate()
        self.timer.cancel()
        os.close(self.keys)
        return self.process.returncode, *rest


class CtrlC(unittest.TestCase):
    def test_reaches_the_command_which_decides(self):
        running = OnConsole("--url", "system:", "ctrl-c", "--", CHILD, "sleep")
        running.await_line(running.process.stdout, b"ready")
        running.press_ctrl_c()
        status, output, errors = running.wait()
        self.assertEqual((status, output), (42, b"control 0\r\n"), errors)
        # It was given back, and not found by its next user to be a dead holder's.
        self.assertIn(b'released "ctrl-c"', errors)

    def test_ends_a_wait(self):
        for url in ("system:", "file:///C:/ctrl-c"):
            holder = Background("--url", url, "ctrl-c-wait")
            waiting = OnConsole("--url", url, "ctrl-c-wait", "--", CHILD, "exit", "0")
            waiting.await_line(waiting.process.stderr, b"holdfast: waiting")
            waiting.press_ctrl_c()
            status, _, errors = waiting.wait()
            # Of 0xC000013A, as much as Linux' wait tells.
            self.assertEqual(status, 0x3A, errors)
            self.assertNotIn(b"started", errors)
            holder.end()


class Run(unittest.TestCase):
    def test_arguments_arrive_as_they_are(self):
        given = ["", "a b", '"', 'a"b', "\\", "a\\", "a b\\", 'a\\"b', '\\\\"', "a b\\\\", "\t", "%PATH%", "^&|<>",
                 "*", "'", "\u00e4\U0001F512"]
        result = run("quoting", "--", CHILD, "echo", *given)
        self.assertEqual(result.returncode, 0, result.stderr)
        shown = ["".join(c if " " <= c < "\x7f" else "".join(
            "<%04X>" % int.from_bytes(c.encode("utf-16-be")[i:i + 2], "big")
            for i in range(0, len(c.encode("utf-16-be")), 2)) for c in each) for each in given]
        self.assertEqual(result.stdout.decode().split("\r\n")[:-1], ["[%s]" % each for each in shown])

    def test_the_exit_status_is_the_commands(self):
        for status in (0, 1, 75, 200):
            self.assertEqual(run("status", "--", CHILD, "exit", str(status)).returncode, status)

    def test_what_cannot_be_run(self):
        missing = run("x", "--", "no-such-program")
        self.assertEqual(missing.returncode, 127, missing.stderr)
        batch = run("x", "--", "C:\\some.bat", "a")
        self.assertEqual(batch.returncode, 126, batch.stderr)
        self.assertIn(b"cmd /c", batch.stderr)

    def test_wrong_use(self):
        self.assertEqual(run("x").returncode, 64)
        self.assertEqual(run("--json-fd", "3", "x", "--", CHILD).returncode, 64)
        self.assertEqual(holdfast("run", "--url", "system:?scope=user", "x", "--", CHILD).returncode, 78)

    def test_the_environment(self):
        more = dict(os.environ, HOLDFAST_URL="system:", HOLDFAST_TEST="stays")
        result = holdfast("run", "one", "two \u00e4", "--", CHILD, "environment", env=more)
        self.assertEqual(result.stdout.decode().split("\r\n")[:-1],
                         ["HOLDFAST_NAME=one", "HOLDFAST_NAME_2=two <00E4>", "HOLDFAST_URL=", "HOLDFAST_TEST=stays"])

    def test_a_held_lock_is_refused_and_had_again(self):
        for arguments in (["--url", "system:", "held"], ["held"], ["--url", "system:", "--semaphore", "1", "tickets"]):
            holder = Background(*arguments)
            result = holdfast("run", "--try", *arguments, "--", CHILD, "exit", "0")
            self.assertEqual(result.returncode, 75, result.stderr)
            holder.end()

    def test_the_command_dies_with_a_killed_holdfast(self):
        result = subprocess.run([UNDER, os.environ["CHILD"], "kill", "Z:" + HOLDFAST.replace("/", "\\")],
                                capture_output=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (0, b"ended\r\n"), result.stderr)
        # And the lock is free, though nobody gave it back.
        self.assertEqual(run("--timeout", "20s", "killed", "--", CHILD, "exit", "7").returncode, 7)


class Others(unittest.TestCase):
    def test_key(self):
        result = holdfast("key", "--backend", "system", "a\\b", "Global\\x")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([json.loads(line)["mapped"][:9] for line in result.stdout.splitlines()],
                         ["Global\\a_", "Global\\x"])

    def test_list_of_files(self):
        holder = Background("listed")
        result = holdfast("list", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = [json.loads(line) for line in result.stdout.decode().splitlines()]
        self.assertTrue(any("listed" in each["key"] and each["state"] == "held" for each in found), found)
        holder.end()

    def test_list_of_kernel_objects(self):
        for arguments, expected in (
                (["one held"], {"key": "Global\\one held", "state": "held", "access": "exclusive"}),
                (["--semaphore", "2", "two"],
                 {"key": "Global\\two", "state": "held", "access": "ticket", "taken": "1", "tickets": "2"})):
            holder = Background("--url", "system:", *arguments)
            result = holdfast("list", "--url", "system:", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(expected, [json.loads(line) for line in result.stdout.splitlines()])
            holder.end()

    def test_doctor(self):
        for url in ("system:", "file:///C:/doctored"):
            result = holdfast("doctor", "--clean", "--json", url)
            self.assertEqual(result.returncode, 0, result.stderr)
            found = {line["subject"]: line["grade"] for line in map(json.loads, result.stdout.splitlines())}
            self.assertEqual((found["locking"], found["clean"]), ("ok", "ok"), found)

    def test_doctor_removes_files_that_nobody_holds(self):
        holder = Background("--url", "file:///C:/cleaned", "held")
        killed = Background("--url", "file:///C:/cleaned?keep=true", "left")
        killed.end()
        result = holdfast("doctor", "--clean", "file:///C:/cleaned")
        self.assertIn(b"deleted 1 lock files that nobody held", result.stdout, result.stderr)
        listed = holdfast("list", "--url", "file:///C:/cleaned").stdout
        self.assertIn(b": held", listed)
        self.assertNotIn(b": free", listed)
        holder.end()

    def test_bench_of_something_else(self):
        self.assertEqual(holdfast("bench", "--url", "redis://127.0.0.1").returncode, 78)
        result = holdfast("bench", "--url", "memory:", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(json.loads(result.stdout)["p50_us"], 0)

    def test_help_and_version(self):
        self.assertEqual(holdfast("--help").returncode, 0)
        self.assertEqual(holdfast("run", "--help").returncode, 0)
        self.assertEqual(holdfast("--version").returncode, 0)
        self.assertEqual(holdfast("no-such-thing").returncode, 64)


if __name__ == "__main__":
    unittest.main()
