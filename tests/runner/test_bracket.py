# SPDX-License-Identifier: BSD-3-Clause
"""The bracket around the cases: a target that dies is noticed, its killer is named, and no other case is blamed. And engines side by
side against one target: never two cases as one host identity."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

from support import REAL, ROOT, RunnerTest, free_port

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
PROGRAM = os.path.join(ROOT, "harness", "nvme-conform")
sys.path.insert(0, ROOT)

from harness.vm import profile as identities  # noqa: E402  (the path must be known first)

class Relay:
    """Relay stands between the engine and a target, and dies when the host sends `poison`; start() brings it back."""

    def __init__(self, port, poison, after=0.0):
        self._upstream, self._poison, self._after = port, poison, after
        self._socket, self._peers = None, []
        self._lock = threading.Lock()
        self.deaths = 0
        self.port = 0
        self.start()

    def start(self):
        """start listens, on the same port as before."""
        with self._lock:
            if self._socket is None:
                self._socket = socket.create_server(("127.0.0.1", self.port))
                self.port = self._socket.getsockname()[1]
                threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def die(self):
        """die closes everything, as a crashed process would."""
        with self._lock:
            if self._socket is None:
                return
            self.deaths += 1
            # shutdown wakes the thread in accept; close alone would leave the port open for it.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
            for peer in self._peers:
                try:
                    peer.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                peer.close()
            self._peers = []

    def hold(self):
        """hold is called before bytes are passed on, in either direction."""

    def _accept(self, listening):
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._upstream))
            with self._lock:
                self._peers += [near, far]
            threading.Thread(target=self._pass, args=(near, far, self._poison), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    def _pass(self, source, sink, poison):
        try:
            while data := source.recv(65536):
                if poison and poison in data:
                    # A delayed death: the answer is out, the case may even have ended.
                    threading.Timer(self._after, self.die).start()
                self.hold()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Restarts:
    """Restarts brings a Relay back whenever a file appears, which is what the restart command makes."""

    def __init__(self, relay, path):
        self._relay, self._path = relay, path
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self._ended.wait(0.02):
            if os.path.exists(self._path):
                os.unlink(self._path)
                self._relay.start()

    def end(self):
        self._ended.set()


class WithDaemon(RunnerTest):
    """WithDaemon has the real engine and the reference target behind a socket."""

    DEFECTS = ()
    # An ICReq with the PFV 1, which one case sends and no other.
    POISON = bytes([0, 0, 128, 0, 128, 0, 0, 0, 1, 0])
    POISONOUS = "transport.icreq/pfv-1"

    def setUp(self):
        super().setUp()
        if not os.access(ENGINE, os.X_OK):
            self.skipTest("the engine is not built")
        made = identities.make(b"bracket")
        made.update(addr="127.0.0.1", ports={"concat": free_port()})
        self.made = made
        self.daemon = self.serve(made)

    def serve(self, made):
        """serve starts a reference target with the identities and ports of `made`."""
        daemon = subprocess.Popen([ENGINE, "target"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(daemon.stdout.close)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        daemon.stdin.write(json.dumps({"target": made, "defects": list(self.DEFECTS)}).encode())
        daemon.stdin.close()
        self.assertIn(b"listening", daemon.stdout.readline())
        threading.Thread(target=daemon.stdout.read, daemon=True).start()
        return daemon

    def run_at(self, port, *args):
        """run_at runs cases against what listens at port."""
        profile = self.file("profile.json", json.dumps({**self.made, "ports": {"concat": port}}))
        return self.run_suite("--profile", profile, "--seed", "1", "--timeout", "3", *args, env={"NVME_CONFORM_ENGINE": ENGINE})


class TheBracket(WithDaemon):
    """A relay that dies stands before the target."""

    def _mortal(self, after=0.0):
        relay = Relay(self.made["ports"]["concat"], self.POISON, after)
        self.addCleanup(relay.die)
        restarts = Restarts(relay, self.path("back"))
        self.addCleanup(restarts.end)
        return relay, ("--restart-command", f"touch {self.path('back')}; sleep 0.2")

    def _only_the_killer_fails(self, done):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual([death["killer"] for death in self.results()["deaths"]], [self.POISONOUS], self.results()["deaths"])
        self.assertEqual([case["id"] for case in self.results()["cases"] if case["behaviour"] != "pass"], [self.POISONOUS])
        self.assertEqual(self.case(self.POISONOUS)["behaviour"], "fail")
        self.assertEqual({case["teardown"] for case in self.results()["cases"]} - {"pass", "none"}, set())
        self.assertIn(f"run alone, {self.POISONOUS} does it", done.stdout)

    def test_the_killer_is_named_and_the_rest_goes_on(self):
        relay, restart = self._mortal()
        self._only_the_killer_fails(self.run_at(relay.port, "connect.f*", "transport.ic*", "transport.undefined-type/*", *restart))
        self.assertEqual(relay.deaths, 2)

    def test_a_killer_whose_own_verdict_is_a_pass(self):
        # It dies when the case is over: only running the cases one by one tells whose doing it was.
        # What follows in its group takes longer than the dying.
        relay, restart = self._mortal(after=0.06)
        self._only_the_killer_fails(self.run_at(relay.port, "transport.ic*", "transport.undefined-type/*", *restart))
        self.assertEqual(self.case(self.POISONOUS)["requirement"], "N-002")

    def test_side_by_side(self):
        relay, restart = self._mortal()
        self._only_the_killer_fails(self.run_at(relay.port, "-j", "3", "transport.ic*", "auth.two-way/sha256/*", *restart))

    def test_a_target_that_stays_away_fails_nobody(self):
        for jobs in ("1", "3"):
            relay, _ = self._mortal()
            with mock.patch("harness.runner.bracket.RETURN_SECONDS", 0.5):
                done = self.run_at(relay.port, "-j", jobs, "connect.f*", "transport.*")
            (death,) = self.results()["deaths"]
            self.assertEqual((death["killer"], death["came_back"]), ("", False))
            self.assertIn(self.POISONOUS, death["suspects"])
            self.assertIn("dead target: the target stopped serving", done.stdout)
            lost = [case for case in self.results()["cases"] if case["behaviour"] == "inconclusive"]
            # Side by side others may have ended before anybody noticed.
            self.assertGreater(len(lost), 5 if jobs == "1" else 0)
            self.assertEqual([case["id"] for case in lost if case["id"] not in death["suspects"]
                              and "stopped serving" not in case["reason"]], [])
            fails = [case["id"] for case in self.results()["cases"] if "fail" in (case["behaviour"], case["teardown"])]
            self.assertLessEqual(set(fails), {self.POISONOUS})
            self.assertEqual(done.returncode, 1 if fails else 125, done.stdout)


class Twins(WithDaemon):
    """Two equal targets, each a daemon of its own with a relay before it that dies and stays away."""

    HARMLESS = b"no case sends this"
    # With one case more before it, the poisonous one is the other target's.
    SECOND = ("connect.fields/r*", "connect.fields/s*", "transport.ic*")
    FIRST = ("connect.fields/c*", *SECOND)

    def setUp(self):
        super().setUp()
        self.twin = {**self.made, "ports": {"concat": free_port()}}
        self.serve(self.twin)

    def run_with(self, poisons, *args):
        """run_with runs cases against two relays that die of these, and come back no more."""
        first = Relay(self.made["ports"]["concat"], poisons[0])
        second = Relay(self.twin["ports"]["concat"], poisons[1])
        self.addCleanup(first.die)
        self.addCleanup(second.die)
        twin = self.file("twin.json", json.dumps({**self.twin, "ports": {"concat": second.port}}))
        with mock.patch("harness.runner.bracket.RETURN_SECONDS", 0.5):
            return self.run_at(first.port, "--twin", twin, *args)

    def test_the_twin_takes_over(self):
        done = self.run_with((self.POISON, self.HARMLESS), *self.FIRST)
        (death,) = self.results()["deaths"]
        self.assertEqual((death["killer"], death["came_back"], death.get("twin")), ("", False, None), done.stdout)
        self.assertIn(self.POISONOUS, death["suspects"])
        self.assertEqual({case["behaviour"] for case in self.results()["cases"]}, {"pass"})
        self.assertEqual(done.returncode, 125, done.stdout)

    def test_it_kills_the_twin_too(self):
        done = self.run_with((self.POISON, self.POISON), *self.FIRST)
        (death,) = self.results()["deaths"]
        self.assertEqual((death["killer"], death["came_back"]), (self.POISONOUS, False), done.stdout)
        self.assertEqual(self.case(self.POISONOUS)["behaviour"], "fail")
        self.assertEqual(done.returncode, 1, done.stdout)

    def test_a_dead_twin(self):
        done = self.run_with((self.HARMLESS, self.POISON), *self.SECOND)
        (death,) = self.results()["deaths"]
        self.assertEqual((death["twin"], self.POISONOUS in death["suspects"]), (1, True), done.stdout)
        self.assertIn("twin 1 of the target stopped serving", done.stdout)
        self.assertEqual({case["behaviour"] for case in self.results()["cases"]}, {"pass"})


class SideBySide(WithDaemon):
    """What engines agree upon in the directory of turns."""

    CASE = "auth.one-way/sha256/null"

    def _held(self, index):
        """_held is the turn of an identity, taken by somebody else."""
        file = open(self.path(f"identity-{index}"), "w", encoding="ascii")
        self.addCleanup(file.close)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def _acts_as(self):
        """_acts_as runs a case for which several identities fit, and returns the name of the one it takes, with the verdict."""
        config = {"target": self.made, "defects": [], "seed": 1, "cases": [self.CASE], "timeout_s": 3, "transcript": "all",
                  "turns": self.directory}
        done = subprocess.run([ENGINE, "run"], input=json.dumps(config).encode(), capture_output=True, check=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        named = [event["text"].removeprefix("act as ") for event in events
                 if event["event"] == "step" and event["text"].startswith("act as ")]
        return named[-1] if named else None, events[-2]["behaviour"]

    def test_an_identity_in_use_is_left_alone(self):
        names = [host["hostnqn"] for host in self.made["hosts"]]
        first, behaviour = self._acts_as()
        self.assertEqual(behaviour, "pass")
        self._held(names.index(first))
        second, behaviour = self._acts_as()
        self.assertEqual(behaviour, "pass")
        self.assertNotEqual(first, second)

    def test_it_waits_for_its_turn(self):
        held = [self._held(index) for index in range(len(self.made["hosts"]))]
        threading.Timer(1, lambda: [fcntl.flock(file, fcntl.LOCK_UN) for file in held]).start()
        begun = time.monotonic()
        named, behaviour = self._acts_as()
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.assertEqual((behaviour, bool(named)), ("pass", True))

    def test_same_verdicts(self):
        port = self.made["ports"]["concat"]
        verdicts = []
        for jobs in ("1", "4"):
            self.run_at(port, "-j", jobs, "auth.*", "connect.*", "psk.*", "reauth.*")
            verdicts.append([(case["id"], case["behaviour"], case["teardown"]) for case in self.results()["cases"]])
        self.assertEqual(*verdicts)
        self.assertGreater(len(verdicts[0]), 80)


class Jobs(RunnerTest):
    """How many engines a run gets."""

    def _engines(self, *args):
        stored = self.path("configs.json")
        self.run_suite(*args, fake={"config_to": stored})
        with open(stored, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_one_identity_is_one_engine(self):
        self.assertEqual([config.get("turns") for config in self._engines(*REAL, "-j", "4")], [None])

    def test_many_identities(self):
        hosts = [{"hostnqn": f"nqn.2014-08.org.nvmexpress:host-{n}"} for n in range(2)]
        profile = self.file("many.json", json.dumps({"format": "nvme-conform-profile/1", "subnqn": "nqn.s", "addr": "127.0.0.1", "hosts": hosts}))
        configs = self._engines("--profile", profile, "-j", "4")
        self.assertEqual(len(configs), 2)
        self.assertEqual(len({config["turns"] for config in configs}), 1)
        self.assertFalse(os.path.exists(configs[0]["turns"]))

    def test_twins_share_the_cases(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": "nqn.s", "addr": "127.0.0.1", "ports": {"concat": 1}, "hosts": [{"hostnqn": "nqn.a"}]}
        paths = [self.file(f"twin-{n}.json", json.dumps({**profile, "ports": {"concat": n}})) for n in range(3)]
        configs = self._engines("--profile", paths[0], "--twin", paths[1], "--twin", paths[2])
        dealt = {config["target"]["ports"]["concat"]: config["cases"] for config in configs}
        self.assertEqual(sorted(dealt), [0, 1, 2])
        self.assertEqual(sorted(sum(dealt.values(), [])), sorted(case["id"] for case in self.results()["cases"]))
        events = [json.loads(line) for line in self.report("events.jsonl").splitlines()]
        for kind in ("case-start", "verdict"):
            told = {event["case"]: event.get("twin", 0) for event in events if event["event"] == kind}
            self.assertEqual(told, {ident: twin for twin, idents in dealt.items() for ident in idents})
        self.assertEqual({config.get("turns") for config in configs}, {None})

    def test_what_two_machines_draw_may_be_the_same(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": "nqn.s", "addr": "127.0.0.1", "hosts": [{"hostnqn": "nqn.a"}]}
        paths = [self.file(f"fresh-{n}.json", json.dumps(profile)) for n in range(2)]
        # Every engine of the fake says this, of whatever case.
        fresh = [{"event": "fresh", "case": ident, "requirement": "C-001", "digest": digest, "packet": 1, "conn": 1}
                 for ident, digest in (("timer.expires", "aa"), ("concat.replace.once", "bb"))]
        done = self.run_suite("--profile", paths[0], "--twin", paths[1], fake={"events": fresh})
        self.assertEqual(self.results()["observations"], [], done.stdout)
        fresh[1]["digest"] = "aa"
        self.run_suite("--profile", paths[0], "--twin", paths[1], fake={"events": fresh})
        self.assertEqual([seen["count"] for seen in self.results()["observations"]], [2])

    def test_a_twin_is_an_equal(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": "nqn.s", "addr": "127.0.0.1", "hosts": [{"hostnqn": "nqn.a"}]}
        one, other = (self.file(f"{name}.json", json.dumps({**profile, "hosts": [{"hostnqn": f"nqn.{name}"}]})) for name in "ab")
        self.assert_refused(self.run_suite("--profile", one, "--twin", other), "--twin", other, "hosts")
        self.assert_refused(self.run_suite(*REAL, "--twin", other), "--twin", "--profile")
        self.assert_refused(self.run_suite("--profile", one, "--twin", one, "-j", "2"), "--twin", "--jobs")
        self.assert_refused(self.run_suite("--profile", one, "--twin", one, "--restart-command", "true"), "--restart-command")

    def test_a_restart_command_needs_a_real_target(self):
        self.assert_refused(self.run_suite("--restart-command", "true"), "--restart-command", "real target")


if __name__ == "__main__":
    unittest.main()
