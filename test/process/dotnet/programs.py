"""Second programs of the tests: told line by line what to do. And how the .NET ones are made."""

import atexit
import fcntl
import hashlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
PATIENCE = 30.0


class Program:
    """A program that is told line by line what to do."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.unread = b""

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def read(self, within=PATIENCE):
        """The next line; "" when the program has ended."""
        until = time.monotonic() + within
        while b"\n" not in self.unread:
            left = until - time.monotonic()
            if not select.select([self.process.stdout], [], [], max(left, 0))[0]:
                raise AssertionError(f"{self.process.args} has not answered within {within} s")
            read = os.read(self.process.stdout.fileno(), 1 << 16)
            if not read:
                return ""
            self.unread += read
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode().strip()

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


class NotToBeHad(Exception):
    """There is no SDK here, or no package: the tests are skipped."""


def make(folder, *properties):
    """The .NET program of a folder, made where BUILT says, once for each state of its sources; else anew.

    Throws NotToBeHad where packages cannot be restored. What does not compile is an error.
    """
    if shutil.which("dotnet") is None:
        raise NotToBeHad("no dotnet on PATH")
    if "BUILT" in os.environ:
        into = pathlib.Path(os.environ["BUILT"])
        into.mkdir(parents=True, exist_ok=True)
    else:
        scratch = tempfile.TemporaryDirectory()
        atexit.register(scratch.cleanup)
        into = pathlib.Path(scratch.name)
    (project,) = (HERE / folder).glob("*.csproj")
    state = hashlib.sha256(repr((dotnet("--version", home=into).stdout, properties)).encode())
    for source in sorted(project.parent.iterdir()):
        state.update(source.read_bytes())
    work = into / "-".join([project.stem, *properties]).replace("=", "-")
    stamp = work / "made"
    program = work / "out" / f"{project.stem}.dll"
    with open(into / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == state.hexdigest():
            return program
        # Made anew, so that nothing of what was here before is left; nothing is written beside the sources.
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(project.parent, work / "source")
        given = [f"-p:{each}" for each in properties]
        source = str(work / "source" / project.name)
        restored = dotnet("restore", *given, source, home=into)
        if restored.returncode != 0:
            raise NotToBeHad("the packages cannot be restored: " + first_error(restored.stdout))
        made = dotnet("build", "--no-restore", "-c", "Release", "-o", str(work / "out"), *given, source, home=into)
        if made.returncode != 0:
            raise RuntimeError(f"{folder} does not compile:\n{made.stdout}")
        stamp.write_text(state.hexdigest())
        return program


def dotnet(*arguments, home):
    environment = dict(os.environ, DOTNET_CLI_TELEMETRY_OPTOUT="1", DOTNET_NOLOGO="1", DOTNET_CLI_HOME=str(home),
                       # Compilers that stay behind would be nobody's.
                       MSBUILDDISABLENODEREUSE="1", DOTNET_CLI_USE_MSBUILD_SERVER="0", UseSharedCompilation="false")
    try:
        return subprocess.run(["dotnet", *arguments], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(late.cmd, 1, f"error: dotnet {arguments[0]} does not come to an end")


def first_error(said):
    errors = (line.partition("error")[2].lstrip(": ") for line in said.splitlines() if "error" in line)
    return next(errors, said)


def main(make_all):
    """Runs the tests of the calling module with what `make_all` makes, or says why not."""
    try:
        make_all()
    except NotToBeHad as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(module="__main__", verbosity=2)
