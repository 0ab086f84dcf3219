"""A Holdfast and a .NET program that share the locks of a server, and what is asked of both.

PEER is Holdfast's program; PRIVATE_SERVER lends servers. Nothing here sleeps to let something happen.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import select
import tempfile
import time
import typing
import unittest

import programs
from programs import Program

HOLDFAST = "Holdfast"
DOTNET = ".NET"


class Peer(Program):
    """Either of them: they hear the same lines and answer alike."""

    ids = itertools.count()
    # The .NET program.
    made = None

    def __init__(self, side):
        super().__init__(*([os.environ["PEER"]] if side == HOLDFAST else ["dotnet", str(Peer.made)]))
        self.side = side
        ready, _, self.versions = self.read().partition(" ")
        assert ready == "ready" and self.versions.startswith(side), self.versions

    def make(self, kind, url, name):
        return Lock(self, kind, url, name)


class Lock:
    """A lock of some kind, in some peer."""

    def __init__(self, peer, kind, url, name):
        self.peer = peer
        self.id = next(Peer.ids)
        self.expect("make", "made", kind, url, name)

    def tell(self, what, *more):
        return self.peer.ask(" ".join([what, str(self.id), *more]))

    def expect(self, what, wanted, *more):
        heard = self.tell(what, *more)
        assert heard == wanted, f"{self.peer.side}: {what} is answered by {heard!r}, not {wanted!r}"

    def attempt(self, *mode):
        heard = self.tell("try", *mode)
        assert heard in ("got", "busy"), f"{self.peer.side}: {heard!r}"
        return heard == "got"

    def release(self):
        self.expect("release", "released")

    def state(self):
        return self.tell("state")

    def count(self):
        return int(self.tell("count"))

    def wait(self, *mode):
        """Begins to wait; the peer hears nothing until it has the lock."""
        self.peer.send(" ".join(["wait", str(self.id), *mode]))

    def still_waits(self):
        return not self.peer.unread and not select.select([self.peer.process.stdout], [], [], 0)[0]

    def await_held(self, within=programs.PATIENCE):
        heard = self.peer.read(within)
        assert heard == "held", f"{self.peer.side}: {heard!r}"


class Server(Program):
    """A server of the test's own."""

    def __init__(self, kind):
        super().__init__(os.environ["PRIVATE_SERVER"], kind)
        ready, _, self.url = self.read(90).partition(" ")
        assert ready == "ready", self.url
        self.lives = True

    def kill_server(self):
        assert self.ask("kill") == "killed"
        self.lives = False


def both_ways(test):
    """Calls a test with the name of either side as the first one, and the other's."""

    @functools.wraps(test)
    def run(self):
        for first, second in ((HOLDFAST, DOTNET), (DOTNET, HOLDFAST)):
            with self.case(first=first, second=second):
                test(self, first, second)

    return run


class SharedServer(unittest.TestCase):
    """What the tests of each server have in common. Peers that are not killed serve all tests of a class."""

    peers = {}
    numbers = itertools.count()

    @classmethod
    def dismiss_peers(cls):
        while cls.peers:
            cls.peers.popitem()[1].close()

    @classmethod
    def lend_server(cls, kind):
        server = Server(kind)
        cls.addClassCleanup(server.close)
        return server

    @classmethod
    def setUpClass(cls):
        cls.peers = {}
        cls.addClassCleanup(cls.dismiss_peers)

    @contextlib.contextmanager
    def case(self, **what):
        """A sub-test, after whose failure the others have new peers: the old ones may hold or await anything."""
        with self.subTest(**what):
            try:
                yield
            except BaseException:
                self.dismiss_peers()
                raise

    def peer(self, side, which=0):
        if (side, which) not in self.peers:
            self.peers[side, which] = Peer(side)
        return self.peers[side, which]

    def one_to_kill(self, side):
        peer = Peer(side)
        self.addCleanup(peer.close)
        return peer

    def new_name(self):
        """One that nothing else has."""
        return text(f"{self.id().rpartition('.')[2]}/{next(self.numbers)}")

    def until(self, condition, what, within=programs.PATIENCE):
        """Waits for a state that nothing announces."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                self.fail(what() if callable(what) else what)
            select.select([], [], [], 0.005)

    def check_exclusion(self, a, b, mode_a=(), mode_b=(), get=None):
        """Of two locks each excludes the other, and is free for it once released.

        `get` acquires what is free; else that is one try.
        """
        get = get or (lambda lock, *mode: self.assertTrue(lock.attempt(*mode)))
        for _ in range(2):
            get(a, *mode_a)
            self.assertFalse(b.attempt(*mode_b))
            a.release()
            get(b, *mode_b)
            self.assertFalse(a.attempt(*mode_a))
            b.release()

    def check_readers_are_in_together(self, first, second, url):
        name = self.new_name()
        a, other_a = (self.peer(first, which).make("rw", url, name) for which in (0, 1))
        b, other_b = (self.peer(second, which).make("rw", url, name) for which in (0, 1))
        self.assertTrue(a.attempt("read"))
        self.assertTrue(b.attempt("read"))
        self.assertFalse(other_a.attempt())
        self.assertFalse(other_b.attempt())
        a.release()
        # The other side's reader is still there.
        self.assertFalse(other_a.attempt())
        self.assertFalse(other_b.attempt())
        b.release()
        self.assertTrue(other_a.attempt())
        other_a.release()

    def race(self, kind, url, writers=2, readers=0, until=3000, seconds=15):
        """Lets peers of both sides hammer one lock, and looks whether ever two were in."""
        name = self.new_name()
        with tempfile.TemporaryDirectory() as folder:
            count = pathlib.Path(folder) / "count"
            count.write_text("0 nobody 0")
            racers = [(self.peer(side, which), "read" if which >= writers else "")
                      for which in range(writers + readers) for side in (HOLDFAST, DOTNET)]
            locks = [peer.make(kind, url, name) for peer, _ in racers]
            began = time.monotonic()
            for lock, (peer, mode) in zip(locks, racers):
                peer.send(f"race {lock.id} {folder} {peer.side} {until} {seconds} {mode}".strip())
            heard = [peer.read(seconds + programs.PATIENCE) for peer, _ in racers]
            took = time.monotonic() - began
            entries, _, changes = count.read_text().split()
        for peer, line in zip((peer for peer, _ in racers), heard):
            self.assertTrue(line.startswith("raced "), f"{peer.side}: {line}")
        raced = [Raced(peer.side, mode, *map(int, line.split()[1:])) for (peer, mode), line in zip(racers, heard)]
        print(f"\n    {kind}: {entries} in {took:.1f} s, {changes} of them after one of the other side", end="")
        for each in raced:
            print(f"\n        {each}", end=" ", flush=True)
        self.assertEqual(sum(each.overlaps for each in raced), 0)
        self.assertEqual(sum(each.entered for each in raced if each.mode == ""), int(entries))
        # Else it was no race. A loaded machine gives whoever runs more entries in a row.
        self.assertGreater(int(entries), until // 4)
        self.assertGreater(int(changes), int(entries) // 40)
        for each in raced:
            self.assertGreater(each.entered, 0)
            self.assertGreater(each.refused, 0)


class Raced(typing.NamedTuple):
    side: str
    mode: str
    entered: int
    refused: int
    overlaps: int


def text(name):
    return "text:" + name.encode().hex()


def decoded(name):
    return bytes.fromhex(name.removeprefix("text:")).decode()


def main():
    def make():
        Peer.made = programs.make("servers")
        peer = Peer(DOTNET)
        print(f"beside {peer.versions}", flush=True)
        peer.close()

    programs.main(make)
