"""The end of a wait: what comes at the same moment, and what does not wait for anybody."""

import fcntl
import signal
import unittest

from support import PATIENCE, RunCase


class AtTheGrant(RunCase):
    def test_a_signal_ends_the_wait_or_reaches_the_command(self):
        # Whichever it is, it is the end of both. At another moment of the grant each time: most of what happens there
        # takes less than 1 ms.
        for at in range(300):
            with open(self.path) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                process = self.start(["--exact", self.path], ["sleep", "600"])
                self.wait_until_waiting(process)
                if at % 2:
                    # Its listener wakes, while the lock is granted.
                    process.send_signal(signal.SIGTERM)
                    fcntl.flock(file, fcntl.LOCK_UN)
                else:
                    fcntl.flock(file, fcntl.LOCK_UN)
                    for _ in range(at * 20):
                        pass
                    process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM, at)


if __name__ == "__main__":
    unittest.main()
