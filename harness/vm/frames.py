# SPDX-License-Identifier: BSD-3-Clause
"""Ethernet frames between a TAP device and a socket: python3 frames.py TAP-FD SOCKET-FD, both inherited.

For a User-Mode Linux with lock debugging. Its network driver takes the locks of queues that it has only when it reads many
packets at once (arch/um/drivers/vector_kern.c: vector_reset_stats), which a TAP device cannot do and a socket can.
"""

import os
import selectors
import socket
import sys

LARGEST_FRAME = 65536


def pump(tap, connection):
    """pump passes whole frames on until the other end of the socket is closed. What does not fit anywhere is lost, as on a wire."""
    with selectors.DefaultSelector() as selector:
        selector.register(tap, selectors.EVENT_READ)
        selector.register(connection, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                try:
                    if key.fileobj is connection:
                        frame = connection.recv(LARGEST_FRAME)
                        if not frame:
                            return
                        os.write(tap, frame)
                    else:
                        connection.send(os.read(tap, LARGEST_FRAME))
                except (BlockingIOError, InterruptedError):
                    continue


def main(argv):
    """main pumps between the two descriptors and returns 0 when the guest is gone."""
    tap, connection = int(argv[0]), socket.socket(fileno=int(argv[1]))
    try:
        pump(tap, connection)
    except (ConnectionError, BrokenPipeError):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
