"""A shell with job control on a terminal: Ctrl-C, Ctrl-Z, fg, pipelines, programs that use the whole screen."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import unittest

from support import HOLDFAST, PATIENCE, RunCase, is_alive, is_locked, is_stopped, stat_of, until

# A program that takes the terminal as an editor does: raw, key by key, and stops itself on Ctrl-Z.
EDITOR = r"""
import os, signal, sys, termios, tty
def enter():
    global old
    old = termios.tcgetattr(0)
    tty.setraw(0)
    os.write(1, b"[editing %d]\r\n" % os.getpid())
enter()
while True:
    key = os.read(0, 1)
    if key == b"\x1a":
        termios.tcsetattr(0, termios.TCSADRAIN, old)
        os.kill(0, signal.SIGTSTP)
        enter()
    elif key == b"q":
        termios.tcsetattr(0, termios.TCSADRAIN, old)
        os.write(1, b"[left]\n")
        break
    else:
        os.write(1, b"[key %d]\r\n" % key[0])
"""


class Shell:
    """bash on a terminal of its own."""

    def __init__(self, case):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            environment = dict(case.environment, PS1="prompt$ ", TERM="dumb", H=HOLDFAST, L=case.path, HISTFILE="")
            environment.pop("PROMPT_COMMAND", None)
            os.chdir(case.directory)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.text = ""
        case.addCleanup(self.close)
        self.expect(r"prompt\$ $")
        # Without echo the output holds only what programs write.
        self.run("stty -echo")

    def close(self):
        os.close(self.terminal)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)

    def send(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, pattern):
        """Reads on until the pattern is there, and forgets everything up to its end."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end() :]
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} never came; so far {self.text!r}")
            self.text += os.read(self.terminal, 65536).decode(errors="replace").replace("\r\n", "\n")

    def run(self, line):
        """Runs a line up to the next prompt; returns the output."""
        self.send(line + "\n")
        return self.expect(r"(?s)(.*?)prompt\$ $").group(1)


class Terminal(RunCase):
    def setUp(self):
        super().setUp()
        self.shell = Shell(self)
        self.editor = os.path.join(self.directory, "editor.py")
        with open(self.editor, "w") as file:
            file.write(EDITOR)

    def edit(self):
        return f"{sys.executable} {self.editor}"

    def start(self, line):
        """Starts a line whose command says "[up PID]"; returns that."""
        self.shell.send(line + "\n")
        return int(self.shell.expect(r"\[up (\d+)\]").group(1))

    def test_the_leader_of_the_foreground_gives_its_terminal_to_a_group_of_the_command(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; read x; echo \"[got $x]\"'")
        self.assertEqual(stat_of(command)["group"], command)
        self.assertEqual(os.tcgetpgrp(self.shell.terminal), command)
        self.shell.send("hello\n")
        self.shell.expect(r"\[got hello\]")
        self.shell.expect(r"prompt\$ $")
        self.assertEqual(os.tcgetpgrp(self.shell.terminal), self.shell.pid)

    def test_ctrl_c_reaches_the_command_once(self):
        script = 'trap "echo caught" INT; echo "[up $$]"; read x; read x; echo "[end $x]"'
        self.start(f"$H run --exact $L -- bash -c '{script}'")
        self.shell.send("\x03")
        self.shell.expect("caught")
        self.shell.send("a\nb\n")
        between = self.shell.expect(r"(?s)(.*?)\[end [ab]?\]").group(1)
        self.assertNotIn("caught", between)
        self.shell.expect(r"prompt\$ $")

    def test_ctrl_c_ends_command_and_loop(self):
        self.start("for i in 1 2 3; do $H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000'; done")
        self.shell.send("\x03")
        self.shell.expect(r"prompt\$ $")
        self.assertIn("130", self.shell.run("echo $?"))
        self.assertFalse(is_locked(self.path))

    def test_ctrl_c_in_a_script_ends_the_script(self):
        script = os.path.join(self.directory, "script")
        with open(script, "w") as file:
            file.write("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000'\necho \"[script goes on]\"\n")
        self.start("bash script")
        self.shell.send("\x03")
        rest = self.shell.expect(r"(?s)(.*?)prompt\$ $").group(1)
        self.assertNotIn("goes on", rest)
        # The script may die of the key before it waits for holdfast.
        until(lambda: not is_locked(self.path), "the free lock")

    def stop_and_continue(self, line):
        command = self.start(line)
        self.shell.send("\x1a")
        self.shell.expect(r"Stopped")
        self.shell.expect(r"prompt\$ $")
        # In a shared group each process stops for itself.
        until(lambda: is_stopped(command), "the stopped command")
        self.assertTrue(is_locked(self.path))
        self.shell.send("fg\n")
        until(lambda: not is_stopped(command), "the continued command")
        return command

    def test_ctrl_z_and_fg(self):
        for line in (
            "$H run --exact $L -- sh -c 'echo \"[up $$]\"; read x; echo \"[got $x]\"'",
            "bash -c '$H run --exact $L -- sh -c \"echo [up \\$\\$]; read x; echo [got \\$x]\"; true'",
        ):
            with self.subTest(line=line):
                self.stop_and_continue(line)
                self.shell.send("hello\n")
                self.shell.expect(r"\[got hello\]")
                self.shell.expect(r"prompt\$ $")
                self.assertFalse(is_locked(self.path))

    def test_ctrl_z_bg_and_fg(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; read x; echo \"[got $x]\"'")
        self.shell.send("\x1a")
        self.shell.expect(r"prompt\$ $")
        # It goes on in the background, wants the terminal's input, and is stopped for that.
        self.shell.send("bg\n")
        self.shell.expect(r"prompt\$ $")
        until(lambda: "Stopped" in self.shell.run("jobs"), "the job stopped for input")
        self.shell.send("fg\n")
        until(lambda: os.tcgetpgrp(self.shell.terminal) == command, "the command in the foreground")
        self.shell.send("hello\n")
        self.shell.expect(r"\[got hello\]")
        self.shell.expect(r"prompt\$ $")

    def test_a_background_job_and_fg(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000' &")
        self.shell.run(":")
        self.shell.send("fg\n")
        until(lambda: os.tcgetpgrp(self.shell.terminal) == stat_of(command)["group"], "the job in the foreground")
        self.shell.send("\x03")
        self.shell.expect(r"prompt\$ $")
        until(lambda: not is_alive(command), "the end of the command")
        self.assertFalse(is_locked(self.path))

    def test_kill_of_a_stopped_job(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000'")
        self.shell.send("\x1a")
        self.shell.expect(r"prompt\$ $")
        self.shell.run("kill %1")
        until(lambda: not is_alive(command), "the end of the command")
        until(lambda: not is_locked(self.path), "the free lock")

    def test_kill_9_of_a_job(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000' &")
        self.shell.run("kill -9 %1")
        until(lambda: not is_alive(command), "the end of the command")
        until(lambda: not is_locked(self.path), "the free lock")

    def test_a_program_that_uses_the_whole_terminal(self):
        for line in (f"$H run --exact $L -- {self.edit()}", f"bash -c '$H run --exact $L -- {self.edit()}; true'"):
            with self.subTest(line=line):
                self.shell.send(line + "\n")
                self.shell.expect(r"\[editing \d+\]")
                # Ctrl-C is a key to it, not a signal.
                self.shell.send("\x03")
                self.shell.expect(r"\[key 3\]")
                for _ in range(2):
                    self.shell.send("\x1a")
                    self.shell.expect(r"Stopped")
                    self.shell.expect(r"prompt\$ $")
                    self.assertTrue(is_locked(self.path))
                    self.shell.send("fg\n")
                    self.shell.expect(r"\[editing \d+\]")
                    self.shell.send("x")
                    self.shell.expect(r"\[key 120\]")
                self.shell.send("q")
                self.shell.expect(r"\[left\]")
                self.shell.expect(r"prompt\$ $")
                mode = termios.tcgetattr(self.shell.terminal)[3]
                self.assertTrue(mode & termios.ISIG)

    def test_pipelines(self):
        # Reads from the terminal while holdfast leads the job: what `less` does.
        reader = "sh -c \"cat; read key </dev/tty; echo '[key '\\$key]\""
        for line, word in (
            (f"$H run --exact $L -- echo data | {reader}", "data"),
            (f"$H run --exact $L -- echo data 2>&1 | {reader}", "data"),
            (f"echo data | $H run --exact $L -- cat | {reader}", "data"),
            (f"echo data | $H run --exact $L -- {reader}", "data"),
        ):
            with self.subTest(line=line):
                self.shell.send(line + "\n")
                self.shell.expect(word)
                self.shell.send("k\n")
                self.shell.expect(r"\[key k\]")
                self.shell.expect(r"prompt\$ $")

    def test_ctrl_z_in_a_pipeline(self):
        line = "$H run --exact $L -- sh -c 'echo \"[up $$]\"; read x </dev/tty; echo \"[got $x]\"' | cat"
        self.stop_and_continue(line)
        self.shell.send("hello\n")
        self.shell.expect(r"\[got hello\]")
        self.shell.expect(r"prompt\$ $")

    def test_ctrl_c_while_waiting(self):
        holder = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000' &")
        self.shell.run(":")
        self.shell.send("$H run -v --exact $L -- true\n")
        self.shell.expect("waiting for")
        self.shell.send("\x03")
        self.shell.expect(r"prompt\$ $")
        self.assertIn("130", self.shell.run("echo $?"))
        self.assertTrue(is_alive(holder))

    def test_ctrl_z_while_waiting(self):
        self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000' &")
        self.shell.run(":")
        self.shell.send("$H run -v --exact $L -- echo '[mine]'\n")
        self.shell.expect("waiting for")
        self.shell.send("\x1a")
        self.shell.expect("Stopped")
        self.shell.expect(r"prompt\$ $")
        self.shell.run("kill %1")
        self.shell.send("fg %2\n")
        self.shell.expect(r"\[mine\]")
        self.shell.expect(r"prompt\$ $")

    def test_stopped_jobs_end_with_a_killed_shell(self):
        lines = (
            "$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000'",
            "$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000' | cat",
            "bash -c '$H run --exact $L -- sh -c \"echo [up \\$\\$]; exec sleep 1000\"; true'",
        )
        for line in lines:
            with self.subTest(line=line):
                shell = self.shell = Shell(self)
                command = self.start(line)
                shell.send("\x1a")
                shell.expect(r"Stopped")
                until(lambda: is_stopped(command), "the stopped command")
                os.kill(shell.pid, signal.SIGKILL)
                until(lambda: not is_alive(command), "the end of the command")
                until(lambda: not is_locked(self.path), "the free lock")

    def test_a_signal_reaches_a_command_that_left_the_shared_group(self):
        # timeout(1) makes a group of its own, with what it runs.
        script = 'echo "[up $$]"; exec sleep 600'
        self.shell.run(f"export S='{script}'")
        command = self.start("bash -c '$H run --exact $L -- timeout 600 sh -c \"$S\"; true'")
        timeout = stat_of(command)["parent"]
        holdfast = stat_of(stat_of(timeout)["parent"])["parent"]
        self.assertEqual(stat_of(timeout)["group"], timeout)
        self.assertNotEqual(stat_of(holdfast)["group"], holdfast)
        os.kill(holdfast, signal.SIGTERM)
        until(lambda: not is_alive(timeout), "the end of the command")
        until(lambda: not is_alive(command), "the end of the command's child")
        self.shell.expect(r"prompt\$ $")
        self.assertFalse(is_locked(self.path))

    def test_who_stops_holdfast_alone_stops_the_command_and_continues_both(self):
        command = self.start("bash -c '$H run --exact $L -- sh -c \"echo [up \\$\\$]; exec sleep 600\"; true'")
        holdfast = stat_of(stat_of(command)["parent"])["parent"]
        os.kill(holdfast, signal.SIGTSTP)
        until(lambda: is_stopped(command) and is_stopped(holdfast), "the two stopped")
        os.kill(holdfast, signal.SIGCONT)
        until(lambda: not is_stopped(command), "the continued command")
        os.kill(holdfast, signal.SIGTERM)
        self.shell.expect(r"prompt\$ $")

    def test_the_hangup_of_the_terminal_ends_the_command(self):
        command = self.start("$H run --exact $L -- sh -c 'echo \"[up $$]\"; exec sleep 1000'")
        os.kill(self.shell.pid, signal.SIGHUP)
        until(lambda: not is_alive(command), "the end of the command")
        until(lambda: not is_locked(self.path), "the free lock")


class SessionLeader(RunCase):
    """holdfast as the terminal's first program, as in `ssh -t host holdfast run ...` or a container."""

    SCRIPT = 'echo "[up $$]"; read x; echo "[got $x]"'

    def start_on_terminal(self, arguments):
        """Its process, its terminal, and the command."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(arguments[0], arguments, dict(self.environment, H=HOLDFAST, L=self.path, S=self.SCRIPT))
        self.addCleanup(os.close, terminal)
        seen = self.read_until(terminal, b"]")
        return pid, terminal, int(re.search(rb"\[up (\d+)\]", seen).group(1))

    def test_ctrl_z_does_not_stop_what_nobody_could_continue(self):
        for arguments in (
            self.arguments(["--exact", self.path], ["sh", "-c", self.SCRIPT]),
            ["sh", "-c", '$H run --exact $L -- sh -c "$S"; exit'],
            ["sh", "-c", '$H run --exact $L -- sh -c "$S" | cat'],
        ):
            with self.subTest(arguments=arguments):
                pid, terminal, _ = self.start_on_terminal(arguments)
                os.write(terminal, b"\x1a")
                os.write(terminal, b"hello\n")
                self.read_until(terminal, b"[got hello]")
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def test_a_command_that_ended_or_went_on_leaves_no_stopped_holdfast(self):
        for strike in (signal.SIGKILL, signal.SIGCONT):
            with self.subTest(strike=strike):
                arguments = self.arguments(["--exact", self.path], ["sh", "-c", self.SCRIPT])
                pid, terminal, command = self.start_on_terminal(arguments)
                # Stopped first, it does not read that the command is, until that is not true any more.
                os.kill(pid, signal.SIGSTOP)
                until(lambda: is_stopped(pid), "the stopped holdfast")
                os.kill(command, signal.SIGSTOP)
                until(lambda: os.tcgetpgrp(terminal) == pid, "the command without the terminal")
                os.kill(command, strike)
                until(lambda: not is_stopped(command), "the command that is not stopped")
                os.kill(pid, signal.SIGCONT)
                if strike == signal.SIGCONT:
                    until(lambda: os.tcgetpgrp(terminal) == command, "the command with the terminal")
                    os.write(terminal, b"hello\n")
                    self.read_until(terminal, b"[got hello]")
                until(lambda: not is_alive(pid), "the end of holdfast")
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                self.assertEqual(status, 0 if strike == signal.SIGCONT else -strike)

    def read_until(self, terminal, text):
        seen = b""
        while text not in seen:
            self.assertTrue(select.select([terminal], [], [], PATIENCE)[0], seen)
            seen += os.read(terminal, 4096)
        return seen


if __name__ == "__main__":
    unittest.main()
