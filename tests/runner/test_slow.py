# SPDX-License-Identifier: BSD-3-Clause
"""A target that is slow is not one that is wrong: what only a wait says of it is inconclusive."""

import json
import signal
import socket
import threading
import time
import unittest

import test_bracket
from test_bracket import ENGINE, Relay, WithDaemon


class Pauses:
    """Pauses stops a process for `still` seconds, lets it run for `between`, and so on."""

    def __init__(self, process, still, between):
        self._process, self._still, self._between = process, still, between
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ended.wait(self._between):
            self._process.send_signal(signal.SIGSTOP)
            self._ended.wait(self._still)
            self._process.send_signal(signal.SIGCONT)

    def end(self):
        """end returns when the process runs again."""
        self._ended.set()
        self._thread.join()


class Stalling(Relay):
    """Stalling passes nothing on for a while when it sees the poison, on any connection."""

    SECONDS = 10  # more than the bound of an end, less than that and a timeout

    def __init__(self, port, poison):
        self._until = 0.0
        super().__init__(port, poison)

    def die(self):
        if not self.deaths:
            self._until = time.monotonic() + self.SECONDS
        self.deaths += 1

    def hold(self):
        time.sleep(max(0.0, self._until - time.monotonic()))

    def end(self):
        """end is the real end."""
        super().die()


class Swallowing(Relay):
    """Swallowing passes nothing on of the first ClientHellos, so many as `greed`."""

    HELLO = bytes([22, 3, 1])

    def __init__(self, port, greed):
        self.swallowed, self._greed = 0, greed
        super().__init__(port, None)

    def _pass(self, source, sink, poison):
        if self.swallowed < self._greed and source.recv(len(self.HELLO), socket.MSG_PEEK) == self.HELLO:
            self.swallowed += 1
            while source.recv(65536):
                pass
        super()._pass(source, sink, poison)


class Slow(WithDaemon):
    """The target stops again and again, or in the one moment when an answer is due."""

    CASES = ("auth.one-way/*/null", "transport.icreq/*", "failure1.out-of-order/*", "psk.*")

    def test_no_fail_of_a_stopped_target(self):
        pauses = Pauses(self.daemon, still=1.4, between=0.25)
        try:
            profile = self.file("profile.json", json.dumps(self.made))
            self.run_suite("--profile", profile, "--seed", "1", "--timeout", "1", *self.CASES, env={"NVME_CONFORM_ENGINE": ENGINE})
        finally:
            pauses.end()
        cases = self.results()["cases"]
        bad = [case for case in cases if {"fail", "warn", "error"} & {case["behaviour"], case["teardown"]}]
        self.assertEqual(bad, [])

    def test_a_stall_just_longer_than_the_wait(self):
        relay = Stalling(self.made["ports"]["concat"], test_bracket.TheBracket.POISON)
        self.addCleanup(relay.end)
        self.run_at(relay.port, test_bracket.TheBracket.POISONOUS)
        case = self.case(test_bracket.TheBracket.POISONOUS)
        self.assertEqual(case["behaviour"], "inconclusive", case)
        self.assertIn("slow", case["reason"])

    def _shake_hands(self, greed):
        relay = Swallowing(self.made["ports"]["concat"], greed)
        self.addCleanup(relay.die)
        self.run_at(relay.port, "--timeout", "1", "psk.version-1/sha256")
        return relay.swallowed, self.case("psk.version-1/sha256")

    def test_a_handshake_that_got_no_answer_is_tried_again(self):
        # A fresh connection is prompt, and nothing is left of the first: only another attempt tells.
        swallowed, case = self._shake_hands(1)
        self.assertEqual((swallowed, case["behaviour"], case["answers_lost"]), (1, "pass", 1), case)

    def test_one_that_never_gets_an_answer_fails(self):
        swallowed, case = self._shake_hands(100)
        self.assertEqual((swallowed, case["behaviour"], case["requirement"]), (5, "fail", "C-230"), case)


class Silent(WithDaemon):
    """A target that is prompt elsewhere and does nothing here is wrong, not slow."""

    DEFECTS = ("skip:failure1-close",)

    def test_it_fails(self):
        self.run_at(self.made["ports"]["concat"], "failure1.closes-by-itself", "reply.hash-length/48")
        cases = self.results()["cases"]
        self.assertEqual([case["teardown"] for case in cases], ["fail", "fail"], cases)


if __name__ == "__main__":
    unittest.main()
