#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Joins one connection of the guest, given by QEMU as standard input, to a loopback port here.

QEMU starts one of these for each connection (guestfwd ... cmd:). The end of either direction is
passed on by itself, because how a connection ends is part of what is judged.
"""

import selectors
import socket
import sys

CONNECT_SECONDS = 10
CHUNK = 65536


def join(one, other):
    """join copies both ways until both sides have ended; a reset of one side ends both."""
    peers = {one: other, other: one}
    with selectors.DefaultSelector() as selector:
        for each in peers:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                source = key.fileobj
                try:
                    data = source.recv(CHUNK)
                    if data:
                        peers[source].sendall(data)
                    else:
                        selector.unregister(source)
                        peers[source].shutdown(socket.SHUT_WR)
                except OSError:
                    return


def main():
    guest = socket.socket(fileno=0)
    try:
        target = socket.create_connection(("127.0.0.1", int(sys.argv[1])), CONNECT_SECONDS)
    except OSError:
        return 1
    target.settimeout(None)
    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    join(guest, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
