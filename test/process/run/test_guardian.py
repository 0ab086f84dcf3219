"""Killed, stopped or hung: the command never runs beside the next holder's."""

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest

from support import (HOLDFAST, PATIENCE, Pipe, RunCase, is_alive, is_locked, is_stopped, process_exists, stat_of, until,
                     waits_for_flock)

KILLS = int(os.environ.get("HOLDFAST_TEST_KILLS", "200"))
BALLAST = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
/* 200 MB in holdfast alone: the kernel frees a dead process' memory before it closes its files. */
__attribute__((constructor)) static void load(void) {
    const size_t size = 200u << 20;
    if (strcmp(program_invocation_short_name, "holdfast") != 0) return;
    void* memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) memset(memory, 1, size);
}
"""


class NextHolder:
    """A process that waits for the file's lock and at once looks whether the processes of the last holder exist."""

    def __init__(self, path, victims, is_there=process_exists):
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                file = os.open(path, os.O_RDONLY)
                os.write(writer, b"w")
                fcntl.flock(file, fcntl.LOCK_EX)
                # Nothing may stand between the lock and this. By default even a zombie counts: who releases the lock
                # must have waited for it.
                alive = [pid for pid in victims if is_there(pid)]
                os.write(writer, b"overlap" if alive else b"alone")
            finally:
                os._exit(0)
        os.close(writer)
        os.read(self.reader, 1)
        until(lambda: waits_for_flock(path), "the next holder in the kernel's queue")

    def verdict(self):
        text = os.read(self.reader, 16).decode()
        os.close(self.reader)
        os.waitpid(self.pid, 0)
        return text


class Killed(RunCase):
    def start_stubborn(self, options=(), how=None):
        """A command that ignores SIGTERM, with a child, and a grandchild in a session of its own, that do as well."""
        script = (
            "trap '' TERM INT HUP; echo $$ >&9; sleep 1000 & echo $! >&9;"
            " setsid sh -c 'echo $$ >&9; exec sleep 1000' & wait; wait"
        )
        options = ["--kill-after", "1ms", *options, "--exact", self.path]
        process, pipe = self.start_shell(options, script, **(how or {}))
        return process, [int(pipe.line()) for _ in range(3)]

    def check_alone(self, process, victims, strike):
        following = NextHolder(self.path, victims)
        strike()
        verdict = following.verdict()
        process.wait(PATIENCE)
        self.clear(process)
        return verdict

    def test_a_killed_holdfast(self):
        process, victims = self.start_stubborn()
        self.assertEqual(self.check_alone(process, victims, process.kill), "alone")

    def test_a_killed_holdfast_in_a_killed_group(self):
        process, victims = self.start_stubborn(how={"preexec_fn": os.setpgrp})
        verdict = self.check_alone(process, victims, lambda: os.killpg(process.pid, signal.SIGKILL))
        self.assertEqual(verdict, "alone")

    def test_a_killed_guardian(self):
        process, victims = self.start_stubborn()
        guardian = self.guardian_of(process)
        self.assertEqual(self.check_alone(process, victims, lambda: os.kill(guardian, signal.SIGKILL)), "alone")
        self.assertEqual(process.returncode, 70)

    def test_both_killed(self):
        for first in ("holdfast", "guardian"):
            with self.subTest(first=first):
                process, victims = self.start_stubborn()
                order = [process.pid, self.guardian_of(process)]
                if first == "guardian":
                    order.reverse()
                # Nobody waits for the command now; what inherited the lock from it must end first.
                following = NextHolder(self.path, victims, is_alive)
                for pid in order:
                    os.kill(pid, signal.SIGKILL)
                process.wait(PATIENCE)
                for pid in victims[1:]:
                    if process_exists(pid):
                        os.kill(pid, signal.SIGKILL)
                self.assertEqual(following.verdict(), "alone")

    def test_a_killed_holdfast_while_stopped_command(self):
        process, victims = self.start_stubborn()
        os.kill(victims[0], signal.SIGSTOP)
        until(lambda: is_stopped(victims[0]), "the stopped command")
        self.assertEqual(self.check_alone(process, victims, process.kill), "alone")

    def test_a_stopped_guardian_of_a_killed_holdfast(self):
        process, victims = self.start_stubborn()
        guardian = self.guardian_of(process)
        os.kill(guardian, signal.SIGSTOP)
        until(lambda: is_stopped(guardian), "the stopped guardian")
        # The kernel continues it: nobody else could, once its group is an orphan.
        self.assertEqual(self.check_alone(process, victims, process.kill), "alone")

    def test_a_stopped_holdfast_keeps_the_lock_while_the_command_runs(self):
        process, pipe = self.start_shell(["--exact", self.path], "echo $$ >&9; read x <&8")
        command = int(pipe.line())
        process.send_signal(signal.SIGSTOP)
        until(lambda: is_stopped(process.pid), "the stopped holdfast")
        self.assertTrue(is_alive(command))
        self.assertTrue(is_locked(self.path))
        os.kill(command, signal.SIGTERM)
        until(lambda: not process_exists(command), "the end of the command")
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        self.assertFalse(is_locked(self.path))

    def test_a_killed_holdfast_gives_the_command_time_to_end(self):
        script = "trap 'echo ending >&9; exit' TERM; echo ready >&9; while :; do read x; done <&8"
        process, pipe = self.start_shell(["--exact", self.path], script)
        self.assertEqual(pipe.line(), "ready")
        process.kill()
        self.assertEqual(pipe.line(), "ending")
        until(lambda: not is_locked(self.path), "the free lock")

    def test_pkill_and_killall_do_not_reach_the_guardian(self):
        process, victims = self.start_stubborn()
        guardian = self.guardian_of(process)
        with open(f"/proc/{guardian}/comm") as file:
            self.assertEqual(file.read(), "hf-guardian\n")
        with open(f"/proc/{guardian}/cmdline", "rb") as file:
            self.assertEqual(file.read().rstrip(b"\0"), b"hf-guardian")
        self.assertNotEqual(stat_of(guardian)["group"], stat_of(process.pid)["group"])
        self.assertEqual(self.check_alone(process, victims, process.kill), "alone")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_many_kills_of_a_large_holdfast(self):
        source = os.path.join(self.directory, "ballast.c")
        library = os.path.join(self.directory, "ballast.so")
        with open(source, "w") as file:
            file.write(BALLAST)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        environment = dict(self.environment, LD_PRELOAD=library)
        overlaps = 0
        for _ in range(KILLS):
            process, victims = self.start_stubborn(how={"env": environment})
            overlaps += self.check_alone(process, victims, process.kill) != "alone"
        self.assertEqual(overlaps, 0)


class Bystanders(RunCase):
    def test_what_holdfast_was_started_with_outlives_it(self):
        # A shell's job, which becomes holdfast's child by exec.
        script = f'sleep 600 & echo $!; exec "{HOLDFAST}" run x -- sh -c "kill -9 \\$PPID; sleep 600"'
        done = subprocess.Popen(["sh", "-c", script], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        bystander = int(done.stdout.readline())
        self.addCleanup(os.kill, bystander, signal.SIGKILL)
        self.assertEqual(done.wait(PATIENCE), 70)
        done.stdout.close()
        self.assertTrue(is_alive(bystander))


    def test_what_a_job_of_the_shell_had_started_outlives_the_job_and_the_guardian(self):
        pipe = Pipe(self)
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        script = (
            f"exec 9>/proc/self/fd/{pipe.writer};"
            f" (sleep 600 & echo $! >&9; read x <{fifo}) & read go;"
            f' exec "{HOLDFAST}" run --exact {self.path} -- sh -c "echo \\$PPID >&9; exec sleep 600"'
        )
        done = subprocess.Popen(["sh", "-c", script], env=self.environment, pass_fds=(pipe.writer,),
                                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.clear, done)
        bystander = int(pipe.line())
        self.addCleanup(os.kill, bystander, signal.SIGKILL)
        # Ages are told apart by ticks of the kernel.
        ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9
        until(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9 > ticks, "a tick")
        done.stdin.write("go\n")
        done.stdin.flush()
        guardian = int(pipe.line())
        with open(fifo, "w"):
            pass
        until(lambda: stat_of(bystander)["parent"] == done.pid, "the orphan with holdfast")
        os.kill(guardian, signal.SIGKILL)
        self.assertEqual(done.wait(PATIENCE), 70)
        self.assertTrue(is_alive(bystander))


class OutOfProcesses(RunCase):
    @unittest.skipUnless(os.geteuid() == 0, "needs a user of its own")
    def test_too_few_processes_are_a_fault_of_the_system(self):
        # Where that user finds it.
        program = shutil.copy(HOLDFAST, self.directory)
        user = 50000 + os.getpid() % 10000
        os.chmod(self.directory, 0o755)
        os.chmod(program, 0o755)
        os.chmod(self.path, 0o666)

        def become(limit):
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)

        statuses = []
        while 0 not in statuses and len(statuses) < 10:
            limit = len(statuses) + 1
            # Each end has been waited for, so that none counts for the next one.
            done = subprocess.run([program, "run", "--exact", self.path, "--", "true"], timeout=PATIENCE,
                                  capture_output=True, cwd="/", preexec_fn=lambda limit=limit: become(limit))
            statuses.append(done.returncode)
        # For holdfast alone, for the guardian as well, and at last for the command.
        self.assertEqual(statuses[-1], 0)
        self.assertIn(71, statuses)
        self.assertNotIn(126, statuses)


class Inheritance(RunCase):
    def test_the_lock_is_released_with_the_command_though_children_run_on(self):
        process, pipe = self.start_shell(["--exact", self.path], "sh -c 'read x' <&8 & echo $! >&9")
        child = int(pipe.line())
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(is_locked(self.path))
        self.assertTrue(is_alive(child))
        os.kill(child, signal.SIGKILL)

    def test_children_keep_the_lock_where_asked_for(self):
        options = ["--keep-until-children-exit", "--exact", self.path]
        process, pipe = self.start_shell(options, "sh -c 'read x' <&8 & echo $! >&9")
        child = int(pipe.line())
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertTrue(is_locked(self.path))
        os.kill(child, signal.SIGKILL)
        until(lambda: not is_locked(self.path), "the free lock")

    def test_a_command_that_cannot_start_keeps_nothing(self):
        done = self.run_it(["--keep-until-children-exit", "--exact", self.path], ["no-such-command-here"])
        self.assertEqual(done.returncode, 127)
        self.assertFalse(is_locked(self.path))

    def test_nothing_is_left_of_holdfast_after_the_command(self):
        process, pipe = self.start_shell(["--exact", self.path], "echo $PPID >&9; exit 3")
        guardian = int(pipe.line())
        self.assertEqual(process.wait(PATIENCE), 3)
        self.assertFalse(process_exists(guardian))


if __name__ == "__main__":
    unittest.main()
