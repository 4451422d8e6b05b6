# SPDX-License-Identifier: BSD-3-Clause
"""A network of this process's own, for a guest that is a program: nobody outside can reach it.

User-Mode Linux has no user network like QEMU's. So this process moves into a new network namespace
(without root into a user namespace too, where it may), and the guest, the suite and whatever else
it starts afterwards live there. The way back is closed: fetch what is needed first.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct

from .errors import GateError

OURS, NETMASK = "10.0.2.2", "255.255.255.0"
TUN = "/dev/net/tun"
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _IFF_UP = 0x8914, 0x8916, 0x891c, 0x1
_HINT = "as root, or where the system allows user namespaces (sysctl user.max_user_namespaces)"

_entered = False


def _unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        why = "it has threads" if number == errno.EINVAL else os.strerror(number)
        raise GateError(f"this process cannot get a network namespace of its own ({why}); "
                        f"run --uml {_HINT}")


def _map_ids(uid, gid):
    """_map_ids keeps our user and group as they are; nobody else exists in the namespace."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                       ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _interface(name, address=None, netmask=None):
    """_interface gives a network interface an address and switches it on."""
    padded = name.encode().ljust(16, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, netmask)):
            if value:
                where = struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, padded + where)
        fcntl.ioctl(control, _SIOCSIFFLAGS, padded + struct.pack("<H14x", _IFF_UP))


def enter():
    """enter moves this process, which must have one thread, into a network of its own, once."""
    global _entered    # pylint: disable=global-statement
    if _entered:
        return
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNET | (_CLONE_NEWUSER if uid else 0))
        _entered = True
        if uid:
            _map_ids(uid, gid)
        _interface("lo")
    except OSError as error:
        raise GateError(f"cannot set up a network namespace ({error}); run --uml {_HINT}") from error


def open_tap():
    """open_tap returns the descriptor of a new Ethernet device of this namespace, with address OURS.

    The device lives as long as its descriptor, so only one may be open at a time.
    """
    try:
        handle = os.open(TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise GateError(f"{TUN}: {error.strerror}; --uml needs it (modprobe tun)") from error
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("<16sH22x", b"guest0", _IFF_TAP | _IFF_NO_PI))
        _interface("guest0", OURS, NETMASK)
    except OSError as error:
        os.close(handle)
        raise GateError(f"cannot make a network device for the guest ({error})") from error
    return handle
