# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel's configuration must have before it is worth booting."""

import re
import zlib
from dataclasses import dataclass

from .errors import EXIT_CANNOT_JUDGE, GateError

# Judged as a target; =m counts, the module is loaded.
TARGET = ("NVME_TARGET", "NVME_TARGET_TCP", "NVME_TARGET_TCP_TLS", "NVME_TARGET_AUTH",
          "CONFIGFS_FS", "TLS", "NET_HANDSHAKE", "KEYS", "CRYPTO_GCM", "CRYPTO_DH",
          "CRYPTO_DH_RFC7919_GROUPS")
HOST = ("NVME_TCP", "NVME_TCP_TLS", "NVME_HOST_AUTH")
# What the guest itself stands on; all but the drivers must be built in.
GUEST_BUILT_IN = ("64BIT", "BLK_DEV_INITRD", "TMPFS", "SHMEM", "PROC_FS", "SYSFS", "BINFMT_ELF",
                  "BINFMT_SCRIPT", "MULTIUSER", "FUTEX", "EPOLL", "EVENTFD", "SIGNALFD", "TIMERFD",
                  "POSIX_TIMERS", "FILE_LOCKING", "PRINTK")
FLAVOUR = ("KASAN", "PROVE_LOCKING", "DEBUG_KMEMLEAK", "UBSAN", "INIT_ON_ALLOC_DEFAULT_ON",
           "MODULE_SIG", "DYNAMIC_DEBUG", "DEBUG_FS", "PREEMPT_RT", "UML")


@dataclass(frozen=True)
class Machine:
    """Machine is what one kind of guest needs beside what all need: drivers, and what is built in."""
    drivers: tuple
    built_in: tuple


X86 = Machine(("VIRTIO_NET", "VIRTIO_CONSOLE", "VIRTIO_PCI", "PCI", "INET", "UNIX"),
              ("PVH", "SERIAL_8250_CONSOLE", "DEVTMPFS"))
UML = Machine(("INET", "UNIX"), ("UML_NET_VECTOR", "SSL", "NULL_CHAN", "DEVTMPFS"))
INTERESTING = frozenset(TARGET + HOST + GUEST_BUILT_IN + FLAVOUR + X86.drivers + X86.built_in
                        + UML.drivers + UML.built_in)

# For the fragment alone: the menus above those options, and what makes a kernel worth looking at.
# A kernel that has the options above has these or does not need them, so nothing checks them.
_MENUS = ("EXPERT", "NET", "NETDEVICES", "BLOCK", "TTY", "CRYPTO", "BUG", "SYSCTL", "FHANDLE",
          "PROC_SYSCTL", "VM_EVENT_COUNTERS", "SLUB_DEBUG", "AIO", "SYSVIPC", "ADVISE_SYSCALLS", "MEMBARRIER", "INOTIFY_USER", "UNIX98_PTYS", "PACKET",
          "KALLSYMS", "PRINTK_TIME", "HIGH_RES_TIMERS", "NO_HZ_IDLE", "DEBUG_FS", "DYNAMIC_DEBUG",
          "IKCONFIG", "IKCONFIG_PROC", "CRYPTO_CTR", "CRYPTO_AES", "CRYPTO_HMAC", "CRYPTO_SHA256",
          "CRYPTO_SHA512", "INIT_STACK_NONE", "NVME_TARGET_DEBUGFS", "NVME_TARGET_LOOP")
_MENUS_X86 = ("SMP", "HYPERVISOR_GUEST", "PARAVIRT", "KVM_GUEST", "ACPI", "PCI_MSI", "VIRTIO_MENU",
              "NET_CORE", "ETHERNET", "SERIAL_8250", "HW_RANDOM", "HW_RANDOM_VIRTIO")
_MENUS_UML = ("STDERR_CONSOLE", "HW_RANDOM", "UML_RANDOM")
_DEBUG = ("DEBUG_KERNEL", "DEBUG_INFO_NONE", "KASAN", "KASAN_GENERIC", "KASAN_VMALLOC",
          "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_KMEMLEAK", "UBSAN", "UBSAN_BOUNDS",
          "UBSAN_SHIFT", "DEBUG_LIST", "DEBUG_SG", "DETECT_HUNG_TASK", "SLUB_DEBUG", "STACKTRACE")
_DEBUG_VALUES = ("CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE=16000",
                 "# CONFIG_DEBUG_KMEMLEAK_DEFAULT_OFF is not set",
                 "# CONFIG_DEBUG_KMEMLEAK_AUTO_SCAN is not set")
FLAVOURS = {"x86": (X86, _MENUS_X86, ()), "debug": (X86, _MENUS_X86, _DEBUG),
            "uml": (UML, _MENUS_UML, ()), "uml-debug": (UML, _MENUS_UML, _DEBUG)}
_HEAD = """\
# What a kernel needs for `nvme-conform gate` ({flavour}). Everything is built in. Either
#   {arch}KCONFIG_ALLCONFIG=FILE make allnoconfig              # the least, boots fastest
#   {arch}scripts/kconfig/merge_config.sh .config FILE         # on top of a configuration of yours
"""


def fragment(flavour):
    """fragment returns the lines of a configuration that this gate can judge, for one of FLAVOURS."""
    machine, menus, more = FLAVOURS[flavour]
    names = [*_MENUS, *menus, *machine.built_in, *GUEST_BUILT_IN, *machine.drivers, *TARGET, *HOST,
             *more]
    arch = "ARCH=um " if machine is UML else ""
    lines = [f"CONFIG_{name}=y" for name in dict.fromkeys(names)]
    lines += _DEBUG_VALUES if more else ()
    return _HEAD.format(flavour=flavour, arch=arch) + "\n".join(lines) + "\n"


def dropped(flavour, options):
    """dropped lists what a kernel of a flavour is named after and what the gate needs, and make left out of its configuration."""
    return missing(options, host=True) + [name + "=y" for name in FLAVOURS[flavour][2] if options.get(name) != "y"]


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
    machine = UML if options.get("UML") == "y" else X86
    lacking = [name for name in TARGET + machine.drivers + (HOST if host else ())
               if options.get(name) not in ("y", "m")]
    return lacking + [name + "=y" for name in machine.built_in + GUEST_BUILT_IN
                      if options.get(name) != "y"]


def check(options, release, host=False):
    """check raises GateError naming all that is missing from the kernel's configuration."""
    lacking = missing(options, host)
    if lacking:
        raise GateError(f"kernel {release} was built without "
                        f"{', '.join('CONFIG_' + name for name in lacking)}; "
                        "gate --print-config prints what it needs", EXIT_CANNOT_JUDGE)
