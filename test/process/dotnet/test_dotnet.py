"""Lock files shared with a .NET program: each side excludes the other, and hands the lock over.

Needs the .NET SDK; without it the test is skipped (exit status 77). LOCK_HOLDER is the second program of the tests.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

here = pathlib.Path(__file__).resolve().parent
skipped = 77


class Program:
    """A program that is told line by line what to do."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline().strip()

    def ask(self, line):
        self.send(line)
        return self.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def build(into):
    """With the package where it can be had, else with the runtime alone. Returns the program, or None."""
    environment = dict(os.environ, DOTNET_CLI_TELEMETRY_OPTOUT="1", DOTNET_NOLOGO="1", DOTNET_CLI_HOME=str(into))
    said = ""
    for package in ("true", "false"):
        # Made anew for each, so that nothing of the other is left; nothing is written beside the sources.
        work = into / package
        shutil.copytree(here, work / "source", ignore=shutil.ignore_patterns("*.py"))
        try:
            made = subprocess.run(
                ["dotnet", "build", "-c", "Release", "-o", str(work / "out"), f"-p:WithPackage={package}",
                 str(work / "source" / "lock_file.csproj")],
                env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        except subprocess.TimeoutExpired:
            continue
        if made.returncode == 0:
            return work / "out" / "lock_file.dll"
        said = made.stdout
    print(said, file=sys.stderr)
    return None


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


if __name__ == "__main__":
    if shutil.which("dotnet") is None:
        print("skipped: no dotnet on PATH")
        sys.exit(skipped)
    with tempfile.TemporaryDirectory() as made:
        SharedWithDotNet.program = build(pathlib.Path(made))
        if SharedWithDotNet.program is None:
            print("skipped: the .NET program cannot be built here")
            sys.exit(skipped)
        unittest.main(verbosity=2, exit=True)
