# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform gate --host`: a real Linux host against the reference target.

The proof that the reference target speaks the protocol of the world: what a host does on an
ordinary day, with nvme-cli, judged by what its kernel says. The steps need nothing of the target
but its profile, so any other target with one can be put in its place.
"""

import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time

from ..runner import engine
from . import linux_host, profile, qemu
from .errors import GateError
from .linux_host import Peer, connect, disconnect, read_blocks, replace_psk

START_SECONDS = 30
STOP_SECONDS = 10
REPLACEMENTS = 3


class ReferenceTarget:
    """ReferenceTarget is `nvme-conform target` on a free loopback port, as a context manager; seed (bytes) decides its secrets."""

    def __init__(self, program, directory, words=(), seed=None):
        self.profile = profile.make(seed or secrets.token_bytes(32))
        self.profile["addr"] = "127.0.0.1"
        self.profile["target"] = {"kind": "reference"}
        self.port = None
        self._path = os.path.join(directory, "profile.json")
        self._log_path = os.path.join(directory, "target.jsonl")
        self._argv = [sys.executable, program, "target", "--profile", self._path, "-o", "json",
                      *words]
        self._process = None
        self._lines = queue.Queue()
        self._reader = None

    def __enter__(self):
        self.port, = qemu.free_ports(1)
        self.profile["ports"] = {"concat": self.port}
        profile.write(self.profile, self._path)
        self._process = subprocess.Popen(engine.dying_with_us(self._argv, "TERM"), text=True,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_listening()
        except BaseException:
            self.stop()
            raise
        return self

    def _read(self):
        with open(self._log_path, "w", encoding="utf-8", buffering=1) as log:
            for line in self._process.stdout:
                log.write(line)
                self._lines.put(line)
        self._lines.put(None)

    def _wait_listening(self):
        deadline, last = time.monotonic() + START_SECONDS, "no message"
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise GateError(f"the reference target ended at once: {last}")
            last = line.strip() or last
            try:
                if json.loads(line).get("event") == "listening":
                    return
            except (ValueError, AttributeError):
                continue
        raise GateError(f"the reference target does not listen after {START_SECONDS} s ({last})")

    def alive(self):
        return self._process.poll() is None

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """stop ends the target; its log stays."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_SECONDS)


def _named(target, name):
    """_named returns a host of the profile and the Peer that acts as it."""
    host = next(each for each in target["hosts"] if each["name"] == name)
    return host, Peer(target["subnqn"], host["hostnqn"], host["hostid"])


def _authentication(target):
    host, peer = _named(target, "sha256-ffdhe2048-one-way")
    yield connect(peer, host["dhchap_secret"], name="one-way")
    yield read_blocks(name="one-way-read")
    yield disconnect(peer, "one-way-disconnect")
    other, _ = _named(target, "sha512-ffdhe4096-two-way")
    yield connect(peer, other["dhchap_secret"], name="wrong-secret", expect_failure=True)
    host, peer = _named(target, "sha512-ffdhe4096-two-way")
    yield connect(peer, host["dhchap_secret"], host["dhchap_ctrl_secret"], name="two-way")
    yield disconnect(peer, "two-way-disconnect")
    other, _ = _named(target, "sha384-ffdhe3072-two-way")
    yield connect(peer, host["dhchap_secret"], other["dhchap_ctrl_secret"],
                  name="wrong-ctrl-secret", expect_failure=True)


def _concatenation(target, name):
    host, peer = _named(target, name)
    yield connect(peer, host["dhchap_secret"], concat=True, name=f"concat-{name}")
    for number in range(1, REPLACEMENTS + 1):
        yield replace_psk(peer, host["dhchap_secret"], number, f"replace-{number}-{name}")
    yield read_blocks(name=f"tls-read-{name}")
    yield disconnect(peer, f"disconnect-{name}")


def _configured_psk(target):
    _, peer = _named(target, "psk")
    yield connect(peer, tls=True, name="configured-psk")
    yield read_blocks(name="configured-psk-read")
    yield disconnect(peer, "configured-psk-disconnect")


def story(target):
    """story returns the steps for a target's profile: authentication each way, wrong secrets,
    concatenation with SHA-256 and SHA-384 and the key replaced repeatedly, a configured PSK."""
    return [*_authentication(target),
            *_concatenation(target, "sha256-ffdhe2048-one-way"),
            *_concatenation(target, "sha384-ffdhe3072-one-way"),
            *_configured_psk(target)]


def run(request, target, port):
    """run boots the host of request and plays the story against 127.0.0.1:port."""
    host_psks = [psk for psk in target["psks"] if psk["name"].startswith("psk-v1")]
    return linux_host.run_linux_host(request, port, story(target), host_psks)


def lines(report):
    """lines returns a report as text for a person; a step that went wrong brings its evidence."""
    text = []
    for step in report.steps:
        text.append(f"{'ok  ' if step.ok else 'FAIL'} {step.name} ({step.seconds:.1f} s)")
        if not step.ok:
            text += ["       " + line for line in step.output.splitlines() + step.kernel]
    text += [f"KERNEL {found.title}" for found in report.findings]
    if report.taint_after != report.taint_before and not report.error:
        text.append(f"KERNEL taint {report.taint_before} before, {report.taint_after} after")
    return text + ([f"FAIL {report.error}"] if report.error else [])
