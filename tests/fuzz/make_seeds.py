#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the seeds of fuzz_observer and fuzz_replay out of golden captures, and those of fuzz_reassembly and fuzz_records by hand.

fuzz_capture takes the golden captures as they are (`make fuzz`).
"""

import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SEEDS = os.path.join(ROOT, "tests", "fuzz", "seeds")
sys.path.insert(0, os.path.join(ROOT, "tests", "capture"))

from test_wireshark import frames  # noqa: E402  (the path must be known first)

IN_CLEAR = ("auth-two-way", "failure1", "failure2", "s1-is-zero", "linux-host-two-way", "linux-host-wrong-secret")
# For fuzz_replay, with their key logs: one of each kind of exchange, small enough to be mutated.
CONVERSATIONS = ("auth-two-way", "concat-three-replacements", "failure1", "failure2", "second-replacement-refused", "tls-key-update")
LONGEST = 4600
SECRETS_BLOCK = 10
OF_HOST, ENDS, RESETS, CONN_SHIFT = 1, 2, 4, 3  # of a chunk of fuzz_replay
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
DATA, MESSAGES, ALERT, KEY_UPDATE, ANY_TYPE, EMPTY, IN_THE_CLEAR, GARBLED = range(8)


def segments(data):
    """segments yields (connection, whether of the host, flags, payload) of a capture in order; no byte comes twice."""
    conns, due = {}, {}
    for frame in frames(data):
        source, target, seq = struct.unpack_from(">HHI", frame, 34)
        end = 14 + struct.unpack_from(">H", frame, 16)[0]
        payload = frame[34 + (frame[46] >> 4) * 4 : end]
        host = target == 4420
        conn = conns.setdefault(source if host else target, len(conns))
        if frame[47] & SYN:
            due[conn, host] = seq + 1
        if due.get((conn, host)) != seq:
            payload = b""
        due[conn, host] = (due.get((conn, host), 0) + len(payload)) % 2**32
        yield conn, host, frame[47], payload


def observer(data):
    """observer returns the first two connections of a capture in clear as chunks for fuzz_observer."""
    seed = b"\0"
    for conn, host, _, payload in segments(data):
        if payload and conn <= 1 and len(seed) + len(payload) <= LONGEST:
            seed += struct.pack("<BH", conn << 1 | host, len(payload)) + payload
    return seed


def keylog(data):
    """keylog returns the secrets in a pcapng."""
    found, at = b"", 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == SECRETS_BLOCK:
            found += data[at + 16 : at + 16 + struct.unpack_from("<I", data, at + 12)[0]]
        at += length
    return found


def conversation(data):
    """conversation returns all of a capture, with its key log, as fuzz_replay takes it."""
    secrets = keylog(data)
    seed = struct.pack("<H", len(secrets)) + secrets
    for conn, host, flags, payload in segments(data):
        ends = (ENDS if flags & (FIN | RST) else 0) | (RESETS if flags & RST else 0)
        if payload or ends:
            seed += struct.pack("<BH", conn << CONN_SHIFT | ends | host * OF_HOST, len(payload)) + payload
    return seed


def golden(names, maker):
    """golden returns the seeds that maker makes of these golden captures."""
    seeds = {}
    for name in names:
        with open(os.path.join(ROOT, "captures", f"{name}.pcapng"), "rb") as file:
            seeds[f"golden_{name}"] = maker(file.read())
    return seeds


def segment(side, flags, at, acked, eighths=0, cut=0, conn=0):
    """segment is one of fuzz_reassembly; at and acked count from the first byte of a side."""
    return struct.pack("<BBhhBB", conn | side << 2, flags, at, acked, eighths, cut)


def chunk(side, kind, data=b"", piece=7):
    """chunk is one of fuzz_records; piece is in how large pieces the record comes."""
    return struct.pack("<BH", side | kind << 1 | piece << 4, len(data)) + data


OPEN = segment(0, SYN, 0, 0) + segment(1, SYN | ACK, 0, 1)
REASSEMBLY = {
    "in_order": OPEN + segment(0, ACK, 1, 1, 4) + segment(1, ACK, 1, 33, 4) + segment(0, FIN | ACK, 33, 33) + segment(1, FIN | ACK, 33, 34),
    "out_of_order": OPEN + segment(0, ACK, 33, 1, 2) + segment(0, ACK, 17, 1, 2) + segment(0, ACK, 1, 1, 2) + segment(1, RST, 1, 49),
    "overlapping": OPEN + segment(0, ACK, 9, 1, 4) + segment(0, ACK, 1, 1, 3) + segment(0, ACK, 1, 1, 9) + segment(0, ACK, 60, 1, 200),
    "missing": OPEN + segment(0, ACK, 101, 1, 4) + b"".join(segment(1, ACK, 1 + 8 * n, 133, 1) for n in range(70)),
    "cut": OPEN + segment(0, ACK, 1, 1, 10, 40) + segment(0, ACK, 81, 1, 2),
    "middle": segment(0, ACK, 500, 500, 4) + segment(1, ACK, 500, 532, 4),
    "again": OPEN + segment(0, ACK, 1, 1, 4) + segment(0, SYN, 300, 0) + segment(1, SYN | ACK, 300, 301) + segment(0, ACK, 301, 301, 4),
}
RECORDS = {
    "data": chunk(0, DATA, b"request") + chunk(1, DATA, b"answer" * 40) + chunk(0, EMPTY) + chunk(1, ALERT, b"\1\0"),
    "updates": b"".join(chunk(side, KEY_UPDATE) + chunk(side, DATA, b"new keys") for side in (0, 1, 0)),
    "tickets": chunk(1, MESSAGES, b"\4\0\0\x10" + b"t" * 16) + chunk(1, MESSAGES, b"\4\0\1\0" + b"u" * 100) + chunk(1, DATA, b"x" * 300),
    "garbled": chunk(0, DATA, b"fine") + chunk(0, GARBLED, b"not fine") + chunk(0, DATA, b"lost"),
    "types": chunk(0, ANY_TYPE, b"x\x99") + chunk(1, ANY_TYPE, b"\0" * 40),
    "in_clear": chunk(0, IN_THE_CLEAR, b"\x15\3\3\0\2\1\0") + chunk(1, IN_THE_CLEAR, b"\x17\3\3\xff\xff" + b"z" * 60),
    "bytewise": chunk(0, DATA, b"slowly" * 20, piece=0) + chunk(1, KEY_UPDATE, piece=0) + chunk(1, DATA, b"too", piece=0),
}


def main():
    """main writes them."""
    for target, seeds in (("fuzz_observer", golden(IN_CLEAR, observer)),
                          ("fuzz_replay", golden(CONVERSATIONS, conversation)),
                          ("fuzz_reassembly", REASSEMBLY),
                          ("fuzz_records", {f"{name}_{suite}": bytes([suite]) + seed for name, seed in RECORDS.items() for suite in (0, 1)})):
        os.makedirs(os.path.join(SEEDS, target), exist_ok=True)
        for name, seed in seeds.items():
            with open(os.path.join(SEEDS, target, name), "wb") as file:
                file.write(seed)


if __name__ == "__main__":
    main()
