# SPDX-License-Identifier: BSD-3-Clause
"""The other direction: a real Linux host with nvme-cli in the guest, its target outside.

    peer = Peer(subnqn, hostnqn, hostid)
    report = run_linux_host(Request(kernel="7.3.4"), port,
                            [connect(peer, secret=s, concat=True),
                             *(replace_psk(peer, s, n) for n in (1, 2, 3)),
                             read_blocks(), disconnect(peer)])

The guest reaches one address, GUEST_HOST:4420, which is 127.0.0.1:port here, and nothing else. A
step is a shell script with a bounded time; its results carry what the kernel said meanwhile.
"""

import shlex
import time
from dataclasses import dataclass, field

from . import gate, initramfs, klog, kmemleak, nvmet, qemu
from .errors import GateError

TARGET_SERVICE = 4420
SETTLE_SECONDS = 0.1    # what the kernel prints after a script's end still belongs to its step

# Asked by several steps. "state" is that of the only controller; keys() counts distinct generated
# PSKs, because the host makes a new one for every replacement and keeps the names of the old.
_PRELUDE = """\
controller() { for c in /sys/class/nvme/nvme*; do [ -e "$c" ] && echo "$c"; done | head -n 1; }
state() { cat "$(controller)/state" 2>/dev/null || echo none; }
keys() { grep -o 'NVMe1G.*: ' /proc/keys | sort -u | wc -l; }
disturbed() { dmesg | grep -cE 'resetting controller|error recovery|Reconnecting|reconnect'; }
refusals() { dmesg | grep -cE 'authentication failed|failed to authenticate|not authenticated'; }
live() { [ "$(state)" = live ]; }
soon() { n=0; until "$@"; do n=$((n + 1)); [ $n -gt 50 ] && return 1; sleep 0.1; done; }
"""


@dataclass(frozen=True)
class Peer:
    """Peer names both ends of the association; address and service are as the guest sees them."""
    subnqn: str
    hostnqn: str
    hostid: str
    address: str = qemu.GUEST_HOST
    service: int = TARGET_SERVICE


@dataclass(frozen=True)
class Step:
    """Step is one script for the guest. expect_failure: it is right that the script fails."""
    name: str
    script: str
    seconds: int = 30
    expect_failure: bool = False


@dataclass
class StepOutcome:
    """StepOutcome is what a step did; ok compares with what it was meant to do."""
    name: str
    status: int
    ok: bool
    output: str
    seconds: float
    kernel: list = field(default_factory=list)


@dataclass
class HostReport:
    """HostReport holds an outcome per step that ran; error says why the others did not."""
    release: str
    accel: str
    directory: str
    steps: list = field(default_factory=list)
    findings: list = field(default_factory=list)
    taint_before: int = None
    taint_after: int = None
    error: str = None

    @property
    def ok(self):
        return self.error is None and bool(self.steps) and all(step.ok for step in self.steps) \
            and not self.findings and self.taint_before == self.taint_after


def connect(peer, secret=None, ctrl_secret=None, concat=False, tls=False, options="",
            name="connect", expect_failure=False):
    """connect runs `nvme connect` and waits until the controller is live.

    expect_failure turns around what is right: authentication must be refused, and nothing else
    must have gone wrong, and no controller may be left.
    """
    words = ["nvme", "connect", "-t", "tcp", "-a", peer.address, "-s", str(peer.service),
             "-n", peer.subnqn, "-q", peer.hostnqn, "-I", peer.hostid]
    words += ["-S", secret] if secret else []
    words += ["-C", ctrl_secret] if ctrl_secret else []
    words += ["--concat"] if concat else []
    words += ["--tls"] if tls else []
    script = f"refused=$(refusals)\n{shlex.join(words)} {options}\nrc=$?\n"
    if expect_failure:
        script += ('[ -n "$(controller)" ] && { echo "a controller is left: $(state)"; exit 0; }\n'
                   '[ "$(refusals)" -gt "$refused" ] || '
                   '{ echo "no connection, but not for authentication"; exit 0; }\n')
    else:
        script += ('[ $rc = 0 ] && soon live; echo "state $(state)"\n'
                   'echo "tls_key $(cat "$(controller)/tls_key" 2>/dev/null)"\n'
                   'live || exit 1\n')
    return Step(name, _PRELUDE + script + "exit $rc\n", expect_failure=expect_failure)


def replace_psk(peer, secret, number, name=None):
    """replace_psk makes the host send REPLACETLSPSK: it re-authenticates when dhchap_secret is
    written with other text, and what follows the last colon is not part of the secret.

    It succeeds when a new generated PSK appears, and the association was neither reset nor lost.
    """
    script = f"""\
before=$(keys); calm=$(disturbed)
echo {shlex.quote(f"{secret}round{number}")} >"$(controller)/dhchap_secret" || exit 1
more() {{ [ "$(keys)" -gt "$before" ]; }}
soon more || {{ echo "no new generated PSK ($before before), state $(state)"; exit 1; }}
live || {{ echo "state $(state)"; exit 1; }}
[ "$(disturbed)" = "$calm" ] || {{ echo "the association was reset"; exit 1; }}
echo "generated PSKs: $before, then $(keys)"
"""
    return Step(name or f"replace-psk-{number}", _PRELUDE + script)


def read_blocks(count=8, block_len=512, name="read"):
    """read_blocks reads the first blocks of the namespace past the page cache and prints their
    SHA-256 and the device's size in sectors of 512 octets."""
    script = f"""\
device() {{ for d in /dev/nvme*n*; do [ -b "$d" ] && echo "$d"; done | head -n 1; }}
present() {{ [ -n "$(device)" ]; }}
soon present || {{ echo "no block device"; exit 1; }}
d=$(device); echo 3 >/proc/sys/vm/drop_caches
dd if="$d" of=/run/blocks bs={block_len} count={count} 2>/run/dd.log || exit 1
[ "$(wc -c </run/blocks)" = {count * block_len} ] || {{ echo "short read"; exit 1; }}
echo "sha256 $(sha256sum </run/blocks | cut -d' ' -f1)"
echo "sectors $(cat "/sys/block/${{d##*/}}/size")"
"""
    return Step(name, _PRELUDE + script)


def disconnect(peer, name="disconnect"):
    """disconnect removes the controller; it fails when there was none."""
    return Step(name, _PRELUDE + f'[ -n "$(controller)" ] || {{ echo "no controller"; exit 1; }}\n'
                f'nvme disconnect -n {shlex.quote(peer.subnqn)} || exit 1\n'
                'gone() { [ -z "$(controller)" ]; }\nsoon gone\n')


class HostGuest(gate.GuestBase):
    """HostGuest is a Linux host that reaches 127.0.0.1:target_port and nothing else.

    psks are entries of a profile that the host holds too.
    """

    def __init__(self, prepared, target_port, psks=()):
        super().__init__(prepared, relays={TARGET_SERVICE: target_port})
        self._psks = psks

    def files(self):
        return nvmet.psk_files(self._psks)

    def step(self, step):
        """step runs one step and returns its outcome; a guest that hangs or dies is a GateError."""
        start = time.monotonic()
        done = self.run(step.script, step.name, step.seconds)
        self.log.wait(lambda log: False, SETTLE_SECONDS)
        ok = not done.timed_out and (done.status != 0) == step.expect_failure
        return StepOutcome(step.name, done.status, ok, done.output, done.seconds,
                           [line.text for line in self.log.lines(start)
                            if not line.text.startswith(klog.MARK)])


def run_linux_host(request, target_port, steps, psks=()):
    """run_linux_host boots a host, runs the steps in order and returns a HostReport.

    Every step runs, whatever the earlier ones did, unless the guest itself is lost.
    """
    prepared = gate.prepare(request, initramfs.HOST_PROGRAMS)
    with HostGuest(prepared, target_port, psks) as guest:
        report = HostReport(guest.kernel.release, prepared.accel, guest.directory,
                            taint_before=guest.taint_at_boot)
        try:
            for step in steps:
                report.steps.append(guest.step(step))
            report.taint_after = guest.taint()
        except GateError as error:
            report.error = error.message
        leaks, scanned = kmemleak.scan(guest) if guest.alive() else ([], False)
    report.findings = kmemleak.joined(guest.log.findings(), leaks, scanned)
    return report
