"""holdfast.exe, under Wine: HOLDFAST is the program, UNDER what runs it, and CHILD a command for it to run."""

import json
import os
import subprocess
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

    def test_help_and_version(self):
        self.assertEqual(holdfast("--help").returncode, 0)
        self.assertEqual(holdfast("run", "--help").returncode, 0)
        self.assertEqual(holdfast("--version").returncode, 0)
        self.assertEqual(holdfast("no-such-thing").returncode, 64)


if __name__ == "__main__":
    unittest.main()
