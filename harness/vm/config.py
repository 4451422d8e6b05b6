# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel's configuration must have before it is worth booting."""

import re
import zlib

from .errors import EXIT_CANNOT_JUDGE, GateError

# Judged as a target; =m counts, the module is loaded.
TARGET = ("NVME_TARGET", "NVME_TARGET_TCP", "NVME_TARGET_TCP_TLS", "NVME_TARGET_AUTH",
          "CONFIGFS_FS", "TLS", "NET_HANDSHAKE", "KEYS", "CRYPTO_GCM", "CRYPTO_DH",
          "CRYPTO_DH_RFC7919_GROUPS")
HOST = ("NVME_TCP", "NVME_TCP_TLS", "NVME_HOST_AUTH")
# What the guest itself stands on; all but the drivers must be built in.
GUEST = ("VIRTIO_NET", "VIRTIO_CONSOLE", "VIRTIO_PCI", "PCI", "INET", "UNIX")
GUEST_BUILT_IN = ("64BIT", "PVH", "SERIAL_8250_CONSOLE", "BLK_DEV_INITRD", "DEVTMPFS", "TMPFS",
                  "PROC_FS", "SYSFS", "BINFMT_ELF", "BINFMT_SCRIPT", "MULTIUSER", "FUTEX", "EPOLL",
                  "PRINTK")
FLAVOUR = ("KASAN", "PROVE_LOCKING", "DEBUG_KMEMLEAK", "UBSAN", "INIT_ON_ALLOC_DEFAULT_ON",
           "MODULE_SIG", "DYNAMIC_DEBUG", "DEBUG_FS", "PREEMPT_RT")
INTERESTING = frozenset(TARGET + HOST + GUEST + GUEST_BUILT_IN + FLAVOUR)


def parse(text):
    """parse returns {option without CONFIG_: value} of a .config; options not set are absent."""
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M))


def embedded(vmlinux):
    """embedded returns the configuration inside an image built with CONFIG_IKCONFIG, or None."""
    start = vmlinux.find(b"IKCFG_ST\x1f\x8b")
    if start < 0:
        return None
    try:
        return zlib.decompressobj(31).decompress(vmlinux[start + 8:]).decode(errors="replace")
    except zlib.error:
        return None


def missing(options, host=False):
    """missing lists every option that is needed and not there, all at once."""
    lacking = [name for name in TARGET + GUEST + (HOST if host else ())
               if options.get(name) not in ("y", "m")]
    return lacking + [name + "=y" for name in GUEST_BUILT_IN if options.get(name) != "y"]


def check(options, release, host=False):
    """check raises GateError naming all that is missing from the kernel's configuration."""
    lacking = missing(options, host)
    if lacking:
        raise GateError(f"kernel {release} was built without "
                        f"{', '.join('CONFIG_' + name for name in lacking)}", EXIT_CANNOT_JUDGE)
