# SPDX-License-Identifier: BSD-3-Clause
"""Hostile captures: whatever a file claims, the engine ends in time and in little memory, says what it could judge, and writes nowhere else.

`make broken-captures` runs it with a million connections; tests/unit/test_golden.c cuts and bends the golden captures byte by byte.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import unittest

from support import COMMAND, HOSTNQN, ROOT, SUBNQN, RunnerTest

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
CONNECTIONS = int(os.environ.get("BROKEN_CAPTURES_CONNECTIONS", "50000"))
MANY = 50000  # packets of what has no end
MOST_MB = 128  # resident; secrets take most of it, of connections alone less than half
ADDRESS_SPACE = 512 << 20
CPU_SECONDS = 60 if CONNECTIONS > MANY else 20

ETHERNET, MTU = 1, 1400
SYN, ACK = 0x02, 0x10
HOST_PORT, PORT = 50000, 4420
ICREQ = struct.pack("<BBBBI", 0, 0, 128, 0, 128) + bytes(120)
HELLO_PSK = f"NVMe0R01 {HOSTNQN} {SUBNQN}".encode()  # the identity that makes a ClientHello ours


def frame(payload=b"", flags=ACK, seq=0, ack=0, conn=0, back=False, fragment=0):
    """frame returns an Ethernet frame of the host of connection `conn`, or with `back` of the controller."""
    ends = (struct.pack(">I", 0x0A000000 + conn), HOST_PORT), (bytes((192, 0, 2, 2)), PORT)
    (source, sport), (destination, dport) = reversed(ends) if back else ends
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 0xFFFF, 0, 0) + payload
    return bytes(12) + b"\x08\0" + struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, fragment, 64, 6, 0) + source + destination + tcp


def pcap(frames, snap_len=262144):
    """pcap yields a classic pcap, a piece at a time."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap_len, ETHERNET)
    for data in frames:
        yield struct.pack("<IIII", 0, 0, len(data), len(data)) + data


def block(kind, body, total=None):
    """block returns a block of pcapng, whose length may be a lie."""
    body += bytes(-len(body) % 4)
    total = len(body) + 12 if total is None else total
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
INTERFACE = block(1, struct.pack("<HHI", ETHERNET, 0, 262144))


def packet(data, captured=None, options=b""):
    """packet returns an Enhanced Packet Block."""
    return block(6, struct.pack("<IIIII", 0, 0, 0, len(data) if captured is None else captured, len(data)) + data +
                 bytes(-len(data) % 4) + options)


def opening(conn=0):
    """opening yields the handshake of TCP; the next byte of either side is number 1."""
    yield frame(flags=SYN, conn=conn)
    yield frame(flags=SYN | ACK, ack=1, conn=conn, back=True)
    yield frame(seq=1, ack=1, conn=conn)


def stream(data, step=MTU, first=1):
    """stream yields bytes of the host as segments."""
    for at in range(0, len(data), step):
        yield frame(data[at : at + step], seq=first + at, ack=1)


def hello(record_len=None):
    """hello returns the record of a ClientHello that offers a PSK of NVMe/TCP."""
    identity = struct.pack(">H", len(HELLO_PSK)) + HELLO_PSK + bytes(4)
    psk = struct.pack(">H", len(identity)) + identity + struct.pack(">HB", 33, 32) + bytes(32)
    extensions = struct.pack(">HHBH", 43, 3, 2, 0x0304) + struct.pack(">HH", 41, len(psk)) + psk
    body = b"\3\3" + b"r" * 32 + b"\0" + struct.pack(">HHBB", 2, 0x1301, 1, 0) + struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack(">H", len(message) if record_len is None else record_len) + message


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
class Broken(RunnerTest):
    def write(self, pieces):
        path = self.path("broken")
        with open(path, "wb") as file:
            file.writelines(pieces)
        return path

    def judged(self, pieces):
        """judged has the engine judge a file under limits, in a directory that stays empty, and returns its last event, or its complaint."""
        path, empty = self.write(pieces), self.path("empty")
        os.makedirs(empty, exist_ok=True)

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

        out, err = self.path("out"), self.path("err")
        with open(out, "wb") as stdout, open(err, "wb") as stderr, subprocess.Popen(
                [ENGINE, "replay"], stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, cwd=empty, preexec_fn=limit) as process:
            process.stdin.write(json.dumps({"file": path, "conversation": False}).encode())
            process.stdin.close()
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        with open(err, encoding="utf-8") as file:
            complaint = file.read()
        self.assertIn(process.returncode, (0, 2), complaint)
        self.assertLess(used.ru_maxrss / 1024, MOST_MB)
        self.assertEqual(os.listdir(empty), [])
        self.assertLess(os.path.getsize(out), 64 << 20)
        if process.returncode == 2:
            self.assertEqual(len(complaint.splitlines()), 1, complaint)
            return complaint
        self.assertEqual(complaint, "")
        with open(out, "rb") as file:
            *_, line = file
        return json.loads(line)

    def assert_partial(self, pieces, why, **members):
        """assert_partial checks that a file is read, is not clean for this reason, and that nobody is blamed."""
        end = self.judged(pieces)
        self.assertIsInstance(end, dict, end)
        self.assertEqual((end["verdict"], end["violations"]), ("cannot-judge", []), end)
        self.assertRegex(end["reason"], why)
        for name, value in members.items():
            self.assertEqual(end[name], value, end)
        return end

    # ---- more than anybody has ----

    def test_connections_without_bytes(self):
        self.assert_partial(pcap(frame(flags=SYN, conn=conn) for conn in range(CONNECTIONS)), "no NVMe/TCP inside",
                            connections=CONNECTIONS, frames=CONNECTIONS)

    def test_connections_that_say_one_pdu(self):
        def frames():
            for conn in range(CONNECTIONS):
                yield frame(flags=SYN, conn=conn)
                yield frame(ICREQ, seq=1, conn=conn)

        end = self.assert_partial(pcap(frames()), "in the middle of the initialisation")
        self.assertEqual((end["connections"], end["judged"], end["pdus"]), (CONNECTIONS, CONNECTIONS, CONNECTIONS))
        with open(self.path("out"), "rb") as file:
            # A thousand are told, and the last line has the reason.
            self.assertEqual(sum(b"in the middle of" in line for line in file), 1001)

    def test_connections_with_a_hole(self):
        """Each keeps all that may be kept behind its hole."""
        def frames():
            for conn in range(2000):
                yield frame(flags=SYN, conn=conn)
                for at in range(16):
                    yield frame(bytes(MTU), seq=100 + at * MTU, conn=conn)

        self.assert_partial(pcap(frames()), "missing in the capture|out of order")

    def test_fragments(self):
        self.assert_partial(pcap(frame(bytes(8), fragment=0x2000 | at % 0x2000) for at in range(MANY)), "fragment", frames=MANY)

    def test_bytes_one_by_one(self):
        """Behind a hole, and without one: the PDU claims 4 GB."""
        endless = struct.pack("<BBBBI", 4, 0, 72, 0, 0xFFFFFFFF) + bytes(MANY)
        self.assert_partial(pcap((*opening(), *stream(endless, step=1, first=2))), "missing in the capture|out of order")
        end = self.judged(pcap((*opening(), *stream(ICREQ), *stream(endless, step=1, first=1 + len(ICREQ)))))
        self.assertEqual((end["connections"], end["frames"]), (1, 3 + 1 + len(endless)))
        self.assertEqual((end["verdict"], end["unjudged"]), ("cannot-judge", 1), end)
        self.assertIn("cannot be told apart", end["reason"])

    def test_secrets(self):
        """Their randoms begin alike, so that a table by the first bytes would be a list."""
        lines = b"".join(b"CLIENT_TRAFFIC_SECRET_0 %064x %064x\n" % (number, number) for number in range(MANY))
        secrets = [block(10, struct.pack("<II", 0x544C534B, len(lines)) + lines) for _ in range(8)]
        self.assert_partial((SECTION, *secrets, INTERFACE), "no NVMe/TCP inside")

    def test_sections_and_interfaces(self):
        self.judged((SECTION, *[INTERFACE] * MANY, packet(frame())))
        self.judged([SECTION, INTERFACE, packet(frame())] * MANY)

    # ---- lengths that are none ----

    def test_lengths_of_pcap(self):
        start = next(pcap(()))
        for captured in (0xFFFFFFFF, 0x7FFFFFFF, 262145, 100):
            with self.subTest(captured=captured):
                self.assert_partial((start, struct.pack("<IIII", 0, 0, captured, captured), bytes(64)), "breaks off after packet 0")
        self.judged(pcap(opening(), snap_len=0xFFFFFFFF))
        self.judged(pcap((b"", b"\0", bytes(13))))

    def test_lengths_of_blocks(self):
        for total in (0, 1, 11, 12, 13, 28, 0x7FFFFFFC, 0xFFFFFFFC, 0xFFFFFFFF):
            for kind in (1, 2, 3, 4, 5, 6, 10, 0x0A0D0D0A, 0x80000001):
                with self.subTest(total=total, kind=kind):
                    end = self.judged((SECTION, INTERFACE, packet(frame(flags=SYN)), block(kind, bytes(16), total), packet(frame())))
                    self.assertNotEqual(end["verdict"], "clean")

    def test_lengths_within_blocks(self):
        for captured in (0xFFFFFFFF, 0x80000000, 55, 1000):
            self.assert_partial((SECTION, INTERFACE, packet(frame(), captured)), "breaks off after packet 0|cut short|no NVMe/TCP")
        for size in (1, 5, 0xFFFF):
            self.judged((SECTION, INTERFACE, packet(frame(), options=struct.pack("<HH", 1, size))))
            for code in (2, 9, 11, 14):
                complaint = self.judged((SECTION, block(1, struct.pack("<HHIHH", ETHERNET, 0, 0, code, size)), packet(frame())))
                self.assertTrue(complaint)
        for resolution in (0x7F, 0xFF, 63, 64 | 0x80):
            options = struct.pack("<HHB3xHHqHH", 9, 1, resolution, 14, 8, -(1 << 63), 0, 0)
            self.judged((SECTION, block(1, struct.pack("<HHI", ETHERNET, 0, 0) + options), packet(frame()), packet(frame())))
        for size in (0, 9, 0x7FFFFFFF, 0xFFFFFFFF):
            self.judged((SECTION, block(10, struct.pack("<II", 0x544C534B, size) + b"CLIENT_RANDOM"), INTERFACE))

    def test_lengths_of_headers(self):
        whole = frame(ICREQ, seq=1)
        for at in (14, 16, 17, 26, 46):  # version and IHL, total length, an address, data offset
            for value in (0, 1, 0x4F, 0x60, 0xF0, 0xFF):
                bent = bytearray(whole)
                bent[at] = value
                end = self.judged(pcap((frame(flags=SYN), bytes(bent))))
                self.assertEqual(end["violations"], [])

    def test_lengths_of_pdus(self):
        for plen in (0, 7, 8, 127, 129, 0x7FFFFFFF, 0xFFFFFFFF):
            with self.subTest(plen=plen):
                bent = ICREQ[:4] + struct.pack("<I", plen) + ICREQ[8:]
                self.assertNotEqual(self.judged(pcap((*opening(), *stream(bent + bytes(4096)))))["verdict"], "clean")

    def test_lengths_of_records(self):
        for size in (0, 1, 16385, 0xFFFF):
            with self.subTest(size=size):
                self.assertNotEqual(self.judged(pcap((*opening(), *stream(hello(size) + bytes(70000)))))["verdict"], "clean")
        for at in range(5, len(hello()) - 1):
            bent = bytearray(hello())
            bent[at : at + 2] = b"\xff\xff"
            if at % 7 == 0:
                self.assertNotEqual(self.judged(pcap((*opening(), *stream(bytes(bent)))))["verdict"], "clean")

    def test_a_hello_without_end(self):
        pieces = b"".join(b"\x16\3\1\x40\0" + bytes(16384) for _ in range(200))
        self.assert_partial(pcap((*opening(), *stream(b"\x16\3\1\0\4\1\xff\xff\xff" + pieces))), ".")

    # ---- nothing elsewhere ----

    def listing(self):
        return sorted(os.path.relpath(os.path.join(place, name), self.directory)
                      for place, dirs, names in os.walk(self.directory) for name in (*dirs, *names))

    def test_writes_where_it_was_told(self):
        """Also for what names a path inside: comments, interfaces, the key log."""
        up = b"../../escaped/\0/etc/escaped\0"
        comment = struct.pack("<HH", 1, len(up)) + up + bytes(-len(up) % 4) + bytes(4)
        names = block(4, struct.pack("<HH", 1, 4 + len(up)) + bytes(4) + up + bytes(-(4 + len(up)) % 4) + bytes(4))
        interface = block(1, struct.pack("<HHIHH", ETHERNET, 0, 262144, 2, len(up)) + up + bytes(-len(up) % 4) + bytes(4))
        path = self.write((SECTION, interface, names, *(packet(data, options=comment) for data in (*opening(), *stream(ICREQ)))))
        for name in ("cwd", "home", "tmp"):
            os.mkdir(self.path(name))
        before = self.listing()
        environment = {**self.environment(), "NVME_CONFORM_ENGINE": ENGINE, "HOME": self.path("home"), "TMPDIR": self.path("tmp"),
                       "XDG_CACHE_HOME": self.path("home"), "PYTHONDONTWRITEBYTECODE": "1"}
        for arguments, written in (([], []), (["-o", "json"], []), (["--output-dir", "chosen"], ["cwd/chosen"])):
            done = subprocess.run([sys.executable, COMMAND, "replay", *arguments, path], cwd=self.path("cwd"), env=environment,
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertIn(done.returncode, (0, 125), done.stderr)
            new = [name for name in self.listing() if name not in before and not name.startswith("cwd/chosen/")]
            self.assertEqual(new, written)
        self.assertEqual(sorted(os.listdir(self.path("cwd", "chosen"))), ["events.jsonl", "junit.xml", "ktap.txt", "results.json"])


if __name__ == "__main__":
    unittest.main()
