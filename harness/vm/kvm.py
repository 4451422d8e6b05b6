# SPDX-License-Identifier: BSD-3-Clause
"""Whether KVM works, found out by running a guest: /dev/kvm can open and guests still die."""

import json
import os
import tempfile
import time

from . import initramfs, qemu
from .errors import GateError

PROBE_SECONDS = 15
DEVICE = "/dev/kvm"


def _boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def _try(kernel, program_archive):
    """_try boots the kernel as far as init and returns (worked, explanation)."""
    with tempfile.TemporaryDirectory(prefix="nvme-conform-kvm-") as directory:
        initrd = os.path.join(directory, "initrd")
        initramfs.write(initrd, program_archive, kernel, {})
        machine = qemu.Machine(qemu.Setup(kernel.vmlinux, initrd, directory, accel="kvm",
                                          append="nvme_conform.probe=1"))
        start = time.monotonic()
        try:
            machine.start()
            machine.wait_ready("PROBED", PROBE_SECONDS)
        except GateError as error:
            return False, "a probe guest under KVM failed: " + error.message.split(";")[0]
        finally:
            machine.stop()
    return True, f"a probe guest under KVM ran ({time.monotonic() - start:.1f} s)"


def choose(cache, kernel, program_archive, wish="auto"):
    """choose returns ("kvm" or "tcg", why). The probe's answer is kept until the next boot."""
    if wish != "auto":
        return wish, "as asked for"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg", f"{DEVICE} cannot be opened"
    path = cache.path("kvm.json")
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        if known["boot_id"] == _boot_id():
            return known["accel"], known["why"]
    except (OSError, ValueError, KeyError):
        pass
    worked, why = _try(kernel, program_archive)
    known = {"boot_id": _boot_id(), "accel": "kvm" if worked else "tcg", "why": why}
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(path + ".new", path)
    return known["accel"], why
