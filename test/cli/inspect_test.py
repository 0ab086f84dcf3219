"""holdfast list and holdfast doctor, on directories of lock files."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

holdfast = sys.argv.pop(1)


def run(*arguments, **more):
    environment = {key: value for key, value in os.environ.items() if key != "HOLDFAST_URL"}
    environment.update(more)
    return subprocess.run([holdfast, *arguments], capture_output=True, text=True, env=environment, timeout=60)


class Inspect(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.directory = pathlib.Path(self.scratch.name)
        self.url = f"file://{self.directory}"

    def hold(self, name):
        """Holds a lock until the returned process' input is closed."""
        holder = subprocess.Popen([holdfast, "run", "--url", self.url, name, "--", "sh", "-c", "echo held; cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        self.assertEqual(holder.stdout.readline(), "held\n")
        return holder

    def listed(self, *arguments):
        result = run("list", "--url", self.url, "--json", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_list_tells_held_locks_from_files_that_were_left(self):
        holder = self.hold("one")
        (self.directory / "left.lock").touch()
        (self.directory / "other.txt").touch()
        by_state = {entry["state"]: entry for entry in self.listed()}
        self.assertEqual(sorted(by_state), ["free", "held"])
        self.assertEqual(by_state["free"]["key"], str(self.directory / "left.lock"))
        self.assertIn(f"process {holder.pid} ", by_state["held"]["holder"])
        text = run("list", "--url", self.url).stdout
        self.assertIn("left.lock: free\n", text)
        self.assertIn(f": held (exclusive) by process {holder.pid} ", text)

    def test_passwords_are_not_in_the_list_of_processes(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://ann:hunter2@127.0.0.1:{silent.getsockname()[1]}"
            for arguments in (["list", "--url", url], ["list", f"--url={url}"], ["doctor", url], ["bench", "--url", url]):
                one = subprocess.Popen([holdfast, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    # It has begun to talk, and gets no answer.
                    silent.settimeout(20)
                    peer, _ = silent.accept()
                    shown = pathlib.Path(f"/proc/{one.pid}/cmdline").read_bytes()
                    peer.close()
                    self.assertIn(arguments[0].encode(), shown)
                    self.assertNotIn(b"hunter2", shown)
                finally:
                    one.kill()
                    one.wait()

    def test_a_look_makes_no_directory(self):
        missing = self.directory / "missing" / "locks"
        result = run("doctor", f"file://{missing}")
        self.assertEqual(result.returncode, 0)
        self.assertIn("does not exist yet", result.stdout)
        self.assertFalse(missing.parent.exists())

    def test_control_characters_of_names_do_nothing_to_a_terminal(self):
        (self.directory / "a\x1b[31m\u009b31m.lock").touch()
        text = run("list", "--url", self.url).stdout
        self.assertIn("a?[31m?31m.lock: free", text)

    def test_what_is_no_subcommand_is_said(self):
        wrong = run("backup")
        self.assertEqual(wrong.returncode, 64)
        self.assertIn("holdfast run backup -- COMMAND", wrong.stderr)
        self.assertIn("Usage", run("help").stdout)

    def test_list_reads_the_url_from_the_environment_and_from_a_file(self):
        self.hold("one")
        from_environment = run("list", HOLDFAST_URL=self.url)
        self.assertIn(": held (exclusive)", from_environment.stdout)
        (self.directory / "url").write_text(self.url + "\n")
        self.assertEqual(run("list", "--url", f"@{self.directory}/url").stdout, from_environment.stdout)

    def test_an_empty_url_is_refused(self):
        for verb in ("list", "doctor"):
            empty = run(verb, HOLDFAST_URL="")
            self.assertEqual(empty.returncode, 64, empty.stdout)
            self.assertIn("HOLDFAST_URL is empty", empty.stderr)
            self.assertEqual(run(verb, "--url", "").returncode, 64)

    def test_a_run_refuses_an_empty_url_and_a_second_one(self):
        command = ["one", "--", "touch", str(self.directory / "ran")]
        empty = run("run", *command, HOLDFAST_URL="")
        self.assertEqual(empty.returncode, 64)
        self.assertIn("HOLDFAST_URL is empty; unset it", empty.stderr)
        self.assertEqual(run("run", "--url", "", *command).returncode, 64)
        twice = run("run", "--url", self.url, f"--url={self.url}", *command)
        self.assertEqual(twice.returncode, 64)
        self.assertIn("--url is given twice", twice.stderr)
        self.assertFalse((self.directory / "ran").exists())
        self.assertEqual(run("run", "--url", self.url, *command, HOLDFAST_URL="").returncode, 0)

    def test_list_takes_a_url_as_doctor_does(self):
        self.hold("one")
        self.assertIn(": held (exclusive)", run("list", self.url).stdout)
        self.assertEqual(run("list", self.url, "--url", self.url).returncode, 64)

    def test_what_cannot_be_written_is_no_success(self):
        (self.directory / "left.lock").touch()
        for verb in ("list", "doctor"):
            with open("/dev/full", "w") as full:
                result = subprocess.run([holdfast, verb, "--url", self.url], stdout=full, stderr=subprocess.PIPE,
                                        text=True, timeout=60)
            self.assertEqual(result.returncode, 74, verb)
            self.assertIn(f"holdfast {verb}: standard output cannot be written", result.stderr)

    def start_redis(self, port=0):
        if not shutil.which("redis-server"):
            self.skipTest("needs redis-server")
        # A socket in the folder: no port that somebody else may have.
        path = self.directory / "redis.sock"
        server = subprocess.Popen(["redis-server", "--port", str(port), "--unixsocket", path, "--save", ""],
                                  cwd=self.directory, stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.url = f"redis+unix://{path}"
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def ask_redis(self, *words):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(self.directory / "redis.sock"))
            client.sendall(b"*%d\r\n" % len(words))
            for word in words:
                client.sendall(b"$%d\r\n%s\r\n" % (len(word), word))
            return client.recv(65536)

    def test_a_waiting_run_does_not_tell_what_applications_keep_at_the_key(self):
        self.start_redis()
        self.assertEqual(self.ask_redis(b"SET", b"one", b"secret\nholdfast: forged"), b"+OK\r\n")
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as events:
            waiter = subprocess.run([holdfast, "run", "-v", "-w", "1s", "--json-fd", str(write_end), "--url", self.url,
                                     "one", "--", "true"], pass_fds=[write_end], capture_output=True, text=True,
                                    timeout=60)
            os.close(write_end)
            told = events.read()
        self.assertEqual(waiter.returncode, 75)
        self.assertIn('waiting for "one", held by something that is no lock\n', waiter.stderr)
        self.assertEqual(json.loads(told.splitlines()[0])["holder"], "something that is no lock")
        for text in (waiter.stderr, told, run("list", "--url", self.url).stdout):
            self.assertNotIn("secret", text)
            self.assertNotIn("forged", text)

    def test_list_shows_what_it_could_find_out_and_says_what_not(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.start_redis(port)
        holder = self.hold("one")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            away = f"127.0.0.1:{nobody.getsockname()[1]}"
            found = run("list", "--json", "--url", f"redis://127.0.0.1:{port},{away}")
        self.assertEqual(found.returncode, 69)
        entry = json.loads(found.stdout)
        self.assertEqual(entry["key"], "one")
        self.assertIn("holdfast list: not asked: ", found.stderr)
        self.assertIn(away, found.stderr)
        holder.stdin.close()

    def test_list_and_doctor_of_a_redis_server(self):
        self.start_redis()
        holder = self.hold("one")
        entry, = self.listed()
        self.assertEqual((entry["key"], entry["state"]), ("one", "held"))
        self.assertIn(str(holder.pid), json.dumps(entry))
        text = run("list", "--url", self.url).stdout
        self.assertIn("one: held (exclusive)", text)
        told = run("doctor", self.url)
        self.assertEqual(told.returncode, 0, told.stderr)
        for word in ("version", "persistence", "latency"):
            self.assertIn(word, told.stdout)
        holder.stdin.close()
        holder.wait()
        self.assertEqual(self.listed(), [])

    def test_list_of_no_locks_says_so(self):
        result = run("list", "--url", f"{self.url}/missing")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", "no locks\n"))

    def test_a_waiting_run_names_the_holder(self):
        holder = self.hold("one")
        waiter = subprocess.Popen([holdfast, "run", "-v", "--url", self.url, "one", "--", "true"],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiter.stderr.close)
        first = waiter.stderr.readline()
        self.assertIn('waiting for "one", held by process', first)
        self.assertIn(str(holder.pid), first)
        holder.stdin.close()
        self.assertEqual(waiter.wait(), 0)

    def test_doctor_finds_nothing_wrong_with_a_directory_of_its_own(self):
        result = run("doctor", self.url, "--json")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        found = {line["subject"]: line["grade"] for line in map(json.loads, result.stdout.splitlines())}
        self.assertEqual(found["locking"], "ok")
        self.assertEqual(found["permissions"], "ok")
        self.assertEqual(os.listdir(self.directory), [])

    def test_doctor_warns_of_a_directory_that_everybody_may_write(self):
        os.chmod(self.directory, 0o777)
        result = run("doctor", self.url)
        self.assertEqual(result.returncode, 0)
        self.assertIn("chmod +t", result.stdout)

    def test_doctor_finds_a_directory_that_cannot_be_used(self):
        (self.directory / "file").touch()
        result = run("doctor", f"{self.url}/file")
        self.assertEqual(result.returncode, 69, result.stdout)
        self.assertIn("fault", result.stdout)

    def test_doctor_cleans_what_nobody_holds(self):
        self.hold("one")
        (self.directory / "left.lock").touch()
        (self.directory / "other.txt").touch()
        result = run("doctor", "--clean", self.url)
        self.assertEqual(result.returncode, 0)
        self.assertIn("deleted 1 lock files", result.stdout)
        self.assertEqual(len(self.listed()), 1)
        self.assertTrue((self.directory / "other.txt").exists())

    def test_a_scheme_that_nobody_serves_is_an_error(self):
        for verb in ("list", "doctor", "bench"):
            result = run(verb, "--url", "nowhere://host")
            self.assertEqual(result.returncode, 78, verb)
            self.assertIn("'nowhere:'", result.stderr)


if __name__ == "__main__":
    unittest.main()
