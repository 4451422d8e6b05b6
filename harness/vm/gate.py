# SPDX-License-Identifier: BSD-3-Clause
"""A Linux kernel as the target under test: from a version to a guest with open ports.

    request = Request(kernel="7.3.4")
    report = gate(request, lambda guest: run_the_suite(guest.profile_path))

gate() fetches and builds what is missing, boots the guest, calls the runner with it, and adds what
the kernel said meanwhile. Guest alone is for callers that want to do more with a running guest.
"""

import contextlib
import functools
import json
import operator
import os
import secrets
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace

from . import cache as cache_module
from . import fetch, initramfs, kmemleak, kvm, modules, nvmet, profile, qemu, uml
from . import kernel as kernel_module
from .errors import EXIT_CANNOT_JUDGE, EXIT_USAGE, GateError

ICREQ_SECONDS = 20
# A task that waits that long without a word hangs; the kernel's own two minutes are longer than most runs.
HUNG_TASK_SECONDS = 20
SLOW_HUNG_TASK_SECONDS = 60    # with KASAN or lockdep
KASAN_MIB = 1024    # its shadow takes an eighth, what it holds back from reuse a quarter
GUEST_MIB = 384     # page cache and suite, beside the memory of one guest
_ICREQ = struct.pack("<BBBBI", 0, 0, 128, 0, 128) + bytes(120)
_ICRESP_TYPE = 1


@dataclass
class Request:
    """Request says which kernel (exactly one of kernel, debs, image, tree, uml) and how to treat it."""
    kernel: str = None
    debs: tuple = ()
    image: str = None
    tree: str = None
    uml: str = None
    modules: str = None
    config: str = None
    cache: str = None
    mirror: str = None
    offline: bool = False
    accel: str = "auto"
    directory: str = None
    seed: bytes = None
    memory: int = qemu.MEMORY_MIB
    append: str = ""
    boot_seconds: float = qemu.BOOT_SECONDS
    earlier: str = None    # the directory of a run that is repeated
    leaks: bool = True    # ask kmemleak at the end, where the kernel has it
    guests: int = 1    # equal ones, that share the cases out; None: as many as there is room for, 1 or 2


@dataclass
class Prepared:
    """Prepared is everything on disk that a boot needs."""
    request: Request
    cache: cache_module.Cache
    kernel: kernel_module.Kernel
    program_archive: str
    program_packages: list
    accel: str
    accel_reason: str


def _need_one_kernel(request):
    named = (request.kernel, request.debs, request.image, request.tree, request.uml)
    if sum(map(bool, named)) != 1:
        raise GateError("name one kernel: --kernel VERSION, --deb FILE..., --image FILE, --tree DIR or "
                        "--uml FILE", EXIT_USAGE)


def _kernel(request, apt):
    if request.kernel:
        return kernel_module.from_version(apt, request.kernel)
    if request.debs:
        return kernel_module.from_debs(apt.cache, request.debs)
    if request.tree:
        return kernel_module.from_tree(apt.cache, request.tree)
    return kernel_module.from_image(apt.cache, request.image or request.uml, request.modules,
                                    request.config, bool(request.uml))


def _changed(directory, entries):
    """_changed names those of the entries that the run in directory had otherwise, or not at all; a run that left no list names none."""
    try:
        with open(os.path.join(directory, "guest", "versions.json"), encoding="utf-8") as file:
            facts = json.load(file)
        recorded = {entry["sha256"] for entry in [*facts["kernel_files"], *facts["guest_packages"]]}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [os.path.basename(entry["file"]) for entry in entries if entry["sha256"] not in recorded]


def prepare(request, *programs):
    """prepare fetches, unpacks and builds for the first of the sets of programs, by default those of a target, and fetches the
    others; with everything in the cache it needs no network."""
    _need_one_kernel(request)
    if not (request.uml or request.tree):
        fetch.need_program(qemu.QEMU, "qemu-system-x86")
    cache = cache_module.Cache(request.cache)
    apt = fetch.Apt(cache, request.mirror, request.offline)
    kernel = _kernel(request, apt)
    if not kernel.config:
        print(f"nvme-conform gate: {kernel.release}: its configuration is not known: missing options show only at boot; give "
              f"{'the package that has it too' if request.debs else '--config FILE'}", file=sys.stderr)
    (archive, packages), *_ = [initramfs.programs(apt, wanted) for wanted in programs or (initramfs.TARGET_PROGRAMS,)]
    if request.earlier and (changed := _changed(request.earlier, [*kernel.provenance, *packages])):
        print(f"nvme-conform gate: --rerun {request.earlier}: not the files of that run, by their SHA-256: {', '.join(changed)}",
              file=sys.stderr)
    if kernel.uml:
        return Prepared(request, cache, kernel, archive, packages, "uml", "nothing is emulated")
    fetch.need_program(qemu.QEMU, "qemu-system-x86")
    accel, why = kvm.choose(cache, kernel, archive, request.accel)
    return Prepared(request, cache, kernel, archive, packages, accel, why)


def icreq(port, seconds=ICREQ_SECONDS, address=qemu.Machine.address):
    """icreq sends ICReq to a guest's port at once and tells whether ICResp came.

    Never a bare connection: one that stays silent blocks a port that serves TLS and clear text.
    """
    try:
        with socket.create_connection((address, port), seconds) as connection:
            connection.settimeout(seconds)
            connection.sendall(_ICREQ)
            answer = connection.recv(128)
            return bool(answer) and answer[0] == _ICRESP_TYPE
    except OSError:
        return False


def _has_kasan(kernel):
    return kernel.config.get("KASAN") == "y"


def _memory(prepared):
    return max(prepared.request.memory, KASAN_MIB if _has_kasan(prepared.kernel) else 0)


def free_mib():
    """free_mib returns how much memory of this machine is free, in MiB."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def num_guests(prepared):
    """num_guests returns how many guests a run gets: what was asked for, else 2 where each has a core and memory of its own."""
    asked = prepared.request.guests
    if asked is not None and (asked == 1 or not prepared.kernel.uml):
        return asked
    if prepared.kernel.uml:
        if asked:
            raise GateError("--guests: a User-Mode Linux is alone in its network; leave it out", EXIT_USAGE)
        return 1
    room = free_mib() // (_memory(prepared) + GUEST_MIB)
    return 2 if len(os.sched_getaffinity(0)) >= 2 and room >= 2 else 1


class GuestBase:
    """GuestBase is a booted guest with a run directory; used as a context manager."""

    skip_modules = ()

    def __init__(self, prepared, forwards=(), relays=None, twin=0):
        self.prepared = prepared
        self.kernel = prepared.kernel
        self.twin = twin
        chosen = prepared.request.directory
        self.directory = (f"{chosen}-{twin + 1}" if twin else chosen) if chosen else tempfile.mkdtemp(prefix="nvme-conform-")
        self._forwards = forwards
        self._relays = relays or {}
        self.machine = None
        self.timings = {}

    def files(self):
        """files returns {name below /conf: contents} for this run."""
        return {}

    def conf(self):
        """conf returns files() and what is in /conf of every guest."""
        slow = _has_kasan(self.kernel) or self.kernel.config.get("PROVE_LOCKING") == "y"
        return {**self.files(), "hung_task_seconds": str(SLOW_HUNG_TASK_SECONDS if slow else HUNG_TASK_SECONDS)}

    def more(self):
        """more returns one further archive for the guest's root, empty for none."""
        return b""

    def ready(self):
        """ready is called once the guest has said that it is."""

    def __enter__(self):
        try:
            if self.machine is None:
                self.start()
            self._wait()
            self.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """start lets the machine boot, so that several may at the same time; the with statement waits until it has. Ended by stop()."""
        if self.kernel.uml and (self._relays or not self._forwards):
            raise GateError("a User-Mode Linux is judged as a target from outside; --host and --console need "
                            "another kernel", EXIT_USAGE)
        try:
            os.makedirs(self.directory, exist_ok=True)
            initrd = os.path.join(self.directory, "initrd")
            initramfs.write(initrd, self.prepared.program_archive, self.kernel, self.conf(),
                            self.skip_modules, self.more())
        except OSError as error:
            raise GateError(f"cannot write {self.directory}: {error.strerror}") from error
        self._record()
        append = self.prepared.request.append
        if self.kernel.enforce_signatures:
            append += " module.sig_enforce=1"
        if _has_kasan(self.kernel):
            append += " kasan_multi_shot"    # it is silent after its first report otherwise
        self._started = time.monotonic()
        self.machine = (uml.Machine if self.kernel.uml else qemu.Machine)(qemu.Setup(
            self.kernel.vmlinux, initrd, self.directory, accel=self.prepared.accel,
            memory=_memory(self.prepared), append=append, forwards=self._forwards,
            relays=self._relays, lock_debugging=self.kernel.config.get("PROVE_LOCKING") == "y"))
        self.machine.start()

    def _wait(self):
        said = self.machine.wait_ready(seconds=self.prepared.request.boot_seconds).split()
        self.timings["boot"] = time.monotonic() - self._started
        self.taint_at_boot = int(said[2]) if len(said) > 2 else None
        # The guest has it in memory, and it holds this run's secrets.
        os.unlink(os.path.join(self.directory, "initrd"))

    def _record(self):
        """_record notes where everything in the guest came from."""
        facts = {"kernel": self.kernel.release, "config": self.kernel.config,
                 "accel": self.prepared.accel, "accel_reason": self.prepared.accel_reason,
                 "kernel_files": self.kernel.provenance,
                 "guest_packages": self.prepared.program_packages}
        with open(os.path.join(self.directory, "versions.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
            file.write("\n")

    @property
    def log(self):
        return self.machine.log

    def run(self, script, name="step", seconds=30):
        """run executes a shell script in the guest, beside the network; see control.StepResult."""
        return self.machine.control.run(script, name, seconds)

    def taint(self):
        """taint returns the kernel's taint flags, None when the guest no longer answers."""
        try:
            return int(self.run("cat /proc/sys/kernel/tainted", "taint", 10).output)
        except (GateError, ValueError):
            return None

    def tlshd_alive(self):
        """tlshd_alive tells whether the guest's TLS daemon runs, None when the guest is lost."""
        try:
            return self.run("ps | grep -q '[t]lshd -s'", "tlshd", 10).status == 0
        except GateError:
            return None

    def alive(self):
        return self.machine is not None and self.machine.alive()

    def stop(self):
        if self.machine is not None:
            self.machine.stop()
        # Only there when the boot failed; it holds this run's secrets.
        try:
            os.unlink(os.path.join(self.directory, "initrd"))
        except OSError:
            pass


class Guest(GuestBase):
    """Guest is Linux's nvmet, configured for every identity of a profile.

    profile_path is the profile as a file; ports maps "concat", "tls", "plain" to loopback ports.
    """

    skip_modules = modules.HOST_ONLY

    def __init__(self, prepared, twin=0):
        super().__init__(prepared, tuple(port for port, _, _ in nvmet.PORTS.values()), twin=twin)
        self.profile = profile.make(prepared.request.seed or secrets.token_bytes(32))
        self.profile_path = os.path.join(self.directory, "profile.json")
        self.ports = {}

    def files(self):
        return nvmet.guest_files(self.profile)

    def ready(self):
        self.ports = {name: self.machine.ports[port]
                      for name, (port, _, _) in nvmet.PORTS.items()}
        rejected = {words.split()[0] for words in self.log.said("REJECTED")}
        if fatal := rejected & {"subsystem", *("port-" + name for name in nvmet.PORTS)}:
            raise GateError(f"nvmet of {self.kernel.release} refuses its configuration: "
                            f"{', '.join(self.log.said('REJECTED'))} ({len(fatal)})",
                            EXIT_CANNOT_JUDGE)
        profile.without(self.profile, rejected)
        self.profile["addr"] = self.machine.address
        self.profile["ports"] = self.ports
        self.profile["target"] = {"kind": "linux-nvmet", "release": self.kernel.release}
        profile.write(self.profile, self.profile_path)
        for name in ("plain", "concat"):
            if not icreq(self.ports[name], address=self.machine.address):
                raise GateError(f"the guest is up but port {name} ({self.ports[name]}) does not "
                                f"answer ICReq; see {self.log.path}", EXIT_CANNOT_JUDGE)


@dataclass
class Report:
    """Report is what a gate found: the runner's own result and the kernel's own voice."""
    release: str
    accel: str
    accel_reason: str
    directory: str
    result: object = None
    findings: list = field(default_factory=list)
    taint_before: int = None
    taint_after: int = None
    death: str = None
    tlshd_alive: bool = True
    timings: dict = field(default_factory=dict)
    started: float = 0.0
    lines: list = field(default_factory=list)

    @property
    def kernel_silent(self):
        """kernel_silent tells that the kernel lived, reported nothing and got no new taint."""
        return not self.findings and self.death is None and self.taint_before == self.taint_after


@dataclass
class _End:
    """_End is how one guest came out of a run; until is when the runner was done with it."""
    guest: Guest
    taint: int
    tlshd_alive: bool
    death: str
    until: float
    leaks: list = field(default_factory=list)
    scanned: bool = False

    def findings(self):
        """findings returns what its kernel complained about, and lost."""
        return kmemleak.joined(self.guest.log.findings(end=self.until), self.leaks, self.scanned)


def _end_of(guest):
    leaks, scanned = kmemleak.scan(guest) if guest.prepared.request.leaks and guest.alive() else ([], False)
    taint, tlshd_alive, death = guest.taint(), guest.tlshd_alive(), guest.machine.death()
    if death and guest.twin:
        death = f"{death} ({os.path.basename(guest.directory)})"
    # How User-Mode Linux ends when it is told to is no doing of a case.
    until = guest.log.settled() if guest.kernel.uml and not death else float("inf")
    return _End(guest, taint, tlshd_alive, death, until, leaks, scanned)


def _joined(report, ends):
    """_joined adds to the report what the kernels of all guests said, and how each ended: one that fares badly counts for all."""
    before = [end.guest.taint_at_boot for end in ends]
    after = [end.taint for end in ends]
    alive = [end.tlshd_alive for end in ends]
    # A flag that one guest had at boot may be new on another.
    report.taint_before = None if None in before else functools.reduce(operator.and_, before)
    report.taint_after = None if None in after else functools.reduce(operator.or_, after)
    report.tlshd_alive = False if False in alive else None if None in alive else True
    report.death = "; ".join(end.death for end in ends if end.death) or None
    report.findings = [replace(found, twin=end.guest.twin) for end in ends for found in end.findings()]
    report.lines = [replace(line, twin=end.guest.twin) for end in ends for line in end.guest.log.lines()]
    report.timings["boot"] = max(end.guest.timings["boot"] for end in ends)


def gate(request, runner):
    """gate boots the requested kernel, calls runner(guest, ...) with each of its guests and returns a Report."""
    start = time.monotonic()
    prepared = prepare(replace(request, seed=request.seed or secrets.token_bytes(32)))
    ready_to_boot = time.monotonic()
    guests = [Guest(prepared, twin) for twin in range(num_guests(prepared))]
    report = Report(prepared.kernel.release, prepared.accel, prepared.accel_reason, guests[0].directory)
    with contextlib.ExitStack() as stack:
        for guest in guests:
            stack.callback(guest.stop)
            guest.start()
        for guest in guests:
            stack.enter_context(guest)
        running = time.monotonic()
        report.result = runner(*guests)
        ended = time.monotonic()
        ends = [_end_of(guest) for guest in guests]
    report.started = running
    report.timings = {"prepare": ready_to_boot - start, "run": ended - running}
    _joined(report, ends)
    return report


def main(argv):
    """main runs `nvme-conform gate` and returns its exit status."""
    from . import command    # which imports this module
    return command.main(argv)
