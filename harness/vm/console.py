# SPDX-License-Identifier: BSD-3-Clause
"""The gate without a network: the guest runs the suite itself, over loopback, and prints KTAP on its console.

For laboratories whose machines share nothing but a console (KernelCI, LAVA). The same image goes to
another engine with export(): everything of a run is in it, and its shell waits for the engine.
inside.py is the part that runs in the guest.
"""

import json
import os
import re
import shutil
import time

from ..runner import engine
from ..runner.errors import RunnerError
from . import cpio, elf, evidence, expectation, gate, initramfs, modules, nvmet, profile, qemu
from .errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED, GateError

MEMORY = 768          # the suite, Python and the unpacked image are all in the guest's memory
SUITE_SECONDS = 3600
POLL_SECONDS = 0.1
HARNESS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = "nvme-conform"
SHELL = "nvme_conform.shell=1"
# What begins the lines of a KTAP document, indented or not.
_KTAP = re.compile(r"\s*(KTAP version|1\.\.\d+$|ok \d|not ok \d|# )")


def _engine():
    """_engine returns the engine's bytes, refusing one that the guest could not load."""
    try:
        with open(engine.find(), "rb") as file:
            data = file.read()
    except RunnerError as error:
        raise GateError(error, error.exit_status) from None
    if not elf.is_elf(data) or elf.machine(data) != elf.EM_X86_64:
        raise GateError("the engine is not built for x86-64, which the guest is")
    known = {name for name in initramfs.SUITE_PROGRAMS.values() if ".so." in name}
    known |= {"libc.so.6", "libm.so.6", "libcrypto.so.3", "ld-linux-x86-64.so.2"}
    if odd := sorted(set(elf.needed(data)[1]) - known):
        raise GateError(f"the engine needs {', '.join(odd)}, which the guest does not have; build it "
                        "without sanitizers, against Debian's libraries")
    return data


def suite_archive(baseline):
    """suite_archive packs the engine, the runner and the baseline (None: none) as they are now."""
    archive = cpio.Archive()
    archive.file(f"{ROOT}/{engine.NAME}", _engine(), 0o755)
    archive.file(f"{ROOT}/harness/nvme-conform", _bytes(os.path.join(HARNESS, "nvme-conform")), 0o755)
    for package in ("runner", "vm"):
        directory = os.path.join(HARNESS, package)
        for name in sorted(os.listdir(directory)):
            if name.endswith((".py", ".json")):
                archive.file(f"{ROOT}/harness/{package}/{name}", _bytes(os.path.join(directory, name)))
    if baseline:
        archive.file(f"{ROOT}/baseline.toml", _bytes(baseline))
    return archive.finish()


def _bytes(path):
    with open(path, "rb") as file:
        return file.read()


class ConsoleGuest(gate.GuestBase):
    """ConsoleGuest is Linux's nvmet with the suite beside it, and no network device at all."""

    skip_modules = modules.HOST_ONLY

    def __init__(self, prepared, options, baseline):
        super().__init__(prepared)
        self._options = options
        self._baseline = baseline
        self.profile = profile.make(prepared.request.seed or os.urandom(32))
        self.profile["addr"] = "127.0.0.1"
        self.profile["ports"] = {name: port for name, (port, _, _) in nvmet.PORTS.items()}
        self.profile["target"] = {"kind": "linux-nvmet", "release": prepared.kernel.release}

    def files(self):
        return {**nvmet.guest_files(self.profile), "profile.json": json.dumps(self.profile),
                "console.json": json.dumps(self._options)}

    def more(self):
        return suite_archive(self._baseline)


def options(words, release, expected):
    """options is what inside.py is to do, from the words of `gate`."""
    return {"cases": words.cases, "seed": words.seed, "release": release,
            "timeout": words.timeout, "lenient": words.lenient,
            "last": expected.baseline.dangerous(release) if expected else []}


def _prepared(words, request):
    expected = None if words.no_baseline else expectation.Expectation(words.baseline)
    request.memory = max(request.memory, MEMORY)
    prepared = gate.prepare(request, initramfs.SUITE_PROGRAMS)
    return ConsoleGuest(prepared, options(words, prepared.kernel.release, expected),
                        words.baseline if expected else None)


def _document(log):
    """_document returns the lines of KTAP that a console has so far; what the kernel says between them is not of it."""
    texts = [line.text for line in log.lines()]
    start = next((number for number, text in enumerate(texts) if text == "KTAP version 1"), len(texts))
    return [text for text in texts[start:] if _KTAP.match(text)]


def _follow(guest):
    """_follow prints the guest's KTAP as it comes, and returns the status the suite ended with, None for none."""
    shown, deadline = 0, time.monotonic() + SUITE_SECONDS
    while time.monotonic() < deadline:
        ended = guest.log.said("CONSOLE") or not guest.alive()
        lines = _document(guest.log)
        for text in lines[shown:]:
            print(text, flush=True)
        shown = len(lines)
        if ended:
            break
        time.sleep(POLL_SECONDS)
    said = guest.log.said("CONSOLE")
    return int(said[0].split()[1]) if said else None


def run(words, request, directory):
    """run boots the guest, shows its KTAP, keeps it as ktap.txt and returns the gate's exit status."""
    with _prepared(words, request) as guest:
        status = _follow(guest)
        lines = _document(guest.log)
        release, accel = guest.kernel.release, guest.prepared.accel
    with open(os.path.join(directory, "ktap.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    if status in (EXIT_OK, EXIT_UNEXPECTED, EXIT_CANNOT_JUDGE):
        evidence.write_console(directory, words, release, accel, lines, status)
        return status
    if status is not None:
        raise GateError(f"the suite could not be run in the guest (status {status}); see {guest.log.path}")
    # A guest that dies in the middle is a verdict on its kernel, one that never began is none.
    last = lines[-1].strip() if lines else "no case"
    raise GateError(f"the guest ended before its suite did ({guest.machine.death() or 'time is up'}), after {last!r}; "
                    f"see {guest.log.path}", EXIT_UNEXPECTED if len(lines) > 2 else EXIT_CANNOT_JUDGE)


def export(words, request, directory):
    """export writes vmlinux, initrd and cmdline for another engine's QEMU; the image holds throw-away secrets."""
    guest = _prepared(words, request)
    os.makedirs(directory, exist_ok=True)
    initrd = os.path.join(directory, "initrd")
    initramfs.write(initrd, guest.prepared.program_archive, guest.kernel, guest.conf(), guest.skip_modules,
                    guest.more())
    with open(initrd, "rb") as file:
        joined = cpio.join(file.read())
    with open(initrd, "wb") as file:
        file.write(joined)
    shutil.copyfile(guest.kernel.vmlinux, os.path.join(directory, "vmlinux"))
    append = qemu.APPEND + (" module.sig_enforce=1" if guest.kernel.enforce_signatures else "")
    with open(os.path.join(directory, "cmdline"), "w", encoding="ascii") as file:
        file.write(f"{append} {SHELL} {request.append}".strip() + "\n")
    print(f"vmlinux, initrd and cmdline of Linux {guest.kernel.release} are in {directory}; "
          f"needs {request.memory} MiB")
    return EXIT_OK
