# SPDX-License-Identifier: BSD-3-Clause
"""One User-Mode Linux: the kernel is a program of this machine, so nothing is emulated.

Console, control channel and network are descriptors that it inherits; it mounts nothing and the
network is a namespace of our own (namespace.py).
"""

import os

from ..runner import engine
from . import namespace, qemu

GUEST = "10.0.2.15"    # as in guest/init.sh
CONTROL = "ttyS0"
APPEND = ("console=tty0 quiet loglevel=7 panic=-1 random.trust_cpu=on cryptomgr.notests "
          "init_on_alloc=0 con=null con0=null,fd:1 ssl=null nvme_conform.control=" + CONTROL)


def command_line(setup, control_fd, tap_fd):
    """command_line returns the kernel's argv. Nothing secret is in it."""
    argv = [setup.vmlinux, f"mem={setup.memory}M", f"initrd={setup.initrd}",
            f"uml_dir={setup.directory}", "umid=uml", *APPEND.split(), f"ssl0=fd:{control_fd}",
            f"vec0:transport=fd,fd={tap_fd},vec=0", *setup.append.split()]
    return engine.dying_with_us(argv, "KILL")


class Machine(qemu.Machine):
    """Machine is a running User-Mode Linux; its ports are reached at GUEST, as they are."""

    program = "User-Mode Linux"
    address = GUEST
    complaints = "uml.log"

    def way_in(self):
        """way_in enters the guest's network: that of the program, and of its user if we are not root."""
        user = "" if os.geteuid() == 0 else "--user --preserve-credentials "
        return f"nsenter --target {self.pid} {user}--net "

    def _spawn(self, control_end):
        namespace.enter()
        tap = namespace.open_tap()
        try:
            argv = command_line(self.setup, control_end.fileno(), tap)
            with open(self._path("serial.log"), "ab") as console, \
                    open(self._path(self.complaints), "wb") as log:
                self._popen(argv, console, log, [control_end.fileno(), tap])
        finally:
            os.close(tap)
        return {port: port for port in self.setup.forwards}
