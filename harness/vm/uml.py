# SPDX-License-Identifier: BSD-3-Clause
"""One User-Mode Linux: the kernel is a program of this machine, so nothing is emulated.

Console, control channel and network are descriptors that it inherits; it mounts nothing and the
network is a namespace of our own (namespace.py).
"""

import os
import socket
import subprocess
import sys

from ..runner import engine
from . import namespace, qemu

GUEST = "10.0.2.15"    # as in guest/init.sh
CONTROL = "ttyS0"
FRAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "frames.py")
APPEND = ("console=tty0 quiet loglevel=7 panic=-1 random.trust_cpu=on cryptomgr.notests "
          "init_on_alloc=0 con=null con0=null,fd:1 ssl=null nvme_conform.control=" + CONTROL)


def command_line(setup, control_fd, network_fd):
    """command_line returns the kernel's argv; network_fd is a TAP device, with lock debugging a socket (frames.py). Nothing
    secret is in it."""
    network = f"vec0:transport=fd,fd={network_fd}" + ("" if setup.lock_debugging else ",vec=0")
    argv = [setup.vmlinux, f"mem={setup.memory}M", f"initrd={setup.initrd}",
            f"uml_dir={setup.directory}", "umid=uml", *APPEND.split(), f"ssl0=fd:{control_fd}",
            network, *setup.append.split()]
    return engine.dying_with_us(argv, "KILL")


class Machine(qemu.Machine):
    """Machine is a running User-Mode Linux; its ports are reached at GUEST, as they are."""

    program = "User-Mode Linux"
    address = GUEST
    complaints = "uml.log"
    _frames = None

    def way_in(self):
        """way_in enters the guest's network: that of the program, and of its user if we are not root."""
        user = "" if os.geteuid() == 0 else "--user --preserve-credentials "
        return f"nsenter --target {self.pid} {user}--net "

    def _spawn(self, control_end):
        namespace.enter()
        network = namespace.open_tap()
        if self.setup.lock_debugging:
            network = self._through_a_socket(network)
        try:
            argv = command_line(self.setup, control_end.fileno(), network)
            with open(self._path("serial.log"), "ab") as console, \
                    open(self._path(self.complaints), "wb") as log:
                self._popen(argv, console, log, [control_end.fileno(), network])
        finally:
            os.close(network)
        return {port: port for port in self.setup.forwards}

    def _through_a_socket(self, tap):
        """_through_a_socket takes the TAP device over and returns a socket's descriptor that stands for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            fds = [tap, ours.fileno()]
            argv = [sys.executable, "-S", FRAMES, *map(str, fds)]
            self._frames = subprocess.Popen(engine.dying_with_us(argv, "KILL"), pass_fds=fds, stdin=subprocess.DEVNULL)
        os.close(tap)
        return theirs.detach()

    def stop(self):
        """stop ends the guest, and what carried its frames."""
        super().stop()
        if self._frames is not None:
            self._frames.kill()
            self._frames.wait()
            self._frames = None
