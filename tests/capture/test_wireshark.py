#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Captures as tshark sees them with captures/wireshark/nvme-auth.lua, field by field.

What the fields must be is taken from the bytes of the PDUs by the tables of docs/protocol.md; the bytes, from the capture where it is one
of ours in clear, else (over TLS, and in the packets of a kernel) from `nvme-conform-engine replay`. Skipped, with the reason, where there is no tshark or no engine.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LUA = os.path.join(ROOT, "captures", "wireshark", "nvme-auth.lua")
ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
SECONDS = 120
NAMES = {0x0000: "negotiate", 0x00F0: "failure2", 0x00F1: "failure1", 0x0101: "challenge", 0x0102: "reply", 0x0103: "success1",
         0x0104: "success2"}


def blocks(data):
    """blocks yields (type, block) of a pcapng of ours."""
    offset = 0
    while offset < len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        yield kind, data[offset : offset + length]
        offset += length


def frames(data):
    """frames yields every Ethernet frame of a pcapng of ours."""
    for kind, block in blocks(data):
        if kind == 6:
            yield block[28 : 28 + struct.unpack_from("<I", block, 20)[0]]


def pdus(data):
    """pdus yields (frame number of the last byte, connection, from the host, PDU) of everything in clear."""
    pending = {}
    for number, frame in enumerate(frames(data), 1):
        source, target = struct.unpack_from(">HH", frame, 34)
        payload = frame[34 + (frame[46] >> 4) * 4 :]
        host = target == 4420
        conn = source if host else target
        if payload and pending.setdefault(conn, payload[0]) == 0x16:
            continue  # a TLS handshake came first
        stream = pending.get((conn, host), b"") + payload
        while len(stream) >= 8 and len(stream) >= (length := struct.unpack_from("<I", stream, 4)[0]):
            yield number, conn, host, stream[:length]
            stream = stream[length:]
        pending[conn, host] = stream


def messages(found):
    """messages yields (frame number, message bytes) of every authentication message among PDUs."""
    commands = {}
    for number, conn, _, pdu in found:
        if pdu[0] == 4 and pdu[8] == 0x7F:
            commands[conn, pdu[10:12]] = pdu[12]
            if pdu[12] == 5 and pdu[3]:
                yield number, pdu[pdu[3] :]
        elif pdu[0] == 7 and commands.get((conn, pdu[8:10])) == 6:
            yield number, pdu[pdu[3] :]


def expected(message):
    """expected returns the fields of a message by the tables of chapter 3 of docs/protocol.md."""
    ident = message[0] << 8 | message[1]
    fields = {"message": f"0x{ident:04x}", "t_id": str(struct.unpack_from("<H", message, 4)[0])}
    name = NAMES[ident]
    if name == "negotiate":
        halen, dhlen = message[10], message[11]
        fields.update({"sc_c": str(message[6]), "napd": str(message[7]), "descriptor.authid": f"0x{message[8]:02x}",
                       "descriptor.halen": str(halen), "descriptor.dhlen": str(dhlen),
                       "descriptor.hash_id": ",".join(str(one) for one in message[12 : 12 + halen]),
                       "descriptor.dhgid": ",".join(str(one) for one in message[42 : 42 + dhlen])})
    elif name.startswith("failure"):
        fields.update({"rcode": str(message[6]), "rcodeex": str(message[7])})
    elif name in ("challenge", "reply"):
        hl = message[6]
        dhvlen, seqnum = struct.unpack_from("<HI", message, 10)
        fields.update({"hl": str(hl), "dhvlen": str(dhvlen)})
        if name == "challenge":
            fields.update({"hash_id": str(message[8]), "dhgid": str(message[9]), "s1": str(seqnum),
                           "c1": message[16 : 16 + hl].hex(), "dhval": message[16 + hl : 16 + hl + dhvlen].hex()})
        else:
            fields.update({"cvalid": str(message[8]), "s2": str(seqnum), "r1": message[16 : 16 + hl].hex(),
                           "c2": message[16 + hl : 16 + 2 * hl].hex(),
                           "dhval": message[16 + 2 * hl : 16 + 2 * hl + dhvlen].hex()})
    elif name == "success1":
        fields.update({"hl": str(message[6]), "rvalid": str(message[8]), "r2": message[16 : 16 + message[6]].hex()})
    return fields


FIELDS = ("message", "t_id", "sc_c", "napd", "descriptor.authid", "descriptor.halen", "descriptor.dhlen", "descriptor.hash_id",
          "descriptor.dhgid", "rcode", "rcodeex", "hl", "hash_id", "dhgid", "dhvlen", "s1", "s2", "cvalid", "rvalid", "c1", "c2",
          "r1", "r2", "dhval")


# What a broken target is told by.
TWO_WAY = "auth.two-way/sha256/ffdhe2048"
EXPERTS = (("s1-zero", TWO_WAY, "value"), ("tid-wrong-in-challenge", TWO_WAY, "t_id.other"), ("target-omits-r2", TWO_WAY, "value"),
           ("leak-heap-tail", TWO_WAY, "tail"),
           ("c1-static", "auth.fresh-challenges", "repeated"), ("free-sq-on-success", "replace.second/sha256", "concat"))
ERRORS = ("truncated", "unknown", "direction", "value", "length", "order", "t_id.other", "choice", "concat", "repeated", "mirrored")


@unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
class Wireshark(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="nvme-conform-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        # A home of its own: what the user has set up for Wireshark is none of this test's business.
        cls.environment = {**os.environ, "HOME": cls.directory, "XDG_CONFIG_HOME": cls.directory}

    def capture(self, case, defects=(), secrets=True, fault="none"):
        """capture runs a case against the reference target and returns the path of what it left."""
        directory = tempfile.mkdtemp(dir=self.directory)
        config = {"seed": 1, "cases": [case], "defects": list(defects), "fault": fault,
                  "captures": {"mode": "all", "directory": directory, "secrets": secrets, "command": "test_wireshark"}}
        done = subprocess.run([ENGINE, "run"], input=json.dumps(config), text=True, capture_output=True, timeout=SECONDS,
                              check=True)
        verdict = [json.loads(line) for line in done.stdout.splitlines() if '"verdict"' in line][-1]
        return verdict["capture"]

    def tshark(self, path, *fields, where="nvme-auth"):
        """tshark returns a dict of `fields` for every frame that `where` selects."""
        done = subprocess.run(
            ["tshark", "-X", f"lua_script:{LUA}", "-r", path, "-Y", where, "-T", "json", "-J", "nothing",
             *[word for name in ("frame.number", *fields) for word in ("-e", name)]],
            text=True, capture_output=True, timeout=SECONDS, check=True, env=self.environment)
        self.assertNotIn("Lua", done.stderr)
        rows = json.loads(done.stdout)
        return [{name: ",".join(values) for name, values in row["_source"]["layers"].items()} for row in rows]

    def compare(self, path):
        """compare checks every field of every message in clear, and returns the names of the messages."""
        with open(path, "rb") as file:
            wanted = list(messages(pdus(file.read())))
        rows = self.tshark(path, *[f"nvme-auth.{name}" for name in FIELDS], where="nvme-auth && !tls")
        return self.assert_fields(path, rows, wanted)

    def assert_fields(self, path, rows, wanted):
        """assert_fields holds the fields of rows against the bytes of messages, and returns the names of these."""
        self.assertEqual([int(row["frame.number"]) for row in rows], [number for number, _ in wanted])
        for row, (number, message) in zip(rows, wanted):
            seen = {name.removeprefix("nvme-auth."): value.replace(":", "") for name, value in row.items() if "auth" in name}
            want = {name: value for name, value in expected(message).items() if value}
            self.assertEqual(seen, want, f"frame {number} of {path}")
        return [NAMES[message[0] << 8 | message[1]] for _, message in wanted]

    def test_fields_in_clear(self):
        names = set()
        for case in ("auth.two-way/sha384/ffdhe3072", "auth.two-way/sha256/null", "auth.controller-secret-as-host", "concat.psk-after-failure2"):
            names.update(self.compare(self.capture(case)))
        self.assertEqual(names, set(NAMES.values()))

    def test_messages_in_many_segments(self):
        self.assertIn("reply", self.compare(self.capture("auth.two-way/sha512/ffdhe8192", fault="split")))

    def replayed(self, path, over_tls=None):
        """replayed yields what pdus does, of all that replay reads, or over TLS only."""
        done = subprocess.run([ENGINE, "replay"], input=json.dumps({"file": path, "bytes": True}), text=True, capture_output=True,
                              timeout=SECONDS, check=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        tls = {event["conn"] for event in events if event.get("kind") == "open" and event["text"].endswith(", TLS")}
        for event in events:
            if "bytes" in event and over_tls in (None, event["conn"] in tls):
                yield event["frame"], event["conn"], event["dir"] == "h2c", bytes.fromhex(event["bytes"])

    def test_over_tls(self):
        """Every message that replay finds over TLS, tshark shows with the same fields, in the same frame."""
        path = self.capture("replace.new-psk-works")
        wanted = list(messages(self.replayed(path, over_tls=True)))
        rows = self.tshark(path, *[f"nvme-auth.{name}" for name in FIELDS], where="nvme-auth && tls")
        self.assertGreater(len(self.assert_fields(path, rows, wanted)), 3)

    def test_golden_captures(self):
        """The same on every golden capture, on whatever port, in clear and over TLS; errors are where the manifest knows of a violation."""
        with open(os.path.join(ROOT, "captures", "manifest.json"), encoding="utf-8") as file:
            entries = json.load(file)["captures"]
        for entry in entries:
            with self.subTest(entry["file"]):
                path = os.path.join(ROOT, "captures", entry["file"])
                wanted = list(messages(self.replayed(path)))
                self.assertGreater(len(wanted), 0)
                rows = self.tshark(path, *[f"nvme-auth.{name}" for name in (*FIELDS, *ERRORS)])
                errors = {f"nvme-auth.{name}" for name in ERRORS}
                fields = [{name: value for name, value in row.items() if name not in errors} for row in rows]
                self.assert_fields(path, fields, wanted)
                self.assertEqual(any(errors & row.keys() for row in rows), entry["verdict"] == "violated")

    def test_without_secrets_tls_stays_closed(self):
        path = self.capture("replace.new-psk-works", secrets=False)
        self.assertEqual(self.tshark(path, where="nvme-auth && tls"), [])
        self.assertGreater(len(self.tshark(path, where="nvme-auth && !tls")), 0)
        self.assertGreater(len(self.tshark(path, where="tls.record.opaque_type == 23")), 0)

    def test_experts(self):
        clean = self.capture("auth.two-way/sha256/ffdhe2048")
        self.assertEqual(self.tshark(clean, where="nvme-auth && _ws.expert.severity >= 0x400000 && _ws.expert"), [])
        for defect, case, expert in EXPERTS:
            path = self.capture(case, [defect])
            self.assertGreater(len(self.tshark(path, where=f"nvme-auth.{expert}")), 0, defect)

    def test_mirrored_challenge(self):
        """The case of that name sends C1 back as C2, once; what else it sends is in order."""
        path = self.capture("reply.c2-equals-c1")
        rows = self.tshark(path, "nvme-auth.c2", "nvme-auth.message", where="nvme-auth.mirrored")
        self.assertEqual([row["nvme-auth.message"] for row in rows], ["0x0102"])
        (challenge,) = self.tshark(path, "nvme-auth.c1", where="nvme-auth.c1")
        self.assertEqual(rows[0]["nvme-auth.c2"], challenge["nvme-auth.c1"])
        self.assertEqual(len(self.tshark(path, where=" || ".join(f"nvme-auth.{name}" for name in ERRORS))), 1)

    def test_frames_are_in_order(self):
        """Checksums, sequence numbers, names and comments of what we write."""
        path = self.capture("replace.new-psk-works")
        done = subprocess.run(
            ["tshark", "-X", f"lua_script:{LUA}", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y",
             "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags || _ws.malformed"],
            text=True, capture_output=True, timeout=SECONDS, check=True, env=self.environment)
        self.assertEqual(done.stdout, "")
        comments = ",".join(row.get("frame.comment", "") for row in self.tshark(path, "frame.comment", where="frame.comment"))
        self.assertIn("replace.new-psk-works: verdict pass", comments)
        self.assertIn("REPLACETLSPSK", comments)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
