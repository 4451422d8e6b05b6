# SPDX-License-Identifier: BSD-3-Clause
"""A virtio port: shell scripts into the guest, exit status and output back.

One line each way (see obey() in guest/init.sh); nothing here goes through the network under test.
Not a second UART: with both cores busy QEMU's loses octets in either direction (seen).
"""

import base64
import socket
import time
from dataclasses import dataclass

from .errors import EXIT_CANNOT_JUDGE, GateError

TIMED_OUT = (124, 137, 143)    # what the guest's timeout(1) makes of a script it had to end
GRACE_SECONDS = 20


@dataclass(frozen=True)
class StepResult:
    """StepResult is the outcome of one script in the guest; output holds both of its streams."""
    name: str
    status: int
    output: str
    seconds: float

    @property
    def timed_out(self):
        return self.status in TIMED_OUT


class Control:
    """Control owns the host's end of the port."""

    def __init__(self, connection):
        self._socket = connection
        self._number = 0
        self._received = b""

    def close(self):
        self._socket.close()

    def _line(self, deadline, name):
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise GateError(f"the guest did not finish step {name!r} in time; it hangs",
                                EXIT_CANNOT_JUDGE)
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                data = b""
            if not data:
                raise GateError(f"the guest died during step {name!r}", EXIT_CANNOT_JUDGE)
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        return line.split()

    def run(self, script, name="step", seconds=30):
        """run gives script to the guest's shell, bounded by seconds, and returns a StepResult."""
        self._number += 1
        start = time.monotonic()
        line = f"{self._number} {int(seconds) or 1} {base64.b64encode(script.encode()).decode()}\n"
        deadline = start + seconds + GRACE_SECONDS
        self._socket.settimeout(deadline - start)
        try:
            self._socket.sendall(line.encode())
        except OSError as error:
            raise GateError(f"the guest died before step {name!r}", EXIT_CANNOT_JUDGE) from error
        while True:
            words = self._line(deadline, name)
            if words and words[0] == str(self._number).encode():
                break
        try:
            output = base64.b64decode(words[2]).decode(errors="replace") if len(words) > 2 else ""
            return StepResult(name, int(words[1]), output, time.monotonic() - start)
        except (ValueError, IndexError) as error:
            raise GateError(f"the guest answered step {name!r} with garbage",
                            EXIT_CANNOT_JUDGE) from error
