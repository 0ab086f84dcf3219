"""`holdfast run` on the kernel's semaphores: what keeps them is no descriptor."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from support import HOLDFAST, PATIENCE, RunCase, process_exists, until


class System(RunCase):
    def setUp(self):
        super().setUp()
        # In memory, like the default.
        place = tempfile.TemporaryDirectory(prefix="holdfast-test-", dir="/dev/shm")
        self.addCleanup(place.cleanup)
        self.sets = os.path.join(place.name, "sets")
        self.environment["HOLDFAST_URL"] = f"system:?directory={self.sets}"
        self.addCleanup(self.remove_sets)

    def remove_sets(self):
        """What killed processes leave is removed by the next one that ends its use properly; a command never does."""
        for name in ("tickets-0", "readers-0"):
            path = os.path.join(self.sets, name)
            if os.path.exists(path):
                with open(path, "rb") as file:
                    identifier = int.from_bytes(file.read(20)[16:20], "little", signed=True)
                subprocess.run(["ipcrm", "-s", str(identifier)], capture_output=True, check=False)

    def start_stubborn(self, options):
        script = "trap '' TERM INT HUP; echo $$ >&9; while :; do read x; done <&8"
        process, pipe = self.start_shell(["--kill-after", "300ms", *options], script)
        return process, int(pipe.line())

    def next_holder(self, options, victim):
        """Waits for the lock, and says whether the last holder's command is still there."""
        script = f"if kill -0 {victim} 2>/dev/null; then echo overlap; else echo alone; fi >&9"
        process, pipe = self.start_shell(options, script)
        until(lambda: self.threads(process.pid) > 1, "the waiting thread")
        return process, pipe

    def test_it_excludes(self):
        for options in (["x"], ["--write", "x"], ["--semaphore", "1", "x"]):
            with self.subTest(options=options):
                process, pipe = self.start_shell(options, "echo in >&9; read x <&8")
                self.assertEqual(pipe.line(), "in")
                self.assertEqual(self.run_it(["--timeout", "0s", *options], ["true"]).returncode, 75)
                self.assertEqual(self.run_it(["--timeout", "0s", "--lock", "y"], ["true"]).returncode, 0)
                process.terminate()
                process.wait(PATIENCE)
                self.assertEqual(self.run_it(["--timeout", "0s", *options], ["true"]).returncode, 0)

    def test_three_tickets(self):
        holders = []
        for _ in range(3):
            process, pipe = self.start_shell(["--semaphore", "3", "x"], "echo in >&9; read x <&8")
            self.assertEqual(pipe.line(), "in")
            holders.append(process)
        self.assertEqual(self.run_it(["--timeout", "0s", "--semaphore", "3", "x"], ["true"]).returncode, 75)
        holders[1].terminate()
        holders[1].wait(PATIENCE)
        self.assertEqual(self.run_it(["--timeout", "0s", "--semaphore", "3", "x"], ["true"]).returncode, 0)

    def test_another_number_of_tickets_is_reported(self):
        process, pipe = self.start_shell(["--semaphore", "3", "x"], "echo in >&9; read x <&8")
        self.assertEqual(pipe.line(), "in")
        other = self.run_it(["--timeout", "0s", "--semaphore", "4", "x"], ["true"])
        self.assertEqual(other.returncode, 64)
        self.assertIn("3 tickets, not 4", other.stderr)
        process.terminate()
        process.wait(PATIENCE)

    # The kernel gives back what a process holds once the last one that shares its list of undos is gone. The guardian
    # shares it, and the command does not.
    def test_a_killed_holdfast_keeps_the_lock_until_the_command_is_gone(self):
        for options in (["x"], ["--write", "x"], ["--semaphore", "1", "x"]):
            with self.subTest(options=options):
                process, victim = self.start_stubborn(options)
                following, verdict = self.next_holder(options, victim)
                process.kill()
                self.assertEqual(verdict.line(), "alone")
                self.assertFalse(process_exists(victim))
                self.assertEqual(following.wait(PATIENCE), 0)

    def test_a_killed_guardian(self):
        process, victim = self.start_stubborn(["x"])
        guardian = self.guardian_of(process)
        following, verdict = self.next_holder(["x"], victim)
        os.kill(guardian, signal.SIGKILL)
        self.assertEqual(process.wait(PATIENCE), 70)
        self.assertEqual(verdict.line(), "alone")
        self.assertEqual(following.wait(PATIENCE), 0)

    def test_a_removed_set_ends_the_command(self):
        process, pipe = self.start_shell(["x"], "echo in >&9; read x <&8")
        self.assertEqual(pipe.line(), "in")
        self.remove_sets()
        self.assertEqual(process.wait(PATIENCE), 79)
        self.assertEqual(self.run_it(["--timeout", "0s", "x"], ["true"]).returncode, 0)

    def test_a_signal_ends_the_wait(self):
        process, pipe = self.start_shell(["x"], "echo in >&9; read x <&8")
        self.assertEqual(pipe.line(), "in")
        waiter = self.start(["x"], ["true"])
        until(lambda: self.threads(waiter.pid) > 1, "the waiting thread")
        waiter.terminate()
        self.assertEqual(waiter.wait(PATIENCE), -signal.SIGTERM)
        process.terminate()
        process.wait(PATIENCE)

    def inspect(self, *arguments):
        result = subprocess.run([HOLDFAST, *arguments, "--json"], env=self.environment, capture_output=True, text=True,
                                timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_list(self):
        self.assertEqual(self.inspect("list"), [])
        self.assertFalse(os.path.exists(self.sets))
        holders = []
        for options in (["x"], ["--semaphore", "3", "x"], ["--write", "x"], ["--read", "y"]):
            process, pipe = self.start_shell(options, "echo in >&9; read x <&8")
            self.assertEqual(pipe.line(), "in")
            holders.append(process)
        waiter = self.start(["x"], ["true"])
        until(lambda: len(self.inspect("list")) == 5, "the waiter")
        found = {(each["key"], each["state"]): each for each in self.inspect("list")}
        self.assertEqual(found["lock:x", "held"]["holder"], f"process {holders[0].pid} (holdfast)")
        self.assertEqual(found["lock:x", "waiting"]["processes"], "1")
        self.assertEqual(found["semaphore:x", "held"]["taken"], "1")
        self.assertEqual(found["semaphore:x", "held"]["tickets"], "3")
        self.assertEqual(found["readers:x", "held"]["access"], "write")
        self.assertEqual(found["readers:x", "held"]["holder"], f"process {holders[2].pid} (holdfast)")
        self.assertEqual(found["readers:y", "held"]["readers"], "1")
        for process in holders:
            process.terminate()
            process.wait(PATIENCE)
        self.assertEqual(waiter.wait(PATIENCE), 0)

    def test_doctor(self):
        self.assertEqual({each["grade"] for each in self.inspect("doctor")} - {"warning"}, {"ok"})
        # A run leaves its set for the next one; nobody uses it.
        self.assertEqual(self.run_it(["x"], ["true"]).returncode, 0)
        self.assertTrue(os.path.exists(os.path.join(self.sets, "tickets-0")))
        process, pipe = self.start_shell(["--write", "x"], "echo in >&9; read x <&8")
        self.assertEqual(pipe.line(), "in")
        (cleaned,) = (each["text"] for each in self.inspect("doctor", "--clean") if each["subject"] == "clean")
        # At least ours: there may be others of this user whose directory is gone, too.
        self.assertRegex(cleaned, "^removed [1-9][0-9]* sets of semaphores that nobody used$")
        self.assertEqual(os.listdir(self.sets), ["readers-0"])
        process.terminate()
        process.wait(PATIENCE)


if __name__ == "__main__":
    unittest.main()
