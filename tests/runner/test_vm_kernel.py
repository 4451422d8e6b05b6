# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that can be judged and kernels that cannot: images, configurations, modules, packages."""

import contextlib
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import cache, config, fetch, gate, kernel, modules  # noqa: E402
from harness.vm.errors import EXIT_CANNOT_JUDGE, EXIT_TOOL, EXIT_USAGE, GateError  # noqa: E402

RELEASE = "7.9.1-test"


def vmlinux(machine=62, pvh=True, release=RELEASE):
    """vmlinux makes an ELF with one note segment and the kernel's banner."""
    note = struct.pack("<III", 4, 8, 18 if pvh else 1) + b"Xen\0" + bytes(8)
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<HH", header, 16, 2, machine)
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, 1)
    program = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), len(note), 4)
    return bytes(header) + program + note + f"Linux version {release} (who@where)\0".encode()


def bzimage(payload, release=""):
    """bzimage wraps a payload as the boot protocol says: two setup sectors, then the payload; the header may tell the version."""
    image = bytearray(512 * 3)
    image[0x1f1] = 2
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20e, 0x100)
    image[0x300:0x300 + len(release) + 10] = release.encode() + b" (who@wh) "
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image) + bytes(16) + payload


def module(release=RELEASE, depends=""):
    return b"\x7fELF\0depends=" + depends.encode() + b"\0vermagic=" + release.encode() + b" SMP \0"


def complete_config(**changes):
    options = {name: "y" for name in config.INTERESTING}
    options.update(UML=None)
    options.update(changes)
    return "".join(f"CONFIG_{name}={value}\n" for name, value in options.items() if value)


class ErrorCase(unittest.TestCase):
    def assert_error(self, status, pattern, function, *arguments):
        with self.assertRaisesRegex(GateError, pattern) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.exit_status, status)
        self.assertNotIn("\n", caught.exception.message)


class ImageTest(ErrorCase):
    def test_each_compression(self):
        plain = vmlinux()
        size = struct.pack("<I", len(plain))
        for payload in (gzip.compress(plain), lzma.compress(plain) + size,
                        lzma.compress(plain, lzma.FORMAT_ALONE) + size, plain):
            self.assertEqual(kernel.extract_vmlinux(bzimage(payload)), plain)

    def test_vmlinux_is_taken_as_it_is(self):
        self.assertEqual(kernel.release_of(kernel.extract_vmlinux(vmlinux())), RELEASE)

    def test_wrong_architecture(self):
        arm = bytearray(64)
        arm[56:60] = b"ARM\x64"
        self.assert_error(EXIT_CANNOT_JUDGE, "arm64", kernel.extract_vmlinux, bytes(arm))
        self.assert_error(EXIT_CANNOT_JUDGE, "arm64", kernel.extract_vmlinux, vmlinux(183))
        self.assert_error(EXIT_CANNOT_JUDGE, "riscv", kernel.extract_vmlinux,
                          bzimage(gzip.compress(vmlinux(243))))

    def test_no_pvh(self):
        self.assert_error(EXIT_CANNOT_JUDGE, "CONFIG_PVH", kernel.extract_vmlinux,
                          vmlinux(pvh=False))

    def test_no_kernel_at_all(self):
        for junk in (b"", b"#!/bin/sh\n", bytes(4096)):
            self.assert_error(EXIT_CANNOT_JUDGE, "neither a bzImage nor a vmlinux",
                              kernel.extract_vmlinux, junk)

    def test_truncated(self):
        whole = bzimage(gzip.compress(vmlinux()))
        self.assert_error(EXIT_CANNOT_JUDGE, "truncated", kernel.extract_vmlinux, whole[:-8])
        self.assert_error(EXIT_CANNOT_JUDGE, "decompressed", kernel.extract_vmlinux,
                          bzimage(b"\xfd7zXZ\0" + bytes(32)))
        self.assert_error(EXIT_CANNOT_JUDGE, "does not know", kernel.extract_vmlinux,
                          bzimage(b"BZh9" + bytes(32)))
        self.assert_error(EXIT_CANNOT_JUDGE, "vmlinuz: cannot be decompressed .*: build or copy it again", kernel.extract_vmlinux,
                          bzimage(gzip.compress(vmlinux())[:12] + bytes(range(64))), "vmlinuz")

    def test_cut_anywhere(self):
        whole, note = vmlinux(), 64 + 56 + 24
        for count in range(4, note):
            self.assert_error(EXIT_CANNOT_JUDGE, rf"^vmlinux: truncated \({count} bytes\): build or copy it again$",
                              kernel.extract_vmlinux, whole[:count], "vmlinux")
            self.assert_error(EXIT_CANNOT_JUDGE, "truncated", kernel.extract_vmlinux, bzimage(gzip.compress(whole[:count])))
        whole = bzimage(gzip.compress(whole))
        for count in (*range(0x206, 0x260), 600, len(whole) - 1):
            self.assert_error(EXIT_CANNOT_JUDGE, "truncated", kernel.extract_vmlinux, whole[:count])

    def test_headers_that_lie(self):
        for at in range(5, 64):
            for octet in (0, 1, 127, 255):
                image = bytearray(vmlinux())
                image[at:at + 8] = bytes([octet]) * min(8, 64 - at)
                with contextlib.suppress(GateError):
                    self.assertEqual(len(kernel.extract_vmlinux(bytes(image))), len(image))

    def test_a_program_is_no_kernel(self):
        self.assert_error(EXIT_CANNOT_JUDGE, "ls is no Linux kernel", kernel.extract_vmlinux, vmlinux()[:64 + 56 + 24] + b"ls", "ls")


class ConfigTest(ErrorCase):
    def test_complete(self):
        config.check(config.parse(complete_config()), RELEASE, host=True)

    def test_everything_missing_is_named_at_once(self):
        options = config.parse(complete_config(NVME_TARGET_AUTH=None, TLS=None, DEVTMPFS="m",
                                               NVME_TARGET_TCP="m"))
        self.assert_error(EXIT_CANNOT_JUDGE, "CONFIG_NVME_TARGET_AUTH, CONFIG_TLS, "
                          "CONFIG_DEVTMPFS=y; .*--print-config", config.check, options, RELEASE)

    def test_not_set_lines_do_not_count(self):
        self.assertEqual(config.parse("# CONFIG_TLS is not set\nCONFIG_A=m\n"), {"A": "m"})

    def test_embedded(self):
        text = "CONFIG_TLS=y\n"
        image = b"junk" + b"IKCFG_ST" + gzip.compress(text.encode()) + b"IKCFG_ED more"
        self.assertEqual(config.embedded(image), text)
        self.assertIsNone(config.embedded(b"nothing here"))


class ModulesTest(ErrorCase):
    def store(self, **found):
        store = modules.Store()
        for name, data in found.items():
            store.add(name + ".ko.xz", lzma.compress(data))
        return store

    def test_order_follows_dependencies(self):
        store = self.store(nvmet_tcp=module(depends="nvmet,nvme_keyring"), tls=module(),
                           nvmet=module(depends="extra"), extra=module(), nvme_keyring=module(),
                           unrelated=module())
        names = [name for name, _ in modules.resolve(store, {}, RELEASE)]
        self.assertEqual(names, ["tls", "nvme_keyring", "extra", "nvmet", "nvmet_tcp"])

    def test_dashes_are_underscores(self):
        store = modules.Store()
        store.add("nvmet-tcp.ko", module())
        self.assertEqual(modules.resolve(store, {}, RELEASE)[0][0], "nvmet_tcp")

    def test_missing_module(self):
        self.assert_error(EXIT_CANNOT_JUDGE, "modules missing: nvmet_tcp, tls", modules.resolve,
                          modules.Store(), {"NVME_TARGET_TCP": "m", "TLS": "m"}, RELEASE)

    def test_module_of_another_kernel(self):
        self.assert_error(EXIT_CANNOT_JUDGE, "for kernel 6.1.0", modules.resolve,
                          self.store(tls=module("6.1.0")), {}, RELEASE)

    def test_damaged_module(self):
        store = modules.Store()
        store.add("tls.ko.xz", b"not xz")
        self.assert_error(EXIT_CANNOT_JUDGE, "tls cannot be read", modules.resolve, store, {},
                          RELEASE)


class OwnKernelTest(ErrorCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.cache = cache.Cache(os.path.join(self.directory, "cache"))

    def write(self, name, data):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_image_with_modules(self):
        image = self.write("bzImage", bzimage(gzip.compress(vmlinux())))
        self.write("modules/kernel/nvmet-tcp.ko", module(depends="nvmet"))
        self.write("modules/kernel/nvmet.ko", module())
        settings = self.write("config", complete_config(NVME_TARGET_TCP="m").encode())
        made = kernel.from_image(self.cache, image, os.path.join(self.directory, "modules"),
                                 settings)
        self.assertEqual(made.release, RELEASE)
        self.assertEqual([os.path.basename(path) for path in made.module_files],
                         ["00-nvmet.ko", "01-nvmet_tcp.ko"])
        self.assertFalse(made.enforce_signatures)
        self.assertEqual(made.config["NVME_TARGET_TCP"], "m")

    def test_a_configuration_that_says_nothing(self):
        image = self.write("vmlinux", vmlinux())
        for text in (b"", b"\0\xff" * 400, b"# CONFIG_TLS is not set\n"):
            self.assert_error(EXIT_USAGE, "configuration .*no line of it sets an option", kernel.from_image, self.cache, image, None,
                              self.write("config", text))

    def test_a_configuration_beside_the_image_or_the_modules(self):
        lacking = complete_config(TLS=None).encode()
        for image in (vmlinux(), bzimage(gzip.compress(vmlinux()), RELEASE)):
            for place in (f"boot/config-{RELEASE}", "lib/7/config", "lib/7/build/.config", "lib/build/.config"):
                path = self.write("boot/image", image)
                self.write("lib/7/kernel/nvmet.ko", module())
                found = self.write(place, lacking)
                self.assert_error(EXIT_CANNOT_JUDGE, "without CONFIG_TLS;", kernel.from_image, self.cache, path,
                                  os.path.join(self.directory, "lib/7"))
                os.unlink(found)

    def test_a_configuration_that_nobody_knows(self):
        image = self.write("vmlinux", vmlinux())
        with contextlib.redirect_stderr(io.StringIO()) as said, mock.patch.object(gate.fetch, "need_program"), \
                mock.patch.object(gate.initramfs, "programs", return_value=("", [])), \
                mock.patch.object(gate.kvm, "choose", return_value=("tcg", "")):
            gate.prepare(gate.Request(image=image, cache=self.cache.directory))
            self.assertEqual(said.getvalue(), f"nvme-conform gate: {RELEASE}: its configuration is not known: missing options show only at "
                             "boot; give --config FILE\n")
            gate.prepare(gate.Request(image=image, cache=self.cache.directory, config=self.write("config", complete_config().encode())))
        self.assertEqual(len(said.getvalue().splitlines()), 1)

    def test_unsuitable_configuration(self):
        image = self.write("vmlinux", vmlinux())
        settings = self.write("config", b"CONFIG_PVH=y\n")
        self.assert_error(EXIT_CANNOT_JUDGE, "NVME_TARGET_TCP_TLS", kernel.from_image, self.cache,
                          image, None, settings)

    def test_missing_files(self):
        self.assert_error(EXIT_USAGE, "No such file", kernel.from_image, self.cache, "/no/image")
        image = self.write("vmlinux", vmlinux())
        self.assert_error(EXIT_USAGE, "no such directory", kernel.from_image, self.cache, image,
                          "/no/modules")

    def test_what_has_no_end(self):
        for path in ("/dev/null", self.cache.directory):
            self.assert_error(EXIT_USAGE, "no ordinary file", kernel.from_image, self.cache, path)

    def test_one_kernel_must_be_named(self):
        for request in (gate.Request(), gate.Request(kernel="7.3.4", image="x")):
            self.assert_error(EXIT_USAGE, "name one kernel", gate.prepare, request)

    def test_version_that_is_none(self):
        self.assert_error(EXIT_USAGE, "not a kernel version", kernel.from_version, None,
                          "../../etc")

    def test_version_that_debian_has_not(self):
        apt = mock.Mock(cache=self.cache, offline=False)
        apt.known_packages.return_value = ["linux-image-7.3.4+deb13-amd64",
                                           "linux-image-6.16.12+deb13-amd64",
                                           "linux-image-7.3.4+deb13-cloud-amd64"]
        self.assert_error(EXIT_CANNOT_JUDGE, "no kernel 5.4.1; it has 6.16.12, 7.3.4$",
                          kernel.from_version, apt, "5.4.1")

    def test_corrupt_package(self):
        package = self.write("linux.deb", b"!<arch>\nnot really")
        self.assert_error(EXIT_TOOL, "linux.deb is corrupt", kernel.from_debs, self.cache,
                          [package])

    def test_package_cut_short(self):
        self.write("tree/DEBIAN/control", b"Package: linux-x\nVersion: 1\nArchitecture: all\n"
                   b"Maintainer: x <x@example.org>\nDescription: x\n")
        self.write("tree/boot/vmlinuz-1", os.urandom(200000))
        package = os.path.join(self.directory, "linux.deb")
        subprocess.run(["dpkg-deb", "-Zgzip", "--root-owner-group", "-b",
                        os.path.join(self.directory, "tree"), package],
                       check=True, capture_output=True, timeout=30)
        names = [name for name, _, data in fetch.members(package) if data]
        self.assertEqual(names, ["boot/vmlinuz-1"])
        os.truncate(package, 100000)
        self.assert_error(EXIT_TOOL, "linux.deb is corrupt", kernel.from_debs, self.cache,
                          [package])

    def test_package_without_kernel(self):
        self.write("tree/DEBIAN/control", b"Package: x\nVersion: 1\nArchitecture: all\n"
                   b"Maintainer: x <x@example.org>\nDescription: x\n")
        package = os.path.join(self.directory, "x.deb")
        subprocess.run(["dpkg-deb", "-Zgzip", "-b", os.path.join(self.directory, "tree"), package],
                       check=True, capture_output=True, timeout=30)
        self.assert_error(EXIT_CANNOT_JUDGE, "no vmlinuz in x.deb", kernel.from_debs, self.cache,
                          [package])
        self.assertEqual(os.listdir(self.cache.path("packages")), [])
        fetch.entry_from_file(self.cache, package)    # what was there before stays
        self.assert_error(EXIT_CANNOT_JUDGE, "no vmlinuz in x.deb", kernel.from_debs, self.cache, [package])
        self.assertEqual(len(os.listdir(self.cache.path("packages"))), 1)


class MachineTest(ErrorCase):
    def test_missing_qemu(self):
        with mock.patch("shutil.which", return_value=None):
            self.assert_error(EXIT_TOOL, "apt-get install qemu-system-x86$", gate.prepare,
                              gate.Request(kernel="7.3.4"))

    def test_offline_with_an_empty_cache(self):
        with tempfile.TemporaryDirectory() as directory:
            apt = fetch.Apt(cache.Cache(directory), "http://mirror.example/debian", offline=True)
            self.assert_error(EXIT_TOOL, "linux-7.3.4 is not in the cache .*--fetch",
                              kernel.from_version, apt, "7.3.4")

    def test_no_mirror(self):
        with tempfile.TemporaryDirectory() as directory, \
                mock.patch("harness.vm.sources.read_machine", return_value=[]):
            self.assert_error(EXIT_USAGE, "--mirror", fetch.Apt(cache.Cache(directory)).mirror)

    def test_pool_name(self):
        apt = fetch.Apt(mock.Mock(), "http://m.example/debian")
        entry = apt.pool_entry("linux", "linux-modules-7.1.3+deb13-amd64", "7.1.3-1~bpo13+1",
                               fetch.BY_MODULE_SIGNATURE)
        self.assertEqual(entry["uri"], "http://m.example/debian/pool/main/l/linux/linux-modules-"
                         "7.1.3+deb13-amd64_7.1.3-1~bpo13+1_amd64.deb")


if __name__ == "__main__":
    unittest.main()
