# SPDX-License-Identifier: BSD-3-Clause
"""One QEMU process: started with free loopback ports, watched, and gone when we are."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass, field

from ..runner import engine
from . import control, fetch, klog
from .errors import EXIT_CANNOT_JUDGE, EXIT_TOOL, GateError

QEMU = "qemu-system-x86_64"
QBOOT = "/usr/share/qemu/qboot.rom"
GUEST_HOST = "10.0.2.100"    # what the guest calls the machine outside, where relays exist
# rodata=off, nopti and mitigations=off save seconds under emulation and do not touch nvmet.
APPEND = ("console=ttyS0 quiet loglevel=7 panic=-1 random.trust_cpu=on no_timer_check nokaslr "
          "mitigations=off cryptomgr.notests audit=0 apparmor=0 rodata=off nopti nowatchdog "
          "init_on_alloc=0")
# All that QEMU can emulate (AES above all), without the fifth level of page tables, which every miss would pay for.
EMULATED = "max,-la57"
START_ATTEMPTS = 5
LOOPBACK_SECONDS = 5
BOOT_SECONDS = 120
MEMORY_MIB = 384

_running = weakref.WeakSet()


@atexit.register
def _stop_all():
    for machine in list(_running):
        machine.stop()


def free_ports(count):
    """free_ports returns loopback ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def need_loopback():
    """need_loopback raises GateError where 127.0.0.1 cannot be reached: in a network namespace whose lo nobody switched on."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), LOOPBACK_SECONDS):
            pass
    except OSError as error:
        raise GateError(f"127.0.0.1, where guests are reached, is not there ({error.strerror or error}); ip link set lo up") from None


@dataclass
class Setup:
    """Setup is what to boot. forwards: guest ports to reach from here; relays: {guest's view of a
    port of GUEST_HOST: loopback port here}, the only thing that the guest can reach."""
    vmlinux: str
    initrd: str
    directory: str
    accel: str = "tcg"
    memory: int = MEMORY_MIB
    append: str = ""
    forwards: tuple = ()
    relays: dict = field(default_factory=dict)
    lock_debugging: bool = False


def _network(setup, ports):
    """_network returns QEMU's words for the guest's network; without forwards and relays there is none."""
    if not setup.forwards and not setup.relays:
        return ["-nic", "none"]
    parts = ["user,id=n0,restrict=on,ipv6=off"]
    parts += [f"hostfwd=tcp:127.0.0.1:{ours}-:{theirs}"
              for ours, theirs in zip(ports, setup.forwards)]
    relay = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
    for theirs, ours in setup.relays.items():
        command = f"{sys.executable} -S {relay} {ours}".replace(",", ",,")
        parts.append(f"guestfwd=tcp:{GUEST_HOST}:{theirs}-cmd:{command}")
    return ["-netdev", ",".join(parts), "-device", "virtio-net-pci,netdev=n0"]


def command_line(setup, ports, control_fd):
    """command_line returns QEMU's argv. Nothing secret is in it."""
    accel = "kvm" if setup.accel == "kvm" else "tcg,thread=multi"
    argv = [fetch.need_program(QEMU, "qemu-system-x86"), "-nodefaults", "-no-user-config",
            "-display", "none", "-accel", accel, "-M", "q35",
            "-cpu", "host" if setup.accel == "kvm" else EMULATED,
            "-m", str(setup.memory), "-smp", "1", "-kernel", setup.vmlinux, "-initrd", setup.initrd,
            "-append", f"{APPEND} {setup.append}".strip(),
            "-serial", "file:" + os.path.join(setup.directory, "serial.log"),
            "-chardev", f"socket,id=control,fd={control_fd}", "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=control,name=control",
            *_network(setup, ports), "-no-reboot"]
    if os.path.exists(QBOOT):
        argv += ["-bios", QBOOT]
    return engine.dying_with_us(argv, "KILL")


class Machine:
    """Machine is a running guest; stop() ends it and may be called at any time, repeatedly.

    address is where its ports are reached.
    """

    program = "QEMU"
    address = "127.0.0.1"
    complaints = "qemu.log"

    def __init__(self, setup):
        self.setup = setup
        self.ports = {}
        self.log = None
        self.control = None
        self._process = None

    def _path(self, name):
        return os.path.join(self.setup.directory, name)

    def way_in(self):
        """way_in returns what stands before a command that is to reach the guest."""
        return ""

    def _spawn(self, control_end):
        """_spawn starts the program and returns {guest's port: port at self.address}."""
        need_loopback()
        ports = free_ports(len(self.setup.forwards))
        argv = command_line(self.setup, ports, control_end.fileno())
        with open(self._path("qemu.log"), "wb") as log:
            self._popen(argv, log, log, [control_end.fileno()])
        return dict(zip(self.setup.forwards, ports))

    def _popen(self, argv, output, errors, inherited):
        with open(self._path("guest.argv"), "w", encoding="utf-8") as file:
            file.write("\n".join(argv) + "\n")
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                                         stderr=errors, pass_fds=inherited, start_new_session=True)

    def start(self):
        """start runs QEMU with ports of its own; when somebody else was faster it tries others."""
        for _ in range(START_ATTEMPTS):
            if self._try_start():
                return self
        raise GateError(f"{self.program} cannot start: {self._complaint()}")

    def _try_start(self):
        with open(self._path("serial.log"), "wb"):
            pass
        ours, theirs = socket.socketpair()
        with theirs:
            self.ports = self._spawn(theirs)
        _running.add(self)
        self.control = control.Control(ours)
        self.log = klog.SerialLog(self._path("serial.log"))
        # QEMU opens its ports before the guest's first instruction; it dies at once or not at all.
        self.log.wait(lambda log: log.lines() or self._process.poll() is not None, 1.0)
        # Status 0 is a guest that reset itself at once; wait_ready() then says so.
        if self._process.poll() in (None, 0):
            return True
        self.stop()
        if "forwarding" in self._complaint() or "in use" in self._complaint():
            return False
        raise GateError(f"{self.program} cannot start: {self._complaint()}")

    def _complaint(self):
        try:
            with open(self._path(self.complaints), encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file if line.strip()]
        except OSError:
            lines = []
        return lines[-1] if lines else "no message"

    @property
    def pid(self):
        return self._process.pid if self._process else None

    def alive(self):
        return self._process is not None and self._process.poll() is None

    def death(self):
        """death says in a few words how the guest ended, None while it runs."""
        if self.alive():
            return None
        deadly = [line.text for line in self.log.lines() if klog.DEADLY.search(line.text)]
        if deadly:
            return "kernel panic: " + deadly[0].split("] ", 1)[-1]
        if errors := self.log.said("ERROR"):
            return errors[0]
        code = self._process.returncode if self._process else None
        if code == 0:
            said = self.log.lines()
            return f"it reset itself after {said[-1].text if said else 'no word at all'!r}"
        return f"{self.program} ended with status {code} ({self._complaint()})"

    def wait_ready(self, word="READY", seconds=BOOT_SECONDS):
        """wait_ready returns what the guest said after word; a dead or silent guest is an error."""
        self.log.wait(lambda log: log.said(word) or log.said("ERROR") or not self.alive(), seconds)
        if said := self.log.said(word):
            return said[0]
        where = f"see {self._path('serial.log')}"
        if errors := self.log.said("ERROR"):
            # tlshd is what we brought along; everything else that init gives up for is the kernel's.
            raise GateError(f"the guest gave up: {errors[0]}; {where}",
                            EXIT_TOOL if errors[0].startswith("tlshd") else EXIT_CANNOT_JUDGE)
        if not self.alive():
            time.sleep(2 * klog.POLL_SECONDS)
            death = self.death()
            raise GateError(f"the guest died at boot: {death}{self._memory_hint(death)}; {where}", EXIT_CANNOT_JUDGE)
        last = self.log.lines()[-1:]
        raise GateError(f"the guest was not ready in {seconds:.0f} s (last line: "
                        f"{last[0].text if last else 'none'}); {where}", EXIT_CANNOT_JUDGE)

    def _memory_hint(self, death):
        """_memory_hint returns what to do where too little memory is what a guest died of, or may be."""
        short = self.setup.memory < MEMORY_MIB or "on memory" in death or "Out of memory" in death
        return f" (it had {self.setup.memory} MiB; give it more with --memory)" if short else ""

    def stop(self):
        """stop ends the guest and leaves the log complete."""
        _running.discard(self)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self.log is not None:
            self.log.stop()
        if self.control is not None:
            self.control.close()
