"""What the tests of `holdfast run` share. They need Python's standard library and the built command:

    HOLDFAST=build/dev/cli/holdfast python3 -m unittest discover -s test/process/run -v

Nothing here sleeps to let something happen: a test waits for the event itself, with a deadline far beyond it.
"""

import fcntl
import os
import select
import shutil
import subprocess
import tempfile
import time
import unittest

HOLDFAST = os.path.abspath(os.environ.get("HOLDFAST", "build/dev/cli/holdfast"))
PATIENCE = 20.0


def until(condition, what):
    """Waits for a state that nothing announces, such as a line in /proc."""
    end = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("never came: " + what)
        select.select([], [], [], 0.002)


def process_exists(pid):
    """True also for a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stat_of(pid):
    """State, parent and process group of a process; None once it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {"state": fields[0], "parent": int(fields[1]), "group": int(fields[2]), "flags": int(fields[6])}


def is_alive(pid):
    """False once it executes no instruction of its program any more, though the kernel may still be at its remains."""
    exiting = 0x4
    stat = stat_of(pid)
    return stat is not None and stat["state"] not in "ZX" and not stat["flags"] & exiting


def is_stopped(pid):
    stat = stat_of(pid)
    return stat is not None and stat["state"] == "T"


def waits_for_flock(path):
    """Whether some process stands in the kernel's queue for the file's lock."""
    info = os.stat(path)
    place = f":{info.st_ino} "
    with open("/proc/locks") as file:
        return any("->" in line and "FLOCK" in line and place in line for line in file)


def is_locked(path):
    """Whether anybody holds the file's lock."""
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Pipe:
    """A pipe that the command writes to, with reads that end."""

    def __init__(self, case):
        # Beyond the numbers that scripts use: what the one redirection has opened, the next one must not take for ours.
        ends = os.pipe()
        self.reader, self.writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
        for end in ends:
            os.close(end)
        os.set_inheritable(self.writer, True)
        case.addCleanup(self.close)
        self.text = b""

    def close(self):
        for descriptor in (self.reader, self.writer):
            if descriptor >= 0:
                os.close(descriptor)
        self.reader = self.writer = -1

    def close_writer(self):
        os.close(self.writer)
        self.writer = -1

    def line(self):
        """The next line; None at the end."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                raise AssertionError(f"no line came; so far {self.text!r}")
            data = os.read(self.reader, 4096)
            if not data:
                return None
            self.text += data
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()


class RunCase(unittest.TestCase):
    """A directory for the locks of one test, and the command on it."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="holdfast-test-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.path = os.path.join(self.directory, "exact.lock")
        open(self.path, "w").close()
        self.url = "file://" + os.path.join(self.directory, "locks")
        self.environment = dict(os.environ, HOLDFAST_URL=self.url)

    def arguments(self, options, command):
        return [HOLDFAST, "run", *options, "--", *command]

    def run_it(self, options, command, **how):
        how.setdefault("env", self.environment)
        how.setdefault("capture_output", True)
        how.setdefault("text", True)
        return subprocess.run(self.arguments(options, command), timeout=PATIENCE, **how)

    def start(self, options, command, **how):
        how.setdefault("env", self.environment)
        process = subprocess.Popen(self.arguments(options, command), **how)
        self.addCleanup(self.clear, process)
        return process

    @staticmethod
    def clear(process):
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)

    def start_shell(self, options, script, **how):
        """Starts a script: what it writes to descriptor 9 is read from the returned pipe, and 8 never says anything."""
        pipe = Pipe(self)
        silent = Pipe(self)
        # By way of /proc: in sh only descriptors of one digit can be duplicated.
        script = f"exec 9>/proc/self/fd/{pipe.writer} 8</proc/self/fd/{silent.reader}; {script}"
        process = self.start(options, ["sh", "-c", script], pass_fds=(pipe.writer, silent.reader), **how)
        pipe.close_writer()
        return process, pipe

    def start_waiter(self, options, **how):
        """Starts `holdfast run` on the exact file, held elsewhere; returns once it stands in the queue."""
        process = self.start([*options, "--exact", self.path], ["true"], **how)
        self.wait_until_waiting(process)
        return process

    def wait_until_waiting(self, process):
        # The kernel's queue, or inotify: either way it has a thread for the signals then.
        until(lambda: self.threads(process.pid) > 1, "the waiting thread")

    @staticmethod
    def threads(pid):
        try:
            return len(os.listdir(f"/proc/{pid}/task"))
        except FileNotFoundError:
            return 0

    def guardian_of(self, process):
        """The guardian's process id."""

        def find():
            for name in os.listdir("/proc"):
                if name.isdigit():
                    stat = stat_of(int(name))
                    if stat and stat["parent"] == process.pid:
                        return int(name)
            return None

        return until(find, "the guardian")
