# SPDX-License-Identifier: BSD-3-Clause
"""python3 -m harness.vm.own_kernel forget-tls-key-on-success --flavour uml: a kernel that no package
has, from Debian's kernel source to the gate's verdict in one command.

The source is Debian's linux-source package, the configuration the fragment of gate --print-config,
the bugs are a few lines each in patches/. Everything is below one directory and stays there, so that
the next patch costs only the files that it touches.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import time

from . import cache as cache_module
from . import config, fetch
from .errors import EXIT_CANNOT_JUDGE, EXIT_INTERRUPTED, EXIT_USAGE, GateError

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nvme-conform")
PATCHES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "patches")
SERIES = "7.3"
STEP_SECONDS, GATE_SECONDS = 1800, 3600
TOOLS = {"make": "make", "gcc": "gcc libc6-dev", "flex": "flex", "bison": "bison", "bc": "bc",
         "patch": "patch", "xz": "xz-utils"}
# The same source gives the same image.
ENVIRONMENT = {"KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 2026", "KBUILD_BUILD_USER": "nvme",
               "KBUILD_BUILD_HOST": "conform", "LC_ALL": "C"}


def patches():
    """patches lists the names of the bugs that can be put back."""
    return sorted(name.removesuffix(".patch") for name in os.listdir(PATCHES) if name.endswith(".patch"))


def parse(argv):
    """parse returns the options; what follows -- goes to the gate as it is."""
    parser = argparse.ArgumentParser(prog="python3 -m harness.vm.own_kernel", description=__doc__,
                                     epilog="Exit status: the gate's.")
    parser.add_argument("patch", nargs="?", metavar="PATCH", help="the bug to put back, default none: "
                        + ", ".join(patches()) + ", or a file")
    parser.add_argument("--flavour", choices=tuple(config.FLAVOURS), default="x86")
    parser.add_argument("--series", default=SERIES, help=f"of Debian's linux-source (default {SERIES})")
    parser.add_argument("--source", metavar="DIR", help="a kernel source instead, unbuilt; the patch is "
                        "applied to it and taken back")
    parser.add_argument("--work", metavar="DIR", help="default own-kernel below the cache; about 3 GB")
    parser.add_argument("--cache", metavar="DIR", help="default ~/.cache/nvme-conform")
    parser.add_argument("--offline", action="store_true", help="only what is in the cache")
    parser.add_argument("--build-timeout", type=float, default=7200, metavar="S")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    own, gate = argv, []
    if "--" in argv:
        own, gate = argv[:argv.index("--")], argv[argv.index("--") + 1:]
    words = parser.parse_args(own)
    words.gate = gate
    return words


def _run(argv, seconds, log, what, **more):
    """_run executes one step with its output in a file; a failure quotes its last line."""
    with open(log, "ab") as output:
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
                                  timeout=seconds, env={**os.environ, **ENVIRONMENT}, **more)
        except subprocess.TimeoutExpired:
            raise GateError(f"{what} did not end within {seconds:.0f} s; see {log}") from None
    if done.returncode:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.read().splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
        raise GateError(f"{what} failed: {telling[-1].strip()}; see {log}")


def unpack(apt, series, work):
    """unpack returns the directory of Debian's source of a series, unpacked once below work."""
    final = os.path.join(work, f"linux-source-{series}")
    if os.path.isdir(final):
        return final
    entries = fetch.fetch_set(apt, f"linux-source-{series}",
                              lambda: apt.download(apt.resolve([f"linux-source-{series}"])))
    archive = os.path.join(work, "source.tar.xz")
    for name, _, data in fetch.members(apt.cache.checked_package(entries[0]), entries[0]["file"]):
        if data is not None and name.endswith(".tar.xz"):
            with open(archive, "wb") as file:
                file.write(data)
    partly = final + ".new"
    shutil.rmtree(partly, ignore_errors=True)
    os.mkdir(partly)
    try:
        _run(["tar", "-x", "-J", "-f", archive, "-C", partly, "--strip-components=1"], STEP_SECONDS,
             os.path.join(work, "unpack.log"), f"unpacking {entries[0]['file']}")
        os.rename(partly, final)
    finally:
        shutil.rmtree(partly, ignore_errors=True)
        os.unlink(archive)
    return final


@contextlib.contextmanager
def patched(source, patch, log):
    """patched applies a patch for as long as the block lasts."""
    if patch is None:
        yield
        return
    argv = ["patch", "-d", source, "-p1", "-s", "--batch", "--no-backup-if-mismatch", "-r", "-", "-i", patch]
    _run([*argv, "--dry-run"], STEP_SECONDS, log, f"{os.path.basename(patch)} on {source}")
    _run(argv, STEP_SECONDS, log, os.path.basename(patch))
    try:
        yield
    finally:
        _run([*argv, "-R"], STEP_SECONDS, log, f"taking back {os.path.basename(patch)}")


def build(source, output, flavour, jobs, seconds):
    """build makes a kernel of a flavour in the O= directory output, from nothing or from what is there."""
    os.makedirs(output, exist_ok=True)
    log = os.path.join(output, "build.log")
    fragment = os.path.join(output, "gate.config")
    with open(fragment, "w", encoding="utf-8") as file:
        file.write(config.fragment(flavour))
    uml = config.FLAVOURS[flavour][0] is config.UML
    make = ["make", "-C", source, f"O={output}", *(["ARCH=um"] if uml else [])]
    _run([*make, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"], STEP_SECONDS, log, "make allnoconfig")
    with open(os.path.join(output, ".config"), encoding="utf-8") as file:
        lacking = config.dropped(flavour, config.parse(file.read()))
    if lacking:
        raise GateError(f"make allnoconfig dropped {', '.join('CONFIG_' + name for name in lacking)} of the {flavour} fragment: "
                        "this compiler or this source cannot have it", EXIT_CANNOT_JUDGE)
    _run([*make, f"-j{jobs}", *(["linux"] if uml else ["bzImage"])], seconds, log, "make")


def _patch_file(name):
    if name is None:
        return None
    path = name if os.path.isfile(name) else os.path.join(PATCHES, name + ".patch")
    if not os.path.isfile(path):
        raise GateError(f"no patch {name}; there are {', '.join(patches())}, or name a file", EXIT_USAGE)
    return os.path.abspath(path)


def make(words):
    """make builds the kernel that the options name, tells how long it took, and returns the O= directory and the cache."""
    patch = _patch_file(words.patch)
    for program, package in TOOLS.items():
        fetch.need_program(program, package)
    cache = cache_module.Cache(words.cache)
    work = os.path.abspath(words.work or cache.path("own-kernel"))
    os.makedirs(work, exist_ok=True)
    source = os.path.abspath(words.source) if words.source else \
        unpack(fetch.Apt(cache, offline=words.offline), words.series, work)
    output = os.path.join(work, f"{words.series}-{words.flavour}")
    start = time.monotonic()
    with patched(source, patch, os.path.join(work, "patch.log")):
        build(source, output, words.flavour, words.jobs, words.build_timeout)
    print(f"built {words.flavour} {'with ' + words.patch if patch else 'as it is'} in {time.monotonic() - start:.0f} s: "
          f"{output}", flush=True)
    return output, cache


def run(words):
    """run builds, judges, tells how long both took, and returns the gate's exit status."""
    output, cache = make(words)
    built = time.monotonic()
    argv = [sys.executable, PROGRAM, "gate", "--tree", output, "--cache", cache.directory, *words.gate]
    status = subprocess.run(argv, check=False, timeout=GATE_SECONDS).returncode
    print(f"judged in {time.monotonic() - built:.0f} s, exit status {status}")
    return status


def main(argv):
    """main runs the command and returns its exit status."""
    try:
        return run(parse(argv))
    except GateError as error:
        print(f"own_kernel: {error.message}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
