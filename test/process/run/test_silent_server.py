"""A server that stops answering: what does not wait for it."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from support import PATIENCE, Pipe, RunCase, until

# What a server may be asked for without an answer: holders for 2 s, a release for 5 s.
AT_ONCE = 1.5


class HalfSilentServer:
    """As much of a Redis server as the lock `held` is refused by, `soon` until it is asked who has it, and the others are
    granted by. It answers neither questions about holders nor releases, and tells when one has come."""

    def __init__(self, case):
        self.asked = threading.Event()
        self.released = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        case.addCleanup(self.listener.close)
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.peers = []
        case.addCleanup(lambda: [each.close() for each in self.peers])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.peers.append(self.listener.accept()[0])
            except OSError:
                return
            threading.Thread(target=self.serve, args=(self.peers[-1],), daemon=True).start()

    def serve(self, peer):
        try:
            with peer.makefile("rb") as source:
                while line := source.readline():
                    words = []
                    for _ in range(int(line[1:])):
                        size = int(source.readline()[1:])
                        words.append(source.read(size + 2)[:-2].decode())
                    peer.sendall(self.answer(words).encode())
        except (OSError, ValueError):
            pass

    def is_held(self, name):
        return name == "held" or name == "soon" and not self.asked.is_set()

    def answer(self, words):
        if words[0] == "SET":
            return "$-1\r\n" if self.is_held(words[1]) else "+OK\r\n"
        if words[0] == "CONFIG":
            return "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"
        if words[0] == "SUBSCRIBE":
            return "*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(words[1]), words[1])
        # A wait's question; a release has the channel's name there.
        if words[0] in ("EVALSHA", "EVAL") and words[5].isdigit():
            # Still held, for so many milliseconds, by one of ours that tells when it goes.
            return "*3\r\n:0\r\n:100\r\n:1\r\n" if self.is_held(words[3]) else "*3\r\n:1\r\n:0\r\n:1\r\n"
        (self.asked if words[0] == "TYPE" else self.released).set()
        return ""


class SilentServer(RunCase):
    def setUp(self):
        super().setUp()
        self.server = HalfSilentServer(self)

    def start_on_server(self, options, command, **how):
        return self.start(["--url", self.server.url, *options], command, stderr=subprocess.PIPE, text=True, **how)

    def await_event(self, event):
        self.assertTrue(event.wait(PATIENCE))

    def assert_ends_at_once(self, process, status, begin):
        self.assertEqual(process.wait(PATIENCE), status)
        self.assertLess(time.monotonic() - begin, AT_ONCE)

    def test_the_search_for_the_holder_does_not_delay_the_timeout(self):
        begin = time.monotonic()
        process = self.start_on_server(["-v", "--timeout", "600ms", "held"], ["true"])
        self.assert_ends_at_once(process, 75, begin)
        self.assertTrue(self.server.asked.is_set())
        self.assertEqual(process.stderr.read(),
                         'holdfast: waiting for "held"\nholdfast: "held" is held elsewhere; gave up\n')

    def test_it_does_not_delay_a_signal(self):
        process = self.start_on_server(["-v", "held"], ["true"])
        self.await_event(self.server.asked)
        begin = time.monotonic()
        process.terminate()
        self.assert_ends_at_once(process, -signal.SIGTERM, begin)

    def test_it_does_not_delay_the_command(self):
        begin = time.monotonic()
        said = Pipe(self)
        self.start(["--url", self.server.url, "-v", "soon"], ["true"], stderr=said.writer)
        self.assertEqual(said.line(), 'holdfast: waiting for "soon"')
        self.assertRegex(said.line(), r'acquired "soon" after 0\.')
        self.assertRegex(said.line(), "started process")
        self.assertLess(time.monotonic() - begin, AT_ONCE)
        self.await_event(self.server.released)

    def test_a_mere_try_is_no_wait(self):
        process = self.start_on_server(["-v", "--try", "held"], ["true"])
        self.assertEqual(process.wait(PATIENCE), 75)
        self.assertEqual(process.stderr.read(), 'holdfast: "held" is held elsewhere; gave up\n')

    def test_a_second_signal_does_not_wait_for_what_is_given_back(self):
        process = self.start_on_server(["free", "held"], ["true"])
        until(lambda: self.threads(process.pid) > 2, "the waiting thread")
        begin = time.monotonic()
        process.terminate()
        self.await_event(self.server.released)
        process.send_signal(signal.SIGINT)
        self.assert_ends_at_once(process, -signal.SIGINT, begin)

    def test_nor_after_a_refusal(self):
        begin = time.monotonic()
        process = self.start_on_server(["--try", "free", "held"], ["true"])
        self.await_event(self.server.released)
        self.end_by_two_signals(process)
        self.assert_ends_at_once(process, -signal.SIGINT, begin)

    def test_nor_when_the_command_has_ended(self):
        begin = time.monotonic()
        process = self.start_on_server(["free"], ["true"])
        self.await_event(self.server.released)
        self.end_by_two_signals(process)
        self.assert_ends_at_once(process, -signal.SIGINT, begin)

    def test_the_end_of_the_command_is_told_before_the_release(self):
        events = Pipe(self)
        process = self.start_on_server(["--json-fd", str(events.writer), "free"], ["true"], pass_fds=[events.writer])
        self.await_event(self.server.released)
        # All of this is there by now: no release is answered.
        events.close_writer()
        os.set_blocking(events.reader, False)
        told = os.read(events.reader, 65536).decode()
        self.assertEqual([json.loads(line)["event"] for line in told.splitlines()], ["acquired", "started", "exited"])
        self.end_by_two_signals(process)
        process.wait(PATIENCE)

    def end_by_two_signals(self, process):
        process.terminate()
        until(lambda: not self.is_pending(process.pid, signal.SIGTERM), "the first signal's reading")
        process.send_signal(signal.SIGINT)

    @staticmethod
    def is_pending(pid, number):
        with open(f"/proc/{pid}/status") as file:
            pending = next(line.split()[1] for line in file if line.startswith("ShdPnd:"))
        return bool(int(pending, 16) >> (number - 1) & 1)


if __name__ == "__main__":
    unittest.main()
