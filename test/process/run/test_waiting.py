"""The end of a wait: what comes at the same moment, and what does not wait for anybody."""

import fcntl
import os
import shutil
import signal
import subprocess
import unittest

from support import HOLDFAST, PATIENCE, RunCase


class AtTheGrant(RunCase):
    def test_a_signal_ends_the_wait_or_reaches_the_command(self):
        # Whichever it is, it is the end of both. At another moment of the grant each time: most of what happens there
        # takes less than 1 ms.
        for at in range(300):
            with open(self.path) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                process = self.start(["--exact", self.path], ["sleep", "600"])
                self.wait_until_waiting(process)
                if at % 2:
                    # Its listener wakes, while the lock is granted.
                    process.send_signal(signal.SIGTERM)
                    fcntl.flock(file, fcntl.LOCK_UN)
                else:
                    fcntl.flock(file, fcntl.LOCK_UN)
                    for _ in range(at * 20):
                        pass
                    process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM, at)


class OtherPeoplesText(RunCase):
    """What a holder calls itself comes to the waiter's terminal."""

    def hold(self, program, arguments):
        """The exact file, by a process of that name and with those arguments."""
        path = os.path.join(self.directory, program)
        os.symlink(shutil.which("cat"), path)
        with open(self.path) as lock:
            holder = subprocess.Popen(arguments, executable=path, stdin=subprocess.PIPE, pass_fds=(lock.fileno(),),
                                      preexec_fn=lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdin.close)
        return holder

    def assert_harmless(self, text):
        for each in text.decode():
            self.assertTrue(each == "\n" or " " <= each <= "~" or each >= "\u00a0", text)

    def test_names_and_arguments_do_nothing_to_a_terminal(self):
        for program, arguments, shown in (
            ("\x1b]0;pwn\x07", [""], "( ]0;pwn )"),
            ("a\nholdfast: b)", [""], "(a holdfast: b))"),
            ("c\u009b31m", [""], "(c?31m)"),
            ("d", ["\x1b[31m\x7f\u009b31m\u00e9\n"], "( [31m ?31m\u00e9)"),
        ):
            with self.subTest(program=program):
                holder = self.hold(program, arguments)
                done = self.run_it(["-v", "--timeout", "100ms", "--exact", self.path], ["true"], text=False)
                self.assertEqual(done.returncode, 75)
                self.assert_harmless(done.stderr)
                self.assertIn(f"held by process {holder.pid} {shown}, running since 2", done.stderr.decode())
                self.assertEqual(len(done.stderr.splitlines()), 2)
                holder.stdin.close()
                self.assertEqual(holder.wait(PATIENCE), 0)

    def test_nor_do_errors(self):
        url = ["--url", "@/no\x1b[31m\u009bsuch/file"]
        for arguments in (["run", *url, "x", "--", "true"], ["list", *url]):
            done = subprocess.run([HOLDFAST, *arguments], capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 64)
            self.assertIn(b"/no?[31m?such/file", done.stderr)
            self.assert_harmless(done.stderr)


class Flood(RunCase):
    def test_a_signal_gets_through_while_the_command_fills_the_pipe_that_nobody_reads(self):
        for at in range(50):
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            script = "echo go >&9; while :; do echo $0 >&2; done"
            process, pipe = self.start_shell(["-v", "--json-fd", "2", "x"], script, stderr=writer)
            os.close(writer)
            self.assertEqual(pipe.line(), "go")
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM, at)


if __name__ == "__main__":
    unittest.main()
