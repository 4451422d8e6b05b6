# SPDX-License-Identifier: BSD-3-Clause
"""Captures made inside the guest, by programs that are not ours: tcpdump's packets and tlshd's key log.

    prepared = gate.prepare(request, recording.PROGRAMS)
    with recording.LoopbackGuest(prepared) as guest, recording.Recording(guest, "lo") as packets:
        guest.step(connect(...))
    packets.write("linux.pcapng")
"""

import base64
import os
import secrets
import shlex
import struct
import subprocess
import tempfile

from . import fetch, gate, initramfs, linux_host, nvmet, profile
from .errors import GateError

PROGRAMS = {**initramfs.HOST_PROGRAMS, "tcpdump": "bin/tcpdump"}
ADDRESS = "127.0.0.1"
# init.sh lets tlshd write its key log there when /conf has a file of this name.
KEYLOG_ASKED, KEYLOG = "keylog", "/run/keylog"
# It has no network but its loopback interface where /conf has a file of this name.
ALONE = "alone"
PACKETS = "/run/packets.pcap"
MERGE_SECONDS = 60

# Not in immediate mode: then a ring of the kernel holds only some large packets, and drops the rest.
_START = """\
tcpdump -n -i {interface} -B 16384 -U -Z root -w {packets} tcp port {port} 2>/run/tcpdump.log &
echo $! >/run/tcpdump.pid
n=0
until grep -q 'listening on' /run/tcpdump.log; do
	n=$((n + 1)); [ $n -gt 100 ] && {{ cat /run/tcpdump.log; exit 1; }}; sleep 0.1
done
"""
# What is under way still belongs to it: a moment before the end.
_STOP = """\
sleep 1
kill -INT "$(cat /run/tcpdump.pid)" || exit 1
n=0
while kill -0 "$(cat /run/tcpdump.pid)" 2>/dev/null; do n=$((n + 1)); [ $n -gt 100 ] && exit 1; sleep 0.1; done
grep -q '^0 packets dropped by kernel' /run/tcpdump.log || { cat /run/tcpdump.log; exit 1; }
"""


_SECTION, _INTERFACE = 0x0A0D0D0A, 1
_MAGIC = 0x1A2B3C4D


def interfaces_first(data):
    """interfaces_first returns a pcapng of one section, its bytes, with the blocks of the interfaces behind that of the section.

    editcap puts the secrets in between, and cannot write again what it reads then; mergecap neither.
    """
    order = "<" if struct.unpack_from("<I", data, 8)[0] == _MAGIC else ">"
    parts = {_SECTION: [], _INTERFACE: [], None: []}
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if size < 12 or at + size > len(data):
            raise GateError(f"a pcapng with a broken block at byte {at}")
        parts[kind if kind in parts else None].append(data[at:at + size])
        at += size
    return b"".join(block for blocks in parts.values() for block in blocks)


class HostGuest(linux_host.HostGuest):
    """HostGuest is a Linux host whose tlshd logs its secrets; its target is outside."""

    def files(self):
        return {**super().files(), KEYLOG_ASKED: ""}


class LoopbackGuest(linux_host.HostGuest):
    """LoopbackGuest is host and target at once, over its own loopback interface; nothing of ours speaks there."""

    def __init__(self, prepared):
        gate.GuestBase.__init__(self, prepared)
        self.profile = profile.make(prepared.request.seed or secrets.token_bytes(32))

    def files(self):
        return {**nvmet.guest_files(self.profile), KEYLOG_ASKED: "", ALONE: ""}


class Recording:
    """Recording is tcpdump at one interface of a running guest, as a context manager."""

    def __init__(self, guest, interface):
        self._guest = guest
        self._interface = interface
        self.packets = b""
        self.keylog = b""

    def __enter__(self):
        self._run(_START.format(interface=shlex.quote(self._interface), packets=PACKETS, port=nvmet.CONCAT_PORT),
                  "begin to capture")
        return self

    def __exit__(self, kind, *_):
        if kind:
            return
        self._run(_STOP, "end the capture")
        self.packets = self._read(PACKETS)
        self.keylog = self._read(KEYLOG)

    def _run(self, script, name):
        done = self._guest.run(script, name)
        if done.status:
            raise GateError(f"the guest did not {name}: {done.output.strip()}")
        return done.output

    def _read(self, path):
        return base64.b64decode(self._run(f"[ ! -e {path} ] || base64 -w 0 {path}", f"read {path}"))

    def write(self, path):
        """write puts the packets and the secrets into one pcapng, by Wireshark's editcap."""
        editcap = fetch.need_program("editcap", "wireshark-common")
        with tempfile.TemporaryDirectory() as directory:
            packets, keylog = os.path.join(directory, "packets.pcap"), os.path.join(directory, "keylog")
            for name, data in ((packets, self.packets), (keylog, self.keylog)):
                with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(data)
            words = ["--inject-secrets", f"tls,{keylog}"] if self.keylog else []
            done = subprocess.run([editcap, "-F", "pcapng", *words, packets, path], capture_output=True, text=True, check=False,
                                  timeout=MERGE_SECONDS)
        if done.returncode:
            raise GateError(f"editcap cannot write {path}: {done.stderr.strip()}")
        with open(path, "r+b") as file:
            ordered = interfaces_first(file.read())
            file.seek(0)
            file.write(ordered)
