# SPDX-License-Identifier: BSD-3-Clause
"""The guest's root file system: programs, modules and the configuration of one run.

The kernel unpacks archives that follow one another, so each part is made when it changes: programs
once, modules once per kernel, the configuration for every run. Uncompressed: under emulation
inflating costs more than reading.
"""

import fnmatch
import os
import re
import shlex
import subprocess

from . import cache as cache_module
from . import cpio, elf, fetch
from .errors import GateError

BUILD_FORMAT = 1    # raise it when the program archive's layout changes

GUEST_FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
LIBRARY_DIRECTORIES = ("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")
APPLETS = ("awk base64 basename cat chmod cp cut dd df dmesg echo env expr false find free grep "
           "head hexdump hostname id insmod ip kill ln ls lsmod md5sum mkdir mknod mount mv nc "
           "netstat od poweroff printf ps pwd readlink rm rmdir sed seq sh sha256sum sleep sort "
           "stty sync tail tee test timeout touch tr true umount uname uniq usleep wc xargs").split()

# A guest under test as a target needs tlshd and keyctl; one under test as a host nvme-cli as well.
TARGET_PROGRAMS = {"busybox-static": "bin/busybox", "ktls-utils": "sbin/tlshd",
                   "keyutils": "bin/keyctl"}
HOST_PROGRAMS = {**TARGET_PROGRAMS, "nvme-cli": "sbin/nvme"}
# A guest that runs the suite itself: Python with its library (a name that ends with "/" is a directory, by glob),
# and the libraries of the engine, which is built outside.
SUITE_PROGRAMS = {**TARGET_PROGRAMS, "python3": "bin/python3", "libpython3-stdlib": "lib/python3.*/",
                  "libjansson4": "libjansson.so.4", "libpcap0.8t64": "libpcap.so.0.8",
                  "libssl3t64": "libssl.so.3", "libsubunit0": "libsubunit.so.0"}
# Parts of Python's library that nothing here imports; they are most of its size.
UNUSED_LIBRARY = re.compile(r"/(__pycache__|_pyrepl|config-[^/]*|ctypes|curses|dbm|idlelib|lib2to3|pydoc_data|sqlite3"
                            r"|test|tkinter|turtledemo|unittest|venv|wsgiref|xmlrpc)/"
                            r"|/lib-dynload/(_ctypes|_curses|_dbm|_gdbm|_sqlite3|_tkinter|_test|readline|xx)")

STATIC_FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n",
                "etc/hosts": "127.0.0.1 localhost\n10.0.2.2 outside\n",
                "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n"}


def build_shim(path):
    """build_shim compiles tlshd_shim.c to the shared object path."""
    compiler, *words = shlex.split(os.environ.get("CC", "")) or ["cc"]
    compiler = fetch.need_program(compiler, "gcc libc6-dev")
    done = subprocess.run([compiler, *words, "-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                           "-fPIC", "-shared", "-nostdlib", "-fno-stack-protector",
                           "-o", path, os.path.join(GUEST_FILES, "tlshd_shim.c")],
                          capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise GateError(f"cannot compile tlshd_shim.c: {done.stderr.strip().splitlines()[0]}")


class _Tree:
    """_Tree is the union of the unpacked packages, with symbolic links followed."""

    def __init__(self):
        self.files = {}
        self.links = {}

    def add_package(self, path, label):
        for name, member, data in fetch.members(path, label):
            if data is not None:
                self.files[name] = data
            elif member.islnk():
                self.links[name] = "/" + member.linkname.removeprefix("./")
            elif member.issym():
                self.links[name] = member.linkname

    def find(self, name):
        """find returns the bytes at name, or None."""
        for _ in range(16):
            if name in self.files:
                return self.files[name]
            target = self.links.get(name)
            if target is None:
                return None
            name = os.path.normpath(os.path.join("/", os.path.dirname(name), target)).lstrip("/")
        return None

    def program(self, name):
        """program looks below usr too: Debian's top directories are links into it."""
        for candidate in ("usr/" + name, name):
            data = self.find(candidate)
            if data is not None:
                return data
        raise GateError(f"{name} is in none of the guest's packages")

    def library(self, soname):
        for directory in LIBRARY_DIRECTORIES:
            data = self.find(f"{directory}/{soname}")
            if data is not None:
                return data
        raise GateError(f"library {soname} is in none of the guest's packages")


def _add_programs(archive, tree, programs):
    """_add_programs adds the programs and every library they need."""
    wanted, done = [], set()
    for name in programs:
        if name.endswith("/"):
            wanted += _add_directory(archive, tree, name)
            continue
        if ".so." in name:
            wanted.append(name)
            continue
        data = tree.program(name)
        archive.file("usr/" + name, data, 0o755)
        interpreter, libraries = elf.needed(data)
        wanted += libraries
        if interpreter:
            done.add(os.path.basename(interpreter))
            archive.file("usr/" + interpreter.lstrip("/"),
                         tree.library(os.path.basename(interpreter)), 0o755)
    while wanted:
        soname = wanted.pop()
        if soname not in done:
            done.add(soname)
            data = tree.library(soname)
            archive.file(f"{LIBRARY_DIRECTORIES[0]}/{soname}", data, 0o755)
            wanted += elf.needed(data)[1]


def _add_directory(archive, tree, pattern):
    """_add_directory adds the files below the directories that match a glob; it returns the libraries they need."""
    wanted = []
    for path, data in tree.files.items():
        if fnmatch.fnmatchcase(path, f"usr/{pattern}*") and not UNUSED_LIBRARY.search(path):
            archive.file(path, data)
            wanted += elf.needed(data)[1] if elf.is_elf(data) else []
    return wanted


def _program_archive(tree, programs, shim):
    archive = cpio.Archive()
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "conf", "modules", "etc"):
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.symlink(name, "usr/" + name)
    for name, text in STATIC_FILES.items():
        archive.file(name, text.encode())
    for applet in APPLETS:
        archive.symlink("usr/bin/" + applet, "busybox")
    _add_programs(archive, tree, programs)
    archive.file("usr/lib/tlshd_shim.so", shim, 0o755)
    return archive.finish()


def programs(apt, wanted):
    """programs returns (path of the archive, entries of its packages) for a {package: program}."""
    key = cache_module.short_hash(*sorted(wanted))
    entries = fetch.fetch_set(apt, f"programs-{key}",
                              lambda: apt.download(apt.resolve_closure(sorted(wanted))))
    with open(os.path.join(GUEST_FILES, "tlshd_shim.c"), "rb") as file:
        shim_source = file.read()

    def make(directory):
        tree = _Tree()
        for entry in entries:
            tree.add_package(apt.cache.checked_package(entry), entry["file"])
        shim_path = os.path.join(directory, "tlshd_shim.so")
        build_shim(shim_path)
        with open(shim_path, "rb") as file:
            shim = file.read()
        with open(os.path.join(directory, "programs.cpio"), "wb") as file:
            file.write(_program_archive(tree, wanted.values(), shim))

    name = cache_module.short_hash(BUILD_FORMAT, APPLETS, sorted(wanted.items()),
                                   sorted(STATIC_FILES.items()), shim_source,
                                   *sorted(entry["sha256"] for entry in entries))
    return os.path.join(apt.cache.build(f"programs-{name}", make), "programs.cpio"), entries


def _module_archive(module_files, skip):
    archive = cpio.Archive()
    for path in module_files:
        base = os.path.basename(path)
        if base.split("-", 1)[1].removesuffix(".ko") in skip:
            continue
        with open(path, "rb") as file:
            archive.file("modules/" + base, file.read())
    return archive.finish()


def run_archive(files):
    """run_archive packs init and the {name: text or bytes} of one run; secrets stay root's."""
    archive = cpio.Archive()
    with open(os.path.join(GUEST_FILES, "init.sh"), "rb") as file:
        archive.file("init", file.read(), 0o755)
    archive.file("conf/tlshd.conf", b"[authenticate]\nkeyrings=.nvme\n")
    for name, data in files.items():
        archive.file("conf/" + name, data.encode() if isinstance(data, str) else data, 0o600)
    return archive.finish()


def write(path, program_archive, kernel, files, skip_modules=(), more=b""):
    """write puts the parts one after the other into the file path, readable by its owner; more is one further archive."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as out, open(program_archive, "rb") as source:
        out.write(source.read())
        out.write(_module_archive(kernel.module_files, skip_modules))
        out.write(run_archive(files))
        out.write(more)
