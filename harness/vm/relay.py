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
# A guest that is killed looks like one that has ended its direction. So this is how long a target
# may say nothing after that; without it a silent target would keep this process for ever.
SILENCE_SECONDS = 10
CHUNK = 65536


def join(guest, target, silence_seconds=SILENCE_SECONDS):
    """join copies both ways until both sides have ended; a reset of one side ends both."""
    peers = {guest: target, target: guest}
    with selectors.DefaultSelector() as selector:
        for each in peers:
            selector.register(each, selectors.EVENT_READ)
        while open_sides := [key.fileobj for key in selector.get_map().values()]:
            ready = selector.select(None if guest in open_sides else silence_seconds)
            if not ready:
                return
            for key, _ in ready:
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
