"""Locks of PostgreSQL shared with DistributedLock.Postgres for .NET: each side excludes the other, and hands over.

Needs the .NET SDK and the package; without them the test is skipped (exit status 77).
"""

import peers
from peers import both_ways, text

# What can be held, and what that keeps out: kind and mode of the holder, kind and mode of the other.
PAIRS = [
    ("lock", (), "lock", ()),
    ("rw", (), "rw", ()),
    ("rw", ("read",), "rw", ()),
    ("rw", (), "rw", ("read",)),
    # The lock is the write lock.
    ("lock", (), "rw", ()),
    ("rw", ("read",), "lock", ()),
]
# How locks use connections, on both sides. Tokens are Holdfast's alone, and have it acquire in another way.
USES = ["", "?multiplexing=false", "?multiplexing=true", "?transaction_scope=true", "?fencing_sequence=tokens"]
# The server tells a waiter at once.
SOON = 5.0


class Postgres(peers.SharedServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.lend_server("postgres")
        cls.server.ask("CREATE SEQUENCE tokens")

    def tearDown(self):
        self.until(lambda: self.number("granted") == 0, "locks are left")

    def number(self, which):
        return int(self.server.ask(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {which}"))

    def locks(self, first, second, pair, use="", name=None):
        name = name or self.new_name()
        url = self.server.url + use
        return self.peer(first).make(pair[0], url, name), self.peer(second).make(pair[2], url, name)

    def wait(self, lock, *mode):
        """Lets it wait, and returns when it stands in the server's line."""
        before = self.number("NOT granted")
        lock.wait(*mode)
        self.until(lambda: self.number("NOT granted") > before, f"{lock.peer.side} does not wait in the server")
        self.assertTrue(lock.still_waits())

    @both_ways
    def test_each_is_busy_for_the_other(self, first, second):
        names = [text(each) for each in (
            "", "a", "orders/42"[:9], "z" * 10, "orders/42 für \U0001F600", "ä", "n" * 20000,
            "000000000000002a", "FEDCBA9876543210", "0000002a,ffffffff", "not8hexx,ffffffff", "000000000000002g")]
        names += ["int8:42", "int8:-9223372036854775808", "int8:9223372036854775807", "int4:0,0", "int4:-1,2147483647"]
        for name in names:
            for pair in PAIRS:
                with self.case(name=name[:40], pair=pair):
                    self.check_exclusion(*self.locks(first, second, pair, name=name), pair[1], pair[3])

    @both_ways
    def test_the_ways_to_write_a_key_mean_the_same(self, first, second):
        for one, other in (("int8:42", text("000000000000002a")), ("int8:-1", text("FFFFffffFFFFffff")),
                           ("int4:42,-1", text("0000002A,ffffffff")), (text("abc"), "int4:-1014293505,-1"),
                           (text(""), "int4:2147483647,-1"), (text("n" * 300), "int8:1646033627921350085")):
            for a, b in ((one, other), (other, one)):
                with self.case(a=a[:40], b=b[:40]):
                    self.check_exclusion(self.peer(first).make("lock", self.server.url, a),
                                         self.peer(second).make("lock", self.server.url, b))

    @both_ways
    def test_other_keys_are_not_kept_out(self, first, second):
        for one, other in ((text("abc"), text("abd")), (text("a" * 10), text("A" * 10)), ("int8:1", "int4:0,1"),
                           ("int8:1", "int8:4294967297"), ("int4:1,2", "int4:2,1")):
            with self.case(one=one, other=other):
                a = self.peer(first).make("lock", self.server.url, one)
                b = self.peer(second).make("lock", self.server.url, other)
                self.assertTrue(a.attempt())
                self.assertTrue(b.attempt())
                a.release()
                b.release()

    @both_ways
    def test_however_connections_are_used(self, first, second):
        for use in USES:
            for pair in PAIRS:
                with self.case(use=use, pair=pair):
                    self.check_exclusion(*self.locks(first, second, pair, use), pair[1], pair[3])

    @both_ways
    def test_a_release_hands_over_to_the_other(self, first, second):
        for use in USES:
            for pair in PAIRS:
                with self.case(use=use, pair=pair):
                    holder, waiter = self.locks(first, second, pair, use)
                    self.assertTrue(holder.attempt(*pair[1]))
                    self.wait(waiter, *pair[3])
                    holder.release()
                    waiter.await_held(SOON)
                    self.assertFalse(holder.attempt(*pair[1]))
                    waiter.release()

    @both_ways
    def test_waiters_of_both_stand_in_one_line(self, first, second):
        name = self.new_name()
        holder = self.peer(first, 2).make("lock", self.server.url, name)
        self.assertTrue(holder.attempt())
        line = []
        for side, which in ((first, 0), (second, 0), (first, 1), (second, 1)):
            line.append(self.peer(side, which).make("lock", self.server.url, name))
            self.wait(line[-1])
        holder.release()
        while line:
            line[0].await_held(SOON)
            for other in line[1:]:
                self.assertTrue(other.still_waits())
            line.pop(0).release()

    @both_ways
    def test_readers_are_in_together(self, first, second):
        self.check_readers_are_in_together(first, second, self.server.url)

    @both_ways
    def test_a_waiting_writer_holds_off_new_readers(self, first, second):
        for reading in (first, second):
            name = self.new_name()
            reader = self.peer(reading, 1).make("rw", self.server.url, name)
            self.assertTrue(reader.attempt("read"))
            writer = self.peer(first).make("rw", self.server.url, name)
            self.wait(writer)
            others = [self.peer(side, 2).make("rw", self.server.url, name) for side in (first, second)]
            for other in others:
                self.assertFalse(other.attempt("read"))
            self.wait(others[1], "read")
            reader.release()
            writer.await_held(SOON)
            self.assertTrue(others[1].still_waits())
            writer.release()
            others[1].await_held(SOON)
            self.assertTrue(others[0].attempt("read"))
            for other in others:
                other.release()

    @both_ways
    def test_a_killed_holders_lock_is_had_at_once(self, first, second):
        for use in USES:
            dying = self.one_to_kill(first)
            names = [self.new_name() for _ in PAIRS]
            for name, pair in zip(names, PAIRS):
                self.assertTrue(dying.make(pair[0], self.server.url + use, name).attempt(*pair[1]))
            waiters = [self.peer(second).make(pair[2], self.server.url + use, name) for name, pair in zip(names, PAIRS)]
            for waiter, pair in zip(waiters, PAIRS):
                with self.case(use=use, pair=pair):
                    self.assertFalse(waiter.attempt(*pair[3]))
            self.wait(waiters[0], *PAIRS[0][3])
            dying.kill()
            waiters[0].await_held(SOON)
            for waiter, pair in list(zip(waiters, PAIRS))[1:]:
                waiter.wait(*pair[3])
                waiter.await_held(SOON)
            for waiter in waiters:
                waiter.release()

    def test_two_are_never_in_a_lock(self):
        self.race("lock", self.server.url)

    def test_two_are_never_in_a_lock_of_a_transaction(self):
        self.race("lock", self.server.url + "?transaction_scope=true", until=1500)

    def test_nobody_is_in_beside_a_writer(self):
        self.race("rw", self.server.url, readers=1, until=2000)


if __name__ == "__main__":
    peers.main()
