"""Locks of Redis shared with DistributedLock.Redis for .NET: each side excludes the other, and hands the lock over.

Needs the .NET SDK and the package; without them the test is skipped (exit status 77).
"""

import collections
import time

import peers
from peers import DOTNET, HOLDFAST, both_ways, decoded, text

# What can be held, and what that keeps out: kind, mode of the holder, mode of the other.
PAIRS = [
    ("lock", (), ()),
    ("rw", (), ()),
    ("rw", ("read",), ()),
    ("rw", (), ("read",)),
    ("semaphore:1", (), ()),
]
# A holder's lock ends 2 s after its last renewal; an acquire may take 1 s.
SHORT = "?expiry=2s&min_validity=1s"
EXPIRY = 2.0
# .NET, and Holdfast where .NET holds, look again at random within 800 ms.
SOON = 5.0


class Redis(peers.SharedServer):
    def asked(self, server):
        """How many commands by which somebody asks for a lock the server has had."""
        calls = {}
        for line in server.ask("INFO commandstats").split("\t"):
            name, _, rest = line.partition(":calls=")
            calls[name.removeprefix("cmdstat_")] = int(rest.split(",")[0]) if rest else 0
        return sum(calls.get(each, 0) for each in ("set", "get", "exists", "zcard"))

    def wait(self, lock, servers, *mode):
        """Lets it wait, and returns when it does: it has asked the first server, and Holdfast listens to the last."""
        before = self.asked(servers[0])
        lock.wait(*mode)
        self.until(lambda: self.asked(servers[0]) > before, f"{lock.peer.side} does not ask")
        if lock.peer.side == HOLDFAST and servers[-1].lives:
            self.until(lambda: servers[-1].ask("PUBSUB CHANNELS holdfast:*"), "does not listen")
        self.assertTrue(lock.still_waits())

    def check_hand_over(self, first, second, url, *servers):
        for kind, held, wanted in PAIRS:
            with self.case(kind=kind, held=held, wanted=wanted):
                name = self.new_name()
                holder = self.peer(first).make(kind, url, name)
                waiter = self.peer(second).make(kind, url, name)
                self.assertTrue(holder.attempt(*held))
                self.wait(waiter, servers, *wanted)
                holder.release()
                waiter.await_held(SOON)
                self.assertFalse(holder.attempt(*held))
                waiter.release()

    def check_nothing_is_left(self, *servers, but_of_dotnet=False):
        """Long before anything would expire. Of several servers a minority may have something, which does no harm."""

        def left():
            found = [(key, ids) for server in servers for key in server.ask("KEYS *").split("\t") if key
                     for ids in [self.ids_at(server, key)] if not but_of_dotnet or "_hf1" in ids]
            keys = collections.Counter(key for key, _ in found)
            return [each for each in found if keys[each[0]] > (len(servers) - 1) // 2]

        self.until(lambda: not left(), lambda: f"these are left: {left()}", within=10)

    def ids_at(self, server, key):
        how = {"string": "GET {}", "set": "SMEMBERS {}", "zset": "ZRANGE {} 0 -1"}
        kind = server.ask(f"TYPE {key}")
        return server.ask(how[kind].format(key)) if kind in how else ""


class OneServer(Redis):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.lend_server("redis")
        cls.url = cls.server.url

    @both_ways
    def test_each_is_busy_for_the_other(self, first, second):
        names = ["orders", "orders/42 für \U0001F600", "", "{tag}:a b\"c", "n" * 20000]
        # Fencing is Holdfast's alone, and has it acquire in another way.
        for parameters in ("", "/3", "?prefix=shop:", "/4?fencing=true"):
            url = self.url + parameters
            for name in names:
                for kind, held, wanted in PAIRS:
                    with self.case(parameters=parameters, name=name[:20], kind=kind, held=held, wanted=wanted):
                        a = self.peer(first).make(kind, url, text(name))
                        b = self.peer(second).make(kind, url, text(name))
                        self.check_exclusion(a, b, held, wanted)
        self.check_nothing_is_left(self.server)

    @both_ways
    def test_what_has_another_key_is_not_kept_out(self, first, second):
        a = self.peer(first).make("lock", self.url, text("name"))
        self.assertTrue(a.attempt())
        for url, name in ((self.url, "Name"), (self.url, "name "), (self.url + "/1", "name"),
                          (self.url + "?prefix=p:", "name")):
            with self.case(url=url, name=name):
                b = self.peer(second).make("lock", url, text(name))
                self.assertTrue(b.attempt())
                b.release()
        # A prefix is nothing but a part of the key.
        b = self.peer(second).make("lock", self.url + "?prefix=na", text("me"))
        self.assertFalse(b.attempt())
        a.release()

    @both_ways
    def test_a_release_hands_over_to_the_other(self, first, second):
        self.check_hand_over(first, second, self.url, self.server)

    def test_events_of_keys_wake_holdfast_when_dotnet_releases(self):
        # Nobody looks again by itself in time.
        url = self.url + "/5?min_busy_wait=20s&max_busy_wait=20s"
        self.server.ask("CONFIG SET notify-keyspace-events Kgxz")
        self.addCleanup(self.server.ask, "CONFIG SET notify-keyspace-events x")
        # A new one, since that is asked for once.
        waiting = self.one_to_kill(HOLDFAST)
        for kind, held, wanted in PAIRS:
            with self.case(kind=kind, held=held, wanted=wanted):
                name = self.new_name()
                holder = self.peer(DOTNET).make(kind, url, name)
                waiter = waiting.make(kind, url, name)
                self.assertTrue(holder.attempt(*held))
                self.wait(waiter, [self.server], *wanted)
                holder.release()
                waiter.await_held(SOON)
                waiter.release()

    @both_ways
    def test_readers_are_in_together(self, first, second):
        self.check_readers_are_in_together(first, second, self.url)

    def begin_write_wait(self, side, name):
        """A writer that waits, once it has left its mark."""
        waiter = self.peer(side).make("rw", self.url, name)
        waiter.wait()
        self.await_mark(name)
        return waiter

    def await_mark(self, name):
        key = decoded(name) + ".writer"
        self.until(lambda: self.server.ask(f"GET {key}").endswith("_WRITERWAITING"), "no mark")

    @both_ways
    def test_a_waiting_writer_holds_off_new_readers(self, first, second):
        for reading in (first, second):
            name = self.new_name()
            reader = self.peer(reading, 1).make("rw", self.url, name)
            self.assertTrue(reader.attempt("read"))
            writer = self.begin_write_wait(first, name)
            others = [self.peer(side, 2).make("rw", self.url, name) for side in (first, second)]
            for other in others:
                self.assertFalse(other.attempt("read"))
                self.assertFalse(other.attempt())
            self.assertTrue(writer.still_waits())
            reader.release()
            writer.await_held(SOON)
            for other in others:
                self.assertFalse(other.attempt("read"))
            # And a reader that waits comes after the writer.
            others[1].wait("read")
            writer.release()
            others[1].await_held(SOON)
            self.assertTrue(others[0].attempt("read"))
            for other in others:
                other.release()
            self.check_nothing_is_left(self.server)

    @both_ways
    def test_the_mark_of_a_dead_writer_ends(self, first, second):
        name = self.new_name()
        reader = self.peer(second, 1).make("rw", self.url + SHORT, name)
        self.assertTrue(reader.attempt("read"))
        dying = self.one_to_kill(first).make("rw", self.url + SHORT, name)
        dying.wait()
        self.await_mark(name)
        other = self.peer(second).make("rw", self.url + SHORT, name)
        self.assertFalse(other.attempt("read"))
        dying.peer.kill()
        other.wait("read")
        other.await_held(EXPIRY + SOON)
        other.release()
        reader.release()

    @both_ways
    def test_tickets_of_both_count_together(self, first, second):
        name = self.new_name()
        a, b = (self.peer(side).make("semaphore:3", self.url, name) for side in (first, second))
        self.assertEqual((a.count(), b.count()), (3, 3))
        self.assertTrue(a.attempt())
        self.assertTrue(a.attempt())
        self.assertTrue(b.attempt())
        self.assertEqual((a.count(), b.count()), (0, 0))
        self.assertFalse(a.attempt())
        self.assertFalse(b.attempt())
        b.release()
        self.assertEqual((a.count(), b.count()), (1, 1))
        self.assertTrue(a.attempt())
        self.assertFalse(b.attempt())
        self.wait(b, [self.server])
        a.release()
        b.await_held(SOON)
        self.assertFalse(a.attempt())
        b.release()
        a.release()
        a.release()
        self.assertEqual((a.count(), b.count()), (3, 3))

    def seconds_left(self, kind, held, name):
        """Until what is held expires, unless it is renewed."""
        key = decoded(name)
        if kind.startswith("semaphore"):
            seconds, micros = map(int, self.server.ask("TIME").split("\t"))
            return float(self.server.ask(f"ZRANGE {key} 0 0 WITHSCORES").split("\t")[1]) / 1000 - seconds - micros / 1e6
        suffix = "" if kind == "lock" else ".readers" if held else ".writer"
        return int(self.server.ask(f"PTTL {key}{suffix}")) / 1000

    @both_ways
    def test_a_dead_holders_lock_is_had_when_it_expires(self, first, second):
        dying = self.one_to_kill(first)
        waiting = []
        for kind, held, wanted in PAIRS:
            name = self.new_name()
            self.assertTrue(dying.make(kind, self.url + SHORT, name).attempt(*held))
            waiting.append((self.peer(second).make(kind, self.url + SHORT, name), wanted, kind, held, name))
        dying.kill()
        ends = []
        for lock, wanted, kind, held, name in waiting:
            left = self.seconds_left(kind, held, name)
            self.assertLessEqual(left, EXPIRY)
            self.assertGreater(left, 0)
            ends.append(time.monotonic() + left)
            self.assertFalse(lock.attempt(*wanted))
        had = []
        for (lock, wanted, *_), end in zip(waiting, ends):
            lock.wait(*wanted)
            lock.await_held(EXPIRY + SOON)
            # Some milliseconds for the way of the answer that `end` was taken from.
            self.assertGreater(time.monotonic(), end - 0.02)
            had.append(time.monotonic() - max(ends))
            lock.release()
        # Holdfast looks at that moment.
        self.assertLess(had[0], 1.0 if second == HOLDFAST else SOON)

    @both_ways
    def test_what_is_held_is_renewed(self, first, second):
        pairs = []
        for kind, held, wanted in PAIRS:
            name = self.new_name()
            holder = self.peer(first).make(kind, self.url + SHORT, name)
            self.assertTrue(holder.attempt(*held))
            pairs.append((holder, self.peer(second).make(kind, self.url + SHORT, name), wanted))
        until = time.monotonic() + 2 * EXPIRY
        while time.monotonic() < until:
            for _, other, wanted in pairs:
                self.assertFalse(other.attempt(*wanted))
        for holder, other, wanted in pairs:
            self.assertEqual(holder.state(), "held")
            holder.release()
            self.assertTrue(other.attempt(*wanted))
            other.release()

    # Both look again so soon that both have their share.
    eager = "?min_busy_wait=1ms&max_busy_wait=2ms"

    def test_two_are_never_in_a_lock(self):
        self.race("lock", self.url + self.eager)
        self.check_nothing_is_left(self.server)

    def test_nobody_is_in_beside_a_writer(self):
        self.race("rw", self.url + self.eager, readers=1, until=2000)
        self.check_nothing_is_left(self.server)

    def test_two_are_never_in_a_semaphore_of_one(self):
        self.race("semaphore:1", self.url + self.eager, until=2000)
        self.check_nothing_is_left(self.server)


class SeveralServers(Redis):
    """A lock of a majority. The semaphore uses the first server only, on both sides."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.servers = [cls.lend_server("redis") for _ in range(3)]
        cls.url = ",".join([cls.servers[0].url, *(each.url.removeprefix("redis://") for each in cls.servers[1:])])
        # Fewer seconds between the looks: what is waited for is the same.
        cls.quick = cls.url + "?min_busy_wait=10ms&max_busy_wait=100ms"

    def check(self, first, second, get=None):
        for kind, held, wanted in PAIRS:
            with self.case(kind=kind, held=held, wanted=wanted):
                name = self.new_name()
                a = self.peer(first).make(kind, self.url, name)
                b = self.peer(second).make(kind, self.url, name)
                self.check_exclusion(a, b, held, wanted, get)
        self.check_hand_over(first, second, self.quick, *self.servers)

    @both_ways
    def test_1_each_is_busy_for_the_other(self, first, second):
        self.check(first, second)
        self.check_nothing_is_left(*self.servers, but_of_dotnet=True)

    def test_1_a_minority_keeps_nobody_out_and_a_majority_does(self):
        for side in (HOLDFAST, DOTNET):
            for taken in (0, 1, 2):
                with self.case(side=side, taken=taken):
                    # A name for each: a release is over when a majority has confirmed it.
                    name = f"majority/{next(self.numbers)}"
                    for server in self.servers[:taken]:
                        server.ask(f"SET {name} somebody PX 60000")
                    lock = self.peer(side).make("lock", self.url, text(name))
                    got = lock.attempt()
                    self.assertEqual(got, taken < 2)
                    if got:
                        lock.release()
                    for server in self.servers[:taken]:
                        self.assertEqual(server.ask(f"GET {name}"), "somebody")
                        server.ask(f"DEL {name}")

    @both_ways
    def test_1_a_dead_holders_lock_is_had_when_it_expires(self, first, second):
        name = self.new_name()
        dying = self.one_to_kill(first)
        self.assertTrue(dying.make("lock", self.url + SHORT, name).attempt())
        waiter = self.peer(second).make("lock", self.url + SHORT, name)
        self.assertFalse(waiter.attempt())
        dying.kill()
        self.assertFalse(waiter.attempt())
        waiter.wait()
        waiter.await_held(EXPIRY + SOON)
        waiter.release()

    def test_1_two_are_never_in_a_lock(self):
        self.race("lock", self.url + OneServer.eager, until=1000)
        self.check_nothing_is_left(*self.servers)

    def test_1_nobody_is_in_beside_a_writer(self):
        # .NET's waiting writers leave marks behind at single servers, which may be a majority before they expire.
        self.race("rw", self.url + OneServer.eager + "&expiry=5s&min_validity=3s", readers=1, until=600)
        self.check_nothing_is_left(*self.servers, but_of_dotnet=True)
        for server in self.servers:
            server.ask("FLUSHALL")

    def get_in_time(self, lock, *mode):
        # For .NET a dead server and one refusal decide a try; its request to the third may arrive after the release,
        # and is taken back a moment later.
        self.until(lambda: lock.attempt(*mode), f"{lock.peer.side} does not get what is free", within=SOON)

    def test_2_one_server_may_be_down(self):
        # The last, which is the one that Holdfast listens to. Peers that know it from before, then new ones.
        self.servers[-1].kill_server()
        for new in (False, True):
            if new:
                self.dismiss_peers()
            both_ways(lambda self, first, second: self.check(first, second, self.get_in_time))(self)
        self.race("lock", self.url + OneServer.eager, until=1000)

    def test_3_two_servers_that_are_down_are_too_many(self):
        self.dismiss_peers()
        self.servers[1].kill_server()
        for side in (HOLDFAST, DOTNET):
            lock = self.peer(side).make("lock", self.url, self.new_name())
            self.assertTrue(self.peer(side).ask(f"try {lock.id}").startswith("error"))


class Sentinels(Redis):
    """They tell either side where the master is."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.lend_server("redis-sentinel")
        cls.url = cls.server.url
        cls.quick = cls.url + "&min_busy_wait=10ms&max_busy_wait=100ms"

    def replicas_have_all(self):
        info = dict(line.partition(":")[::2] for line in self.server.ask("INFO replication").split("\t"))
        wanted = "offset=" + info["master_repl_offset"]
        return all(wanted in info.get(each, "").split(",") for each in ("slave0", "slave1"))

    @both_ways
    def test_1_each_is_busy_for_the_other(self, first, second):
        for kind, held, wanted in PAIRS:
            with self.case(kind=kind, held=held, wanted=wanted):
                name = self.new_name()
                a = self.peer(first).make(kind, self.url, name)
                b = self.peer(second).make(kind, self.url, name)
                self.check_exclusion(a, b, held, wanted)
        self.check_hand_over(first, second, self.quick, self.server)

    def test_2_what_is_held_is_held_at_the_next_master(self):
        held = []
        for holder, other in ((HOLDFAST, DOTNET), (DOTNET, HOLDFAST)):
            for kind, mode, wanted in PAIRS:
                name = self.new_name()
                lock = self.peer(holder).make(kind, self.url, name)
                self.assertTrue(lock.attempt(*mode))
                held.append((lock, self.peer(other).make(kind, self.url, name), wanted))
        self.until(self.replicas_have_all, "the replicas do not have it")
        self.server.kill_server()
        self.until(lambda: self.server.ask("ROLE").startswith("master"), "no failover", within=30)
        for lock, other, wanted in held:
            # .NET, which is told of the new master by a sentinel, fails until then.
            self.until(lambda: other.tell("try", *wanted) == "busy", "gets what is held, or nothing at all", within=20)
            lock.release()
            self.until(lambda: other.attempt(*wanted), "does not get what is free", within=SOON)
            other.release()


class Cluster(Redis):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.lend_server("redis-cluster").url

    @both_ways
    def test_each_is_busy_for_the_other(self, first, second):
        # Each in a slot of its own, and so at one of three nodes. The keys of a reader-writer lock must be in one.
        for number in range(6):
            for kind, held, wanted in PAIRS:
                name = f"{{{number}}}orders" if kind == "rw" else f"orders{number}"
                with self.case(name=name, kind=kind, held=held, wanted=wanted):
                    a = self.peer(first).make(kind, self.url, text(name))
                    b = self.peer(second).make(kind, self.url, text(name))
                    self.check_exclusion(a, b, held, wanted)

    def test_a_name_without_a_tag_is_one_with_a_tag_for_dotnet(self):
        # Which has no tag of its own for the keys of a reader-writer lock.
        alone = self.peer(DOTNET).make("rw", self.url, text("table"))
        self.assertRegex(self.peer(DOTNET).ask(f"try {alone.id}"), "^error .*slot")
        a = self.peer(HOLDFAST).make("rw", self.url, text("table"))
        b = self.peer(DOTNET).make("rw", self.url, text("{table}"))
        for held, wanted in (((), ()), (("read",), ()), ((), ("read",))):
            self.check_exclusion(a, b, held, wanted)


if __name__ == "__main__":
    peers.main()
