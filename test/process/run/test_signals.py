"""Signals: passed on while the command runs, ending the wait before."""

import fcntl
import os
import shutil
import signal
import subprocess
import unittest

from support import HOLDFAST, PATIENCE, Pipe, RunCase, is_alive, is_locked, is_stopped, until

FORWARDED = ("HUP", "INT", "QUIT", "ABRT", "TERM", "USR1", "USR2", "ALRM", "WINCH", "CONT", "URG", "PWR")
WAIT_FOR_SIGNALS = "echo ready >&9; while :; do read nothing; done <&8"
# A command with a child that tells what it gets, in the order in which it gets it.
CHILD = f"trap 'echo child >&9' USR1; trap 'echo end >&9; exit' TERM; {WAIT_FOR_SIGNALS}"
PARENT = f"trap 'echo parent >&9' USR1; trap 'wait; exit 3' TERM; ({CHILD}) & while :; do wait; done"


class WhileRunning(RunCase):
    def test_signals_are_passed_on(self):
        traps = "; ".join(f"trap 'echo {name} >&9' {name}" for name in FORWARDED)
        script = f"{traps}; trap 'exit 7' VTALRM; {WAIT_FOR_SIGNALS}"
        process, pipe = self.start_shell(["x"], script)
        self.assertEqual(pipe.line(), "ready")
        for name in FORWARDED:
            with self.subTest(signal=name):
                process.send_signal(getattr(signal, "SIG" + name))
                self.assertEqual(pipe.line(), name)
        process.send_signal(signal.SIGVTALRM)
        self.assertEqual(process.wait(PATIENCE), 7)

    def test_a_real_time_signal_is_passed_on(self):
        process, pipe = self.start_shell(["x"], f"trap 'exit 9' {signal.SIGRTMIN + 3}; {WAIT_FOR_SIGNALS}")
        self.assertEqual(pipe.line(), "ready")
        process.send_signal(signal.SIGRTMIN + 3)
        self.assertEqual(process.wait(PATIENCE), 9)

    def test_a_signal_without_a_meaning_for_jobs_reaches_the_command_alone(self):
        process, pipe = self.start_shell(["x"], PARENT)
        self.assertEqual(pipe.line(), "ready")
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(pipe.line(), "parent")
        process.terminate()
        self.assertEqual(pipe.line(), "end")
        self.assertEqual(process.wait(PATIENCE), 3)

    @unittest.skipUnless(shutil.which("unshare"), "needs unshare")
    def test_a_signal_from_outside_of_a_container_reaches_the_command_alone(self):
        # Its sender has no process id inside, like the terminal.
        container = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*container, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs the right to make a pid namespace")
        pipe = Pipe(self)
        silent = Pipe(self)
        script = f"exec 9>/proc/self/fd/{pipe.writer} 8</proc/self/fd/{silent.reader}; {PARENT}"
        command = [*container, "--kill-child", HOLDFAST, "run", "x", "--", "sh", "-c", script]
        process = subprocess.Popen(command, env=self.environment, pass_fds=(pipe.writer, silent.reader))
        self.addCleanup(self.clear, process)
        self.assertEqual(pipe.line(), "ready")
        # unshare's child.
        holdfast = self.guardian_of(process)
        os.kill(holdfast, signal.SIGUSR1)
        self.assertEqual(pipe.line(), "parent")
        os.kill(holdfast, signal.SIGTERM)
        self.assertEqual(pipe.line(), "end")
        self.assertEqual(process.wait(PATIENCE), 3)

    def test_termination_reaches_the_whole_group(self):
        process, pipe = self.start_shell(["x"], "sleep 1000 & echo $! >&9; echo $$ >&9; wait")
        child = int(pipe.line())
        pipe.line()
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        until(lambda: not is_alive(child), "the end of the command's own child")

    def test_a_signal_that_the_command_handles_does_not_end_holdfast(self):
        script = f"trap 'echo caught >&9' TERM; {WAIT_FOR_SIGNALS}"
        process, pipe = self.start_shell(["--exact", self.path], script)
        self.assertEqual(pipe.line(), "ready")
        for _ in range(3):
            process.terminate()
            self.assertEqual(pipe.line(), "caught")
        self.assertTrue(is_locked(self.path))
        self.assertIsNone(process.poll())

    def test_a_command_that_signals_holdfast_gets_it_once_at_most(self):
        # Job-control programs do kill(0, SIGTSTP); the same with a signal that we can count.
        script = 'trap "echo self >&9" USR1; kill -USR1 $(ps -o ppid= -p $PPID); echo end >&9'
        process, pipe = self.start_shell(["x"], script)
        self.assertEqual(pipe.line(), "end")
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_stop_and_continue_without_a_terminal(self):
        process, pipe = self.start_shell(["x"], "echo $$ >&9; read x <&8; exit 4")
        command = int(pipe.line())
        process.send_signal(signal.SIGTSTP)
        until(lambda: is_stopped(command), "the stopped command")
        # There is no shell that could continue holdfast.
        self.assertFalse(is_stopped(process.pid))
        process.send_signal(signal.SIGCONT)
        until(lambda: not is_stopped(command), "the continued command")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)


class WhileWaiting(RunCase):
    def setUp(self):
        super().setUp()
        self.file = open(self.path)
        self.addCleanup(self.file.close)
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def test_a_signal_ends_the_wait_at_once(self):
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1"):
            with self.subTest(signal=name):
                process = self.start_waiter([])
                number = getattr(signal, "SIG" + name)
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)

    def test_harmless_signals_do_not_end_the_wait(self):
        process = self.start_waiter([])
        for name in ("WINCH", "CONT", "CHLD", "URG"):
            process.send_signal(getattr(signal, "SIG" + name))
        fcntl.flock(self.file, fcntl.LOCK_UN)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_nohup_outlives_a_hangup(self):
        process = self.start_waiter([], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.send_signal(signal.SIGHUP)
        fcntl.flock(self.file, fcntl.LOCK_UN)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_stop_and_continue(self):
        process = self.start_waiter([], preexec_fn=os.setpgrp)
        process.send_signal(signal.SIGTSTP)
        until(lambda: is_stopped(process.pid), "the stopped holdfast")
        fcntl.flock(self.file, fcntl.LOCK_UN)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_the_kill_of_a_waiter_leaves_nothing(self):
        process = self.start_waiter([])
        process.kill()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)
        fcntl.flock(self.file, fcntl.LOCK_UN)
        self.assertEqual(self.run_it(["--try", "--exact", self.path], ["true"]).returncode, 0)

    def test_the_wait_ends_with_the_lock(self):
        process = self.start_waiter(["--timeout", "60s"], stdout=subprocess.DEVNULL)
        fcntl.flock(self.file, fcntl.LOCK_UN)
        self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
