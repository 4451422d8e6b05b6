# SPDX-License-Identifier: BSD-3-Clause
"""A kernel to judge: its vmlinux, the modules the guest loads, and what its configuration lacks."""

import gzip
import json
import lzma
import os
import re
import struct
import subprocess
import zlib
from dataclasses import dataclass, field

from . import cache as cache_module
from . import config, elf, fetch, modules, tree
from .errors import EXIT_CANNOT_JUDGE, EXIT_USAGE, GateError

BUILD_FORMAT = 1    # raise it when what build() writes changes
_SETUP_BYTES = 0x250    # what is read of a bzImage's header


@dataclass
class Kernel:
    """Kernel is ready to boot. module_files are in the order of loading.

    With uml, vmlinux is a program of this machine: User-Mode Linux.
    """
    release: str
    vmlinux: str
    module_files: list
    config: dict
    enforce_signatures: bool
    provenance: list = field(default_factory=list)
    uml: bool = False


def _truncated(label, image):
    return GateError(f"{label}: truncated ({len(image)} bytes): build or copy it again", EXIT_CANNOT_JUDGE)


def _payload(image, label):
    """_payload returns the compressed kernel inside a bzImage (Documentation/arch/x86/boot.rst)."""
    if len(image) < _SETUP_BYTES:
        raise _truncated(label, image)
    sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    if offset == 0 or start + length > len(image):
        raise _truncated(label, image)
    return image[start:start + length]


def _unzstd(data):
    program = fetch.need_program("zstd", "zstd")
    done = subprocess.run([program, "-dcq"], input=data, capture_output=True, check=False,
                          timeout=120)
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace"))
    return done.stdout


def _decompress(payload, label):
    """_decompress undoes what the payload's magic says; all but gzip have a size appended."""
    if elf.is_elf(payload):
        return payload
    try:
        if payload[:4] == b"\x28\xb5\x2f\xfd":
            return _unzstd(payload[:-4])
        if payload[:6] == b"\xfd7zXZ\0":
            return lzma.decompress(payload[:-4], lzma.FORMAT_XZ)
        if payload[:2] == b"\x1f\x8b":
            return gzip.decompress(payload)
        if payload[:3] == b"\x5d\0\0":
            return lzma.decompress(payload[:-4], lzma.FORMAT_ALONE)
    except (ValueError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise GateError(f"{label}: cannot be decompressed ({error}): build or copy it again",
                        EXIT_CANNOT_JUDGE) from error
    raise GateError(f"{label} is compressed by a method the gate does not know (it knows "
                    "zstd, xz, lzma and gzip); give it the vmlinux", EXIT_CANNOT_JUDGE)


def extract_vmlinux(image, label="the kernel image"):
    """extract_vmlinux returns the x86-64 ELF of a bzImage or vmlinux, able to start under PVH."""
    if image[56:60] == b"ARM\x64":
        raise GateError(f"{label} is for arm64; the gate boots x86-64", EXIT_CANNOT_JUDGE)
    if not elf.is_elf(image):
        if image[0x202:0x206] != b"HdrS":
            raise GateError(f"{label} is neither a bzImage nor a vmlinux", EXIT_CANNOT_JUDGE)
        image = _decompress(_payload(image, label), label)
    if elf.is_elf(image) and len(image) < elf.HEADER_BYTES:
        raise _truncated(label, image)
    if not elf.is_elf(image) or image[4] != 2 or elf.machine(image) != elf.EM_X86_64:
        kind = elf.MACHINES.get(elf.machine(image), "another machine") if elf.is_elf(image) \
            else "no ELF"
        raise GateError(f"{label} is for {kind}; the gate boots x86-64", EXIT_CANNOT_JUDGE)
    if is_uml(image):
        raise GateError(f"{label} is a User-Mode Linux; give it to --uml", EXIT_USAGE)
    if not elf.whole(image):
        raise _truncated(label, image)
    release_of(image, label)
    if not elf.has_pvh_entry(image):
        raise GateError(f"{label} was built without CONFIG_PVH", EXIT_CANNOT_JUDGE)
    return image


def is_uml(image):
    """is_uml tells whether image is a User-Mode Linux, by a text of its --help."""
    return elf.is_elf(image) and b"User Mode Linux v" in image


def check_uml(image, label):
    """check_uml raises GateError for anything but a User-Mode Linux that this machine can run."""
    if elf.is_elf(image) and len(image) < elf.HEADER_BYTES:
        raise _truncated(label, image)
    if not is_uml(image):
        raise GateError(f"{label} is no User-Mode Linux; build it with ARCH=um, target linux",
                        EXIT_CANNOT_JUDGE)
    if elf.machine(image) != elf.EM_X86_64:
        kind = elf.MACHINES.get(elf.machine(image), "another machine")
        raise GateError(f"{label} is for {kind}; the gate runs x86-64", EXIT_CANNOT_JUDGE)
    if not elf.whole(image):
        raise _truncated(label, image)


def release_of(vmlinux, label="the kernel image"):
    """release_of returns what `uname -r` will say."""
    found = re.search(rb"Linux version (\d[^\s\0%]*) ", vmlinux)
    if not found:
        raise GateError(f"{label} is no Linux kernel: it does not name its version", EXIT_CANNOT_JUDGE)
    return found.group(1).decode()


def _told_release(image):
    """_told_release returns the version that an image tells without being unpacked, or an empty string."""
    if image[0x202:0x206] == b"HdrS" and len(image) >= _SETUP_BYTES:
        start = struct.unpack_from("<H", image, 0x20e)[0] + 0x200
        found = re.match(rb"\d[^\s\0/]*", image[start:start + 64])
    else:
        found = re.search(rb"Linux version (\d[^\s\0%/]*) ", image)
    return found.group(found.lastindex or 0).decode(errors="replace") if found else ""


def _write(directory, release, vmlinux, loaded, options, facts):
    """_write stores a kernel below built/; module files are numbered in order of loading."""
    with open(os.path.join(directory, "vmlinux"), "wb") as file:
        file.write(vmlinux)
        os.fchmod(file.fileno(), 0o755 if facts.get("uml") else 0o644)
    os.mkdir(os.path.join(directory, "modules"))
    names = []
    for index, (name, data) in enumerate(loaded):
        names.append(f"{index:02d}-{name}.ko")
        with open(os.path.join(directory, "modules", names[-1]), "wb") as file:
            file.write(data)
    with open(os.path.join(directory, "kernel.json"), "w", encoding="utf-8") as file:
        json.dump({"release": release, "modules": names, "config": options, **facts}, file,
                  indent=1)


def _load(directory):
    with open(os.path.join(directory, "kernel.json"), encoding="utf-8") as file:
        facts = json.load(file)
    return Kernel(facts["release"], os.path.join(directory, "vmlinux"),
                  [os.path.join(directory, "modules", name) for name in facts["modules"]],
                  facts["config"], facts["enforce_signatures"], facts["provenance"],
                  facts.get("uml", False))


def _build_from(directory, image, label, store, config_text, facts, beside=None):
    """_build_from makes a kernel of an image; the configuration is the one given, that inside the image, or that beside it."""
    if facts.get("uml"):
        check_uml(image, label)
    vmlinux = image if facts.get("uml") else extract_vmlinux(image, label)
    release = release_of(vmlinux, label)
    text = config_text or config.embedded(vmlinux) or beside
    options = config.parse(text) if text else {}
    if options:
        config.check(options, release)
    loaded = modules.resolve(store, options, release)
    relevant = {name: value for name, value in options.items() if name in config.INTERESTING}
    _write(directory, release, vmlinux, loaded, relevant, facts)


def from_packages(cache, entries, label):
    """from_packages makes a Kernel of cached Debian packages."""
    def make(directory):
        image, config_text, store = None, None, modules.Store()
        for entry in entries:
            for name, member, data in fetch.members(cache.checked_package(entry), entry["file"]):
                base = os.path.basename(name)
                if data is None:
                    continue
                if base.startswith("vmlinuz"):
                    image = data
                elif name.startswith("boot/config-") or re.match(r"usr/lib/.*/config$", name):
                    config_text = data.decode(errors="replace")
                elif modules.is_module(base):
                    store.add(base, data)
        if image is None:
            raise GateError(f"{label}: no vmlinuz in {', '.join(e['file'] for e in entries)}",
                            EXIT_CANNOT_JUDGE)
        carriers = [entry for entry in entries
                    if entry["file"].startswith(("linux-modules", "linux-image"))]
        facts = {"provenance": entries,
                 "enforce_signatures": any(entry["verified"] != fetch.UNVERIFIED
                                           for entry in carriers)}
        _build_from(directory, image, label, store, config_text, facts)
    name = cache_module.short_hash(BUILD_FORMAT, modules.WANTED,
                                   *[entry["sha256"] for entry in entries])
    return _load(cache.build(f"kernel-{name}", make))


def _find_release(apt, version):
    """_find_release turns 7.3.4 into 7.3.4+deb13-amd64; what is complete already is taken as is."""
    wanted = [version] if version.endswith("-amd64") else \
        [f"{version}+deb13-amd64", f"{version}+deb14-amd64"]
    known = {name[len("linux-image-"):] for name in apt.known_packages("linux-image-")}
    for release in wanted:
        if release in known:
            return release
    plain = sorted({name.split("+", 1)[0] for name in known
                    if re.match(r"[\d.]+\+deb\d+-amd64$", name)},
                   key=lambda text: [int(part) for part in text.split(".")])
    raise GateError(f"Debian has no kernel {version}; it has {', '.join(plain) or 'none'}",
                    EXIT_CANNOT_JUDGE)


def _find_packages(apt, version):
    """_find_packages downloads the packages of a Debian kernel, old layout or new."""
    release = _find_release(apt, version)
    parts = [f"linux-{part}-{release}" for part in ("binary", "modules", "base")]
    known = set(apt.known_packages("linux-"))
    if parts[0] not in known:
        return apt.download(apt.resolve([f"linux-image-{release}"]))
    entries = apt.resolve([part for part in parts if part in known])
    package_version = next(entry["file"] for entry in entries
                           if entry["file"].startswith(parts[0] + "_")).split("_")[1]
    for part, verified in ((parts[1], fetch.BY_MODULE_SIGNATURE), (parts[2], fetch.UNVERIFIED)):
        if part not in known:
            entries.append(apt.pool_entry("linux", part, package_version, verified))
    return apt.download(entries)


def check_version(version):
    """check_version raises GateError for anything but a Debian kernel's version; one that passes is a file name too."""
    if not re.fullmatch(r"\d+(\.\d+)+([+~.-][A-Za-z0-9+~.-]*)?", version):
        raise GateError(f"{version!r} is not a kernel version such as 7.3.4", EXIT_USAGE)


def from_version(apt, version):
    """from_version fetches (or finds in the cache) the Debian kernel VERSION, such as 7.3.4."""
    check_version(version)
    entries = fetch.fetch_set(apt, f"linux-{version}", lambda: _find_packages(apt, version))
    return from_packages(apt.cache, entries, f"Debian's kernel {version}")


def from_debs(cache, paths):
    """from_debs makes a Kernel of package files on disk; what makes none does not stay in the cache."""
    entries, added = [], []
    try:
        for path in paths:
            entry, is_new = fetch.entry_from_file(cache, path)
            entries.append(entry)
            added += [entry["sha256"]] if is_new else []
        return from_packages(cache, entries, "the given packages")
    except GateError:
        for digest in added:
            cache.remove_package(digest)
        raise


def _read(path, what):
    """_read returns what is in an ordinary file; a device may have no end, and a pipe no writer."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise GateError(f"{what} {path}: is no ordinary file", EXIT_USAGE)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise GateError(f"{what} {path}: {error.strerror}", EXIT_USAGE) from error


def _given_config(path):
    """_given_config returns the text of a .config that somebody named; one that says nothing would switch the check off."""
    text = _read(path, "configuration").decode(errors="replace")
    if not config.parse(text):
        raise GateError(f"configuration {path}: no line of it sets an option (CONFIG_...=...); name the .config that the kernel was "
                        "built with", EXIT_USAGE)
    return text


def _config_beside(image, release, module_source):
    """_config_beside returns the text of a configuration where installed kernels have theirs, None where there is none."""
    places = [os.path.join(os.path.dirname(os.path.abspath(image)), f"config-{release}")] if release else []
    if isinstance(module_source, str):
        top = os.path.abspath(module_source)
        places += [os.path.join(top, "config"), os.path.join(top, "build", ".config"),
                   os.path.join(os.path.dirname(top), "build", ".config")]
    for place in places:
        if os.path.isfile(place) and config.parse(text := _read(place, "configuration").decode(errors="replace")):
            return text
    return None


def from_image(cache, image, module_source=None, config_file=None, uml=False):
    """from_image makes a Kernel of a bzImage, vmlinux or (uml) User-Mode Linux, its modules and .config.

    module_source is a directory or the list that tree.find() found. Without a config file the one inside the image
    (CONFIG_IKCONFIG) is used, else config-VERSION beside it, or that of the modules' build; where there is none either, the
    Kernel's is empty and nothing was checked.
    """
    data = _read(image, "kernel image")
    config_text = _given_config(config_file) if config_file else None
    beside = None if config_file else _config_beside(image, _told_release(data), module_source)
    store = modules.Store()
    if isinstance(module_source, str):
        store.add_tree(module_source)
    else:
        store.add_files(module_source or ())
    name = cache_module.short_hash(BUILD_FORMAT, modules.WANTED, data, config_text or beside or "",
                                   *store.fingerprint())
    facts = {"provenance": [{"file": os.path.abspath(image), "verified": fetch.UNVERIFIED,
                             "sha256": cache_module.sha256_file(image)}],
             "enforce_signatures": False, "uml": uml}
    return _load(cache.build(f"kernel-{name}", lambda directory: _build_from(
        directory, data, image, store, config_text, facts, beside)))


def from_tree(cache, directory):
    """from_tree makes a Kernel of a kernel tree after make, or of the O= directory of its build."""
    found = tree.find(directory)
    kernel = from_image(cache, found.image, found.modules, found.config, found.uml)
    tree.check_release(found, kernel.release)
    return kernel
