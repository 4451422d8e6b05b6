# SPDX-License-Identifier: BSD-3-Clause
"""Cases that look for a refusal, against a target that falls silent or never came to the point: no refusal, so no pass."""

import json
import select
import socket
import time
import unittest

from support import free_port
from test_bracket import ENGINE, WithDaemon
from test_hostile import Server, read_pdu

TLS_HANDSHAKE = 0x16
CAPSULE_CMD, FABRICS = 4, 0x7f
PROPERTY_SET, CONNECT, AUTHENTICATION_SEND = 0x00, 0x01, 0x05    # FCTYPE, Base 2.2 chapter 6


def pass_on(peer, port, swallows):
    """pass_on hands what comes to port and back, PDU by PDU, but for those that are swallowed."""
    with socket.create_connection(("127.0.0.1", port)) as target:
        while True:
            for ready in select.select([peer, target], [], [], 20)[0]:
                data = read_pdu(peer) if ready is peer else target.recv(65536)
                if not data:
                    return
                if ready is target:
                    peer.sendall(data)
                elif not swallows(data):
                    target.sendall(data)


def hand_on(peer, port, silent_for):
    """hand_on hands what comes to port and back, whatever it is; when silent_for(first byte) it says and does nothing."""
    if silent_for(peer.recv(1, socket.MSG_PEEK)[0]):
        time.sleep(20)
        return
    with socket.create_connection(("127.0.0.1", port)) as target:
        while True:
            for ready in select.select([peer, target], [], [], 20)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (target if ready is peer else peer).sendall(data)


def is_command(pdu, fctype):
    return pdu[0] == CAPSULE_CMD and pdu[8] == FABRICS and pdu[12] == fctype


def is_io_connect(pdu):
    return is_command(pdu, CONNECT) and pdu[8 + 42:8 + 44] != bytes(2)    # QID


class Reached(WithDaemon):
    """Something stands before the reference target, or the profile is wrong."""

    def setUp(self):
        super().setUp()
        self.made["ports"] = {kind: free_port() for kind in ("concat", "tls", "plain")}
        self.daemon = self.serve(self.made)

    def verdict(self, case, ports=(), **members):
        """verdict runs one case by itself, with other ports or members of the profile, and returns its result."""
        profile = {**self.made, **members, "ports": {**self.made["ports"], **dict(ports)}}
        self.run_suite("--profile", self.file("profile.json", json.dumps(profile)), "--seed", "1", "--timeout", "1", case,
                       env={"NVME_CONFORM_ENGINE": ENGINE})
        return self.case(case)

    def test_a_target_with_nothing_but_a_tls_port(self):
        for case in ("psk.version-1/sha256", "psk.wrong/psk", "psk.authentication"):
            with self.subTest(case):
                self.assertEqual(self.verdict(case, {"concat": None, "plain": None})["behaviour"], "pass")

    def test_no_tls_on_the_only_port(self):
        for port in (self.made["ports"]["plain"], free_port()):
            told = self.verdict("psk.version-1/sha256", {"concat": None, "plain": None, "tls": port})
            self.assertEqual(told["behaviour"], "inconclusive", told)

    def test_the_target_itself_passes(self):
        for case in ("psk.other-host", "tls.clear-on-tls-port", "commands.io-without-authentication", "concat.clear-io-queue",
                     "tls.hello-on-plain-port", "tls.version-1.2", "tls.identity-with-nul", "psk.version-0/sha256"):
            with self.subTest(case):
                self.assertEqual(self.verdict(case)["behaviour"], "pass", self.case(case))

    def test_no_session_under_the_psk(self):
        psks = [{**psk, "interchange": other["interchange"]} for psk, other in zip(self.made["psks"], reversed(self.made["psks"]))]
        found = self.verdict("psk.other-host", psks=psks)
        self.assertEqual(found["behaviour"], "inconclusive", found)
        self.assertIn("TLS", found["reason"])

    def test_a_mute_port_for_tls(self):
        with Server(lambda peer: hand_on(peer, self.made["ports"]["tls"], lambda first: first != TLS_HANDSHAKE)) as server:
            found = self.verdict("tls.clear-on-tls-port", {"tls": server.port})
        self.assertEqual((found["behaviour"], found["requirement"]), ("fail", "C-225"), found)

    def test_a_port_that_serves_nobody(self):
        with Server(lambda peer: None) as server:
            for case, kind in (("tls.clear-on-tls-port", "tls"), ("tls.hello-on-plain-port", "plain")):
                with self.subTest(case):
                    found = self.verdict(case, {kind: server.port})
                    self.assertEqual(found["behaviour"], "inconclusive", found)

    def test_a_handshake_that_is_ended_once(self):
        num, ended = [0], []

        def talk(peer):
            num[0] += peer.recv(1, socket.MSG_PEEK)[0] == TLS_HANDSHAKE
            if num[0] in ended:
                ended.clear()
            else:
                hand_on(peer, self.made["ports"]["concat"], lambda first: False)
        with Server(talk) as server:
            self.assertEqual(self.verdict("replace.new-psk-works", {"concat": server.port})["behaviour"], "pass")
            ended.append(2 * num[0])
            found = self.verdict("replace.new-psk-works", {"concat": server.port})
        self.assertEqual((ended, found["behaviour"], found["answers_lost"]), ([], "pass", 1), found)

    def swallowing(self, wanted):
        """swallowing is a server before the target that swallows what wanted(pdu) says of a host that has not authenticated on its
        newest admin queue, or has used TLS: the probe must find a target that serves."""
        may = {"authenticated": True}

        def swallows(pdu):
            if is_command(pdu, CONNECT) and not is_io_connect(pdu):
                may["authenticated"] = False
            if is_command(pdu, AUTHENTICATION_SEND):
                may["authenticated"] = True
            return wanted(pdu) and not may["authenticated"]

        def talk(peer):
            if peer.recv(1, socket.MSG_PEEK)[0] == TLS_HANDSHAKE:
                may["authenticated"] = False
                hand_on(peer, self.made["ports"]["concat"], lambda first: False)
            else:
                pass_on(peer, self.made["ports"]["concat"], swallows)
        return Server(talk)

    def test_property_set_is_swallowed(self):
        with self.swallowing(lambda pdu: is_command(pdu, PROPERTY_SET)) as server:
            found = self.verdict("commands.io-without-authentication", {"concat": server.port})
        self.assertEqual(found["behaviour"], "inconclusive", found)
        self.assertIn("Property Set", found["reason"])

    def test_connect_of_an_io_queue_is_swallowed(self):
        with self.swallowing(is_io_connect) as server:
            clear = self.verdict("concat.clear-io-queue", {"concat": server.port})
            road = self.verdict("commands.io-without-authentication", {"concat": server.port})
        self.assertEqual(clear["behaviour"], "inconclusive", clear)
        self.assertEqual((road["behaviour"], road["requirement"]), ("fail", "C-072"), road)

    def test_no_answer_to_a_client_hello(self):
        # What comes in clear is served, so that the target is alive.
        with Server(lambda peer: hand_on(peer, self.made["ports"]["concat"], lambda first: first == TLS_HANDSHAKE)) as server:
            for case in ("tls.version-1.2", "tls.no-psk", "tls.identity-with-nul"):
                with self.subTest(case):
                    found = self.verdict(case, {"concat": server.port})
                    self.assertEqual(found["behaviour"], "inconclusive", found)


if __name__ == "__main__":
    unittest.main()
