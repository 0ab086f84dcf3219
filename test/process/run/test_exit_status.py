"""What `holdfast run` passes on and what it says itself: status, options, environment, descriptors."""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import unittest

from support import HOLDFAST, PATIENCE, Pipe, RunCase, is_alive, is_locked


class ExitStatus(RunCase):
    def test_the_commands_status_is_passed_on(self):
        for status in (0, 1, 42, 64, 75, 255):
            with self.subTest(status=status):
                self.assertEqual(self.run_it(["x"], ["sh", "-c", f"exit {status}"]).returncode, status)

    def test_it_dies_of_the_commands_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1):
            with self.subTest(signal=number):
                done = self.run_it(["x"], ["sh", "-c", f"kill -{int(number)} $$"])
                self.assertEqual(done.returncode, -number)

    def test_a_missing_command_is_127_and_one_that_cannot_run_126(self):
        self.assertEqual(self.run_it(["x"], ["no-such-command-here"]).returncode, 127)
        self.assertEqual(self.run_it(["x"], [self.path]).returncode, 126)
        self.assertEqual(self.run_it(["x"], [self.directory]).returncode, 126)

    def test_a_held_lock_is_75_or_what_is_asked_for(self):
        with open(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for options, status in (
                (["--try"], 75),
                (["-n"], 75),
                (["--timeout", "0s"], 75),
                (["--timeout=50ms"], 75),
                (["-w", "50ms", "-E", "1"], 1),
                (["-nE9"], 9),
            ):
                with self.subTest(options=options):
                    done = self.run_it([*options, "--exact", self.path], ["true"])
                    self.assertEqual(done.returncode, status)

    def test_usage_errors_are_64_and_say_what_would_be_right(self):
        for arguments, text in (
            ([], "no lock is named"),
            (["x"], "no command is given"),
            (["x", "--"], "no command is given"),
            (["--", "true"], "no lock is named"),
            (["--lock"], "--lock takes a name"),
            (["--lock", "--", "true"], "--lock takes a name"),
            (["--timeout", "10", "x", "--", "true"], "the unit is missing"),
            (["--timeout", "-1s", "x", "--", "true"], "not a duration"),
            (["--timeout", "3000000s", "x", "--", "true"], "2147483647ms"),
            (["--timeout", "1e3s", "x", "--", "true"], "the unit is none of"),
            (["--kill-after", "infinite", "x", "--", "true"], "cannot be infinite"),
            (["-E", "256", "x", "--", "true"], "from 0 to 255"),
            (["-E", "1x", "x", "--", "true"], "from 0 to 255"),
            (["--semaphore", "0", "x", "--", "true"], "from 1 to"),
            (["--semaphore", "3", "--", "true"], "--semaphore takes"),
            (["--json-fd", "57", "x", "--", "true"], "not open"),
            (["--json-fd", "0", "x", "--", "true"], "from 1 to"),
            (["--json-handle", "3", "x", "--", "true"], "for Windows"),
            (["--json-handle", "3", "--json-fd", "1", "x", "--", "true"], "exclude each other"),
            (["--no-such-option", "x", "--", "true"], "there is no option --no-such-option"),
            (["--verbose=yes", "x", "--", "true"], "takes no value"),
            (["x", "x", "--", "true"], "named twice"),
            (["--read", "x", "--write", "x", "--", "true"], "named twice"),
            (["--url", "", "x", "--", "true"], "--url takes a URL"),
            (["-o", "--keep-until-children-exit", "x", "--", "true"], "exclude each other"),
            (["--url", "@/no/such/file", "x", "--", "true"], "cannot be read"),
        ):
            with self.subTest(arguments=arguments):
                done = subprocess.run(
                    [HOLDFAST, "run", *arguments],
                    env=self.environment,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                self.assertEqual(done.returncode, 64, done.stderr)
                self.assertIn(text, done.stderr)

    def test_a_bad_url_is_78(self):
        self.assertEqual(self.run_it(["--url", "nonsense:x", "x"], ["true"]).returncode, 78)
        self.assertEqual(self.run_it(["--url", self.url + "?no-such-option=1", "x"], ["true"]).returncode, 78)

    def test_the_help_exits_with_0_and_teaches_by_examples(self):
        done = subprocess.run([HOLDFAST, "run", "--help"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)
        self.assertIn("Examples:", done.stdout)
        self.assertIn("holdfast run --try backup -- ./backup.sh", done.stdout)


class Names(RunCase):
    def test_unusual_names_work_and_reach_the_command(self):
        for name in ("two\nlines", "", "[a,b]", " ", ".", "..", "a/b", "'\"$(x)", "\u00e9\U0001f512", "n" * 65535):
            with self.subTest(name=name[:20]):
                done = self.run_it(["--lock=" + name], ["sh", "-c", 'printf %s "$HOLDFAST_NAME"'])
                self.assertEqual((done.returncode, done.stdout), (0, name), done.stderr)

    def test_a_name_like_an_option_is_given_with_an_equals_sign(self):
        done = self.run_it(["--lock=--try"], ["sh", "-c", 'printf %s "$HOLDFAST_NAME"'])
        self.assertEqual((done.returncode, done.stdout), (0, "--try"))

    def test_invalid_utf8_is_a_usage_error(self):
        self.assertEqual(self.run_it([b"\xff"], ["true"]).returncode, 64)

    def test_several_locks_are_all_held_and_all_named(self):
        script = 'printf "%s|%s|%s" "$HOLDFAST_NAME" "$HOLDFAST_NAME_1" "$HOLDFAST_NAME_2"'
        done = self.run_it(["b", "--lock", "a"], ["sh", "-c", script])
        self.assertEqual(done.stdout, "b|b|a")
        inner = self.arguments(["--url", self.url, "--try", "a"], ["true"])
        self.assertEqual(self.run_it(["b", "a"], inner).returncode, 75)

    def test_a_failed_second_lock_gives_the_first_one_back(self):
        # The command does not see HOLDFAST_URL, so that a holdfast within it must be told.
        script = 'for names in "b a" b; do "$0" run --url "$1" --try $names -- true; echo $?; done'
        done = self.run_it(["a"], ["sh", "-c", script, HOLDFAST, self.url])
        self.assertEqual(done.stdout.split(), ["75", "0"])

    def test_an_exact_file_is_locked_and_stays(self):
        done = self.run_it(["--url", "file:", "--exact", self.path], ["flock", "-n", self.path, "true"])
        self.assertEqual(done.returncode, 1)
        self.assertTrue(os.path.exists(self.path))
        self.assertFalse(is_locked(self.path))

    def test_lock_files_are_deleted_unless_kept(self):
        locks = os.path.join(self.directory, "locks")
        self.assertEqual(self.run_it(["x"], ["true"]).returncode, 0)
        self.assertEqual(os.listdir(locks), [])
        self.assertEqual(self.run_it(["--keep-files", "x"], ["true"]).returncode, 0)
        self.assertEqual(len(os.listdir(locks)), 1)


class Surroundings(RunCase):
    def test_the_url_does_not_reach_the_command(self):
        secret = dict(self.environment, HOLDFAST_NAME_7="stale", HOLDFAST_FENCING_TOKEN="9", KEPT="yes")
        done = self.run_it(["x"], ["env"], env=secret)
        kept = ("HOLDFAST_URL", "HOLDFAST_NAME", "HOLDFAST_FENCING", "KEPT")
        lines = [line for line in done.stdout.splitlines() if line.startswith(kept)]
        self.assertEqual(sorted(lines), ["HOLDFAST_NAME=x", "KEPT=yes"])

    def test_the_url_can_stand_in_a_file(self):
        url_file = os.path.join(self.directory, "url")
        with open(url_file, "w") as file:
            file.write(self.url + "\n")
        environment = dict(self.environment, HOLDFAST_URL="nonsense:")
        self.assertEqual(self.run_it(["--url", "@" + url_file, "x"], ["true"], env=environment).returncode, 0)

    def test_a_password_in_the_arguments_is_hidden(self):
        # The scheme is unknown, so only the message can be seen here; the title is changed before anything else.
        done = self.run_it(["--url", "nonsense://user:geheim@host/", "x"], ["true"])
        self.assertNotIn("geheim", done.stderr)

    def test_closed_standard_descriptors_stay_closed(self):
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            with self.subTest(closed=closed):
                report = os.path.join(self.directory, "report")
                script = f"exec 9>{report}; for d in 0 1 2; do [ -e /proc/$$/fd/$d ] && echo $d >&9; done; exit 3"

                def close_them():
                    for descriptor in closed:
                        os.close(descriptor)

                nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                done = self.run_it(["x"], ["sh", "-c", script], preexec_fn=close_them, capture_output=False, **nothing)
                self.assertEqual(done.returncode, 3)
                with open(report) as file:
                    self.assertEqual(file.read().split(), [str(d) for d in (0, 1, 2) if d not in closed])

    def test_descriptors_the_command_gets(self):
        list_them = ["sh", "-c", "exec ls /proc/self/fd"]
        # ls adds one for the directory.
        self.assertEqual(self.run_it(["-o", "x"], list_them).stdout.split(), ["0", "1", "2", "3"])
        self.assertEqual(self.run_it(["x"], list_them).stdout.split(), ["0", "1", "2", "3", "64"])

    @unittest.skipIf("UBSAN_OPTIONS" in os.environ, "the sanitizer needs descriptors, too")
    def test_too_few_descriptors_are_an_error_and_not_a_hang(self):
        for limit in range(3, 16):
            with self.subTest(limit=limit):
                done = self.run_it(
                    ["x"], ["true"], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
                )
                # Never a lock without an error, never a signal; the loader itself may fail first.
                self.assertIn(done.returncode, (0, 71, 69, 126, 127), done.stderr)
        self.assertEqual(done.returncode, 0)

    def test_the_command_has_the_signal_mask_and_dispositions_of_holdfast(self):
        def prepare():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)

        script = ["sh", "-c", "exec grep -E '^Sig(Blk|Ign)' /proc/self/status"]
        direct = subprocess.run(script, preexec_fn=prepare, capture_output=True, text=True)
        ours = self.run_it(["x"], script, preexec_fn=prepare)
        self.assertEqual(ours.returncode, 0)
        self.assertEqual(ours.stdout, direct.stdout)

    def test_the_lock_is_free_when_holdfast_has_exited(self):
        for _ in range(100):
            self.assertEqual(self.run_it(["--exact", self.path], ["true"]).returncode, 0)
            self.assertFalse(is_locked(self.path))


class Loss(RunCase):
    """A lock file that somebody removes is a lost lock."""

    def lock_files(self):
        directory = os.path.join(self.directory, "locks")
        return [os.path.join(directory, each) for each in os.listdir(directory)]

    def full_pipe(self):
        """Something to write to that nobody reads, and that has no room left."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
        return writer

    def test_nobody_who_does_not_read_keeps_the_command_running(self):
        pipe = Pipe(self)
        process = self.start(["-v", "x"], ["sh", "-c", f"echo $$ >/proc/self/fd/{pipe.writer}; exec sleep 600"],
                             stderr=self.full_pipe(), pass_fds=(pipe.writer,))
        command = int(pipe.line())
        for each in self.lock_files():
            os.unlink(each)
        self.assertEqual(process.wait(PATIENCE), 79)
        self.assertFalse(is_alive(command))

    def test_what_is_lost_while_another_one_is_waited_for_starts_nothing(self):
        started = os.path.join(self.directory, "started")
        with open(self.path) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            process = self.start(["x", "--exact", self.path], ["touch", started], stderr=subprocess.PIPE, text=True)
            self.wait_until_waiting(process)
            for each in self.lock_files():
                os.unlink(each)
            # While the other lock is still held elsewhere.
            self.assertEqual(process.wait(PATIENCE), 79)
        self.assertIn('"x" was lost', process.stderr.read())
        self.assertFalse(os.path.exists(started))
        self.assertFalse(is_locked(self.path))

    def test_what_the_release_finds_lost_is_the_status(self):
        done = self.run_it(["x"], ["sh", "-c", f'rm "{self.directory}"/locks/*'])
        self.assertEqual(done.returncode, 79)
        self.assertIn("lost", done.stderr)


class Twins(RunCase):
    def test_one_lock_by_two_names_is_refused(self):
        link = os.path.join(self.directory, "link")
        os.link(self.path, link)
        folder = os.path.join(self.directory, "folder")
        os.symlink(self.directory, folder)
        for other in (os.path.join(self.directory, ".", "exact.lock"), os.path.join(folder, "exact.lock"), link):
            done = self.run_it(["--exact", self.path, "--exact", other], ["true"])
            self.assertEqual(done.returncode, 64, other)
            self.assertIn("are one lock", done.stderr)
        for name in ("a", "b"):
            self.assertEqual(self.run_it(["--exact", os.path.join(self.directory, name), "--exact", self.path],
                                         ["true"]).returncode, 0)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare")
class DefaultDirectory(RunCase):
    def test_a_fault_that_may_pass_leads_to_no_other_directory(self):
        del self.environment["HOLDFAST_URL"]
        script = 'mount -t tmpfs -o ro none /run/lock && exec "$@"'
        for verb in (["run", "x", "--", "true"], ["list"], ["doctor"]):
            done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", HOLDFAST, *verb], timeout=PATIENCE,
                                  env=self.environment, capture_output=True, text=True)
            self.assertEqual(done.returncode, 73, done.stderr)
            self.assertIn("/run/lock/holdfast-", done.stderr)


class Events(RunCase):
    def events(self, options, command):
        done = self.run_it(["--json-fd", "1", *options], command)
        return done, [json.loads(line) for line in done.stdout.splitlines()]

    def test_each_step_is_a_line_of_json(self):
        name = 'quote" newline\n \u00e9'
        done, events = self.events([name], ["sh", "-c", "exit 7"])
        self.assertEqual(done.returncode, 7)
        self.assertEqual([event["event"] for event in events], ["acquired", "started", "exited", "released"])
        self.assertEqual(events[0]["name"], name)
        self.assertEqual(events[2]["status"], 7)
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_conflict_and_errors_are_told(self):
        inner = self.arguments(["--url", self.url, "--json-fd", "1", "--timeout", "10ms", "x"], ["true"])
        done = self.run_it(["x"], inner)
        self.assertEqual([json.loads(line)["event"] for line in done.stdout.splitlines()], ["waiting", "conflict"])
        done, events = self.events(["x"], ["no-such-command-here"])
        self.assertEqual([event["event"] for event in events], ["acquired", "released", "error"])
        self.assertEqual(events[2]["exit_code"], 127)

    def test_the_descriptor_is_not_inherited(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        done = self.run_it(["-o", "--json-fd", str(writer), "x"], ["ls", "/proc/self/fd"], pass_fds=(writer,))
        os.close(writer)
        self.assertEqual(done.stdout.split(), ["0", "1", "2", "3"])

    def test_a_reader_that_went_away_does_no_harm(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = self.run_it(["-v", "--json-fd", str(writer), "x"], ["sh", "-c", "exit 5"], pass_fds=(writer,))
        os.close(writer)
        self.assertEqual(done.returncode, 5)

    def test_what_was_dropped_is_told(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        names = [f"{at} " + 200 * "x" for at in range(60)]
        running = self.start(["--json-fd", str(writer), *names], ["sh", "-c", "echo go; read line"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(writer,))
        os.close(writer)
        self.assertEqual(running.stdout.readline(), b"go\n")
        # All that the pipe had room for, until the command runs.
        text = os.read(reader, 4096)
        running.stdin.write(b"\n")
        running.stdin.close()
        self.assertEqual(running.wait(PATIENCE), 0)
        while part := os.read(reader, 4096):
            text += part
        expected = [("acquired", each) for each in names] + [("started", None), ("exited", None)] + \
                   [("released", each) for each in reversed(names)]
        dropped = []
        for event in map(json.loads, text.splitlines()):
            if "dropped" in event:
                dropped.append(event["dropped"])
                del expected[:event["dropped"]]
            self.assertEqual((event["event"], event.get("name")), expected.pop(0), event)
        # Most of the first sort, and `started`; of what was dropped at the end nobody is left to tell.
        self.assertEqual(len(dropped), 1)
        self.assertGreater(dropped[0], 1)

    def test_verbose_tells_who_holds_the_lock(self):
        inner = self.arguments(["--url", self.url, "-v", "--timeout", "10ms", "x"], ["true"])
        done = self.run_it(["x"], inner)
        self.assertRegex(done.stderr, r'waiting for "x", held by process \d+ \(.*run x -- .*\), running since \d{4}-')


if __name__ == "__main__":
    unittest.main()
