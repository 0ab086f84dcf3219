"""Lock files shared with a .NET program: each side excludes the other, and hands the lock over.

Needs the .NET SDK; without it the test is skipped (exit status 77). LOCK_HOLDER is the second program of the tests.
"""

import os
import pathlib
import tempfile
import time
import unittest

import programs
from programs import Program


class SharedWithDotNet(unittest.TestCase):
    program = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = pathlib.Path(folder.name) / "locks"
        self.name = "orders/42 für \U0001F600"
        # What Holdfast maps the name to, as the file shows that it makes.
        holder = self.holdfast("hold")
        holder.read()
        (self.path,) = self.directory.iterdir()
        holder.ask("now")
        self.assertTrue(holder.read().startswith("released"))
        self.dotnet = self.start("dotnet", str(self.program), str(self.directory), self.name, str(self.path))
        self.ready = self.dotnet.read()
        self.assertTrue(self.ready.startswith("ready"), self.ready)

    def start(self, *command):
        started = Program(*command)
        self.addCleanup(started.close)
        return started

    def holdfast(self, what):
        return self.start(os.environ["LOCK_HOLDER"], f"file://{self.directory}", self.name, what)

    def test_each_is_busy_for_the_other(self):
        trying = self.holdfast("try")
        trying.read()
        for _ in range(50):
            self.assertEqual(self.dotnet.ask("try"), "got")
            self.assertTrue(trying.ask("try").startswith("busy"))
            self.assertEqual(self.dotnet.ask("release"), "released")
            self.assertTrue(trying.ask("try").startswith("got"))
        holder = self.holdfast("hold")
        holder.read()
        for _ in range(50):
            self.assertEqual(self.dotnet.ask("try"), "busy")
        holder.ask("now")
        self.assertTrue(holder.read().startswith("released"))
        self.assertEqual(self.dotnet.ask("try"), "got")
        print(f"\n    with {self.ready.removeprefix('ready ')}", end=" ")

    def test_holdfast_waiting_has_it_at_once(self):
        took = []
        for _ in range(20):
            self.assertEqual(self.dotnet.ask("try"), "got")
            waiting = self.holdfast("hold")
            self.wait_until_asleep(waiting.process.pid)
            began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self.dotnet.send("release")
            took.append((int(waiting.read().removeprefix("held ")) - began) / 1e6)
            self.assertEqual(self.dotnet.read(), "released")
            waiting.ask("now")
            self.assertTrue(waiting.read().startswith("released"))
        took.sort()
        print(f"\n    .NET -> Holdfast: p50 {took[10]:.2f} ms, max {took[-1]:.2f} ms", end=" ")
        self.assertLess(took[-1], 500)

    def wait_until_asleep(self, process):
        """In the kernel, waiting for the lock: the file is open by then."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
                files = {os.readlink(each) for each in pathlib.Path(f"/proc/{process}/fd").iterdir()}
            except OSError:
                continue
            if state == "S" and str(self.path) in files:
                return
        self.fail("does not wait")

    def test_dotnet_waiting_has_it_by_its_next_look(self):
        for _ in range(3):
            holder = self.holdfast("hold")
            holder.read()
            self.dotnet.send("hold")
            holder.ask("now")
            self.assertTrue(holder.read().startswith("released"))
            began = time.monotonic()
            self.assertEqual(self.dotnet.read(), "held")
            self.assertLess(time.monotonic() - began, 3)
            self.assertEqual(self.dotnet.ask("release"), "released")

    def test_killed_dotnet_leaves_it_free(self):
        self.assertEqual(self.dotnet.ask("try"), "got")
        waiting = self.holdfast("hold")
        self.wait_until_asleep(waiting.process.pid)
        self.dotnet.kill()
        self.assertTrue(waiting.read().startswith("held"))

    def test_killed_holdfast_leaves_it_free(self):
        holder = self.holdfast("hold")
        holder.read()
        self.assertEqual(self.dotnet.ask("try"), "busy")
        holder.kill()
        self.assertEqual(self.dotnet.ask("try"), "got")


def make():
    """With the package where it can be had, else with the runtime alone."""
    try:
        SharedWithDotNet.program = programs.make("files", "WithPackage=true")
    except programs.NotToBeHad:
        SharedWithDotNet.program = programs.make("files", "WithPackage=false")


if __name__ == "__main__":
    programs.main(make)
