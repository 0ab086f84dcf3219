#!/usr/bin/env python3
"""What the scripts at the top refuse: never a run of nothing that passes."""

import os
import pathlib
import signal
import subprocess
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def run(*command):
    """Ends it with all that it has started where it goes on instead of refusing."""
    process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,
                               env={**os.environ, "HOLDFAST_SKIP_INSTALL": "1"})
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return process.returncode, out, err


class RunTests(unittest.TestCase):
    def assert_refused(self, *arguments, text):
        status, out, err = run("./run-tests", *arguments)
        self.assertEqual(status, 2, (arguments, out, err))
        self.assertIn(text, err, arguments)
        self.assertIn("--help", err, arguments)
        self.assertEqual(out, "", arguments)

    def test_refuses_only_without_a_step(self):
        for nothing in ([], [""], ["  "]):
            self.assert_refused("--only", *nothing, text="needs the steps")

    def test_refuses_unknown_steps(self):
        for steps in ("nix", "lint nix", "nix lint", "Lint", "lint,asan", "*", "lint*"):
            unknown = steps.replace("lint ", "").split()[0]
            self.assert_refused("--only", steps, text=f"unknown step '{unknown}'")

    def test_refuses_arguments_that_it_does_not_know(self):
        for arguments, unknown in ((["nix"], "nix"), (["--all", "--onyl"], "--onyl"), (["--only", "lint", "asan"], "asan")):
            self.assert_refused(*arguments, text=f"unknown argument '{unknown}'")
        self.assert_refused("", text="empty argument")

    def test_tells_of_the_steps(self):
        status, out, _ = run("./run-tests", "--help")
        self.assertEqual(status, 0)
        for step in "lint asan tsan fuzz wine wine-all release".split():
            self.assertIn(step, out)


class Quickstart(unittest.TestCase):
    def test_refuses_arguments(self):
        status, _, err = run("./quickstart", "nix")
        self.assertEqual(status, 2, err)
        self.assertIn("no arguments", err)


if __name__ == "__main__":
    unittest.main()
