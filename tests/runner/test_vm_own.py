# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of one's own: the fragment, a tree after make, User-Mode Linux, a bug put back."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [ROOT, HERE]

from harness.vm import cache, config, gate, kernel, options, own_kernel, qemu, tree, uml  # noqa: E402
from harness.vm.errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_USAGE, GateError  # noqa: E402
from test_vm_kernel import RELEASE, bzimage, complete_config, module, vmlinux  # noqa: E402


class DirectoryCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.cache = cache.Cache(os.path.join(self.directory, "cache"))

    def write(self, name, data, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(path, mode)
        return path

    def assert_error(self, status, pattern, function, *arguments):
        with self.assertRaisesRegex(GateError, pattern) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.exit_status, status)
        self.assertNotIn("\n", caught.exception.message)


class FragmentTest(unittest.TestCase):
    def test_a_kernel_built_with_it_is_judged(self):
        for flavour in config.FLAVOURS:
            options = config.parse(config.fragment(flavour))
            if flavour.startswith("uml"):
                options["UML"] = "y"    # what ARCH=um itself sets
            self.assertEqual(config.missing(options, host=True), [], flavour)
            self.assertEqual(set(options.values()) - {"16000"}, {"y"}, flavour)

    def test_each_required_option_is_missed(self):
        for flavour, machine in (("x86", config.X86), ("uml", config.UML)):
            whole = config.parse(config.fragment(flavour))
            whole.update({"UML": "y"} if flavour == "uml" else {})
            for name in config.TARGET + machine.drivers + machine.built_in + config.GUEST_BUILT_IN:
                lacking = config.missing({key: value for key, value in whole.items() if key != name})
                self.assertEqual([each.removesuffix("=y") for each in lacking], [name])

    def test_debug_adds_to_plain(self):
        plain, debug = (config.parse(config.fragment(name)) for name in ("x86", "debug"))
        self.assertLess(plain.items(), debug.items())
        for name in ("KASAN", "PROVE_LOCKING", "DEBUG_KMEMLEAK"):
            self.assertEqual(debug[name], "y")

    def test_what_make_drops_is_named(self):
        options = config.parse(config.fragment("uml-debug"))
        options["UML"] = "y"
        self.assertEqual(config.dropped("uml-debug", options), [])
        for name in ("KASAN", "PROVE_LOCKING", "DEBUG_KMEMLEAK"):
            self.assertEqual(config.dropped("uml-debug", {**options, name: "n"}), [name + "=y"])
            self.assertEqual(config.dropped("uml", {**options, name: "n"}), [])

    def test_printed_by_the_gate(self):
        argv = [sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), "gate", "--print-config"]
        done = subprocess.run([*argv, "uml"], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (EXIT_OK, config.fragment("uml")))
        done = subprocess.run([*argv, "arm"], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, EXIT_USAGE)
        self.assertIn("invalid choice: 'arm'", done.stderr)


class TreeTest(DirectoryCase):
    def build(self, where, image="arch/x86/boot/bzImage", settings=None, release=RELEASE):
        """build lays out what make leaves in an output directory."""
        self.write(where + "/.config", complete_config(NVME_TARGET_TCP="m") if settings is None else settings)
        self.write(where + "/" + image, bzimage(gzip.compress(vmlinux())))
        self.write(where + "/include/config/kernel.release", release + "\n")
        self.write(where + "/modules.order", "drivers/nvme/target/nvmet.o\ndrivers/nvme/target/nvmet-tcp.o\n")
        self.write(where + "/drivers/nvme/target/nvmet.ko", module())
        self.write(where + "/drivers/nvme/target/nvmet-tcp.ko", module(depends="nvmet"))
        return os.path.join(self.directory, where)

    def test_built_in_place(self):
        made = kernel.from_tree(self.cache, self.build("linux"))
        self.assertEqual(made.release, RELEASE)
        self.assertEqual([os.path.basename(path) for path in made.module_files],
                         ["00-nvmet.ko", "01-nvmet_tcp.ko"])
        self.assertFalse(made.uml)

    def test_a_module_of_an_earlier_configuration_does_not_count(self):
        where = self.build("linux")
        self.write("linux/net/tls/tls.ko", module())
        self.assertNotIn("02-tls.ko", [os.path.basename(path) for path
                                       in kernel.from_tree(self.cache, where).module_files])

    def test_output_directory_and_the_tree_it_belongs_to(self):
        output = self.build("linux/out")
        os.symlink("..", os.path.join(output, "source"))
        self.assertEqual(tree.find(output), tree.find(os.path.join(self.directory, "linux")))

    def test_kbuild_output(self):
        output = self.build("elsewhere")
        self.write("linux/Makefile", "")
        with mock.patch.dict(os.environ, KBUILD_OUTPUT=output):
            self.assertEqual(tree.find(os.path.join(self.directory, "linux")).image, tree.find(output).image)

    def test_two_outputs_must_be_told_apart(self):
        for name in ("linux/a", "linux/b"):
            os.symlink("..", os.path.join(self.build(name), "source"))
        self.assert_error(EXIT_USAGE, "more than once; name one of .*linux/[ab], .*linux/[ab]", tree.find,
                          os.path.join(self.directory, "linux"))

    def test_the_newer_image_counts(self):
        where = self.build("linux")
        newer = self.write("linux/vmlinux", vmlinux())
        os.utime(os.path.join(where, "arch/x86/boot/bzImage"), (1, 1))
        self.assertEqual(tree.find(where).image, newer)

    def test_not_built(self):
        self.write("linux/.config", complete_config())
        for where in (os.path.join(self.directory, "linux"), self.directory):
            self.assert_error(EXIT_USAGE, "build it, or name the O= directory", tree.find, where)
        self.assert_error(EXIT_USAGE, "no such directory", tree.find, "/no/tree")

    def test_image_of_an_earlier_checkout(self):
        self.assert_error(EXIT_CANNOT_JUDGE, f"is kernel {RELEASE}, but the tree is at 7.9.2; build it again",
                          kernel.from_tree, self.cache, self.build("linux", release="7.9.2"))

    def test_modules_of_another_version(self):
        where = self.build("linux")
        self.write("linux/drivers/nvme/target/nvmet.ko", module("7.9.0"))
        self.assert_error(EXIT_CANNOT_JUDGE, f"module nvmet is for kernel 7.9.0, the image is {RELEASE}",
                          kernel.from_tree, self.cache, where)

    def test_without_nvme_target_and_tls(self):
        where = self.build("linux", settings=complete_config(NVME_TARGET=None, TLS=None))
        self.assert_error(EXIT_CANNOT_JUDGE, "without CONFIG_NVME_TARGET, CONFIG_TLS;",
                          kernel.from_tree, self.cache, where)

    def test_image_for_another_machine(self):
        where = self.build("linux")
        self.write("linux/arch/x86/boot/bzImage", vmlinux(183))
        self.assert_error(EXIT_CANNOT_JUDGE, "is for arm64", kernel.from_tree, self.cache, where)

    def test_user_mode_linux(self):
        where = self.build("linux", "linux", complete_config(UML="y"))
        self.write("linux/linux", vmlinux() + b"User Mode Linux v%s")
        self.write("linux/modules.order", "")
        made = kernel.from_tree(self.cache, where)
        self.assertTrue(made.uml)
        self.assertTrue(os.access(made.vmlinux, os.X_OK))


class UmlTest(DirectoryCase):
    PROGRAM = vmlinux() + b"User Mode Linux v%s"

    def test_no_user_mode_linux(self):
        for data, pattern in ((b"#!/bin/sh\n", "is no User-Mode Linux; build it with ARCH=um"),
                              (vmlinux(), "is no User-Mode Linux"),
                              (vmlinux(183) + b"User Mode Linux v", "is for arm64; the gate runs x86-64")):
            path = self.write("linux", data)
            self.assert_error(EXIT_CANNOT_JUDGE, pattern, kernel.from_image, self.cache, path, None, None, True)
        self.assert_error(EXIT_USAGE, "No such file", kernel.from_image, self.cache, "/no/linux", None, None, True)
        path = self.write("linux", self.PROGRAM)
        self.assert_error(EXIT_USAGE, "give it to --uml", kernel.from_image, self.cache, path)

    def test_needs_what_user_mode_linux_needs(self):
        path = self.write("linux", self.PROGRAM)
        settings = self.write("config", complete_config(UML="y", PVH=None, UML_NET_VECTOR=None, KEYS=None))
        self.assert_error(EXIT_CANNOT_JUDGE, "without CONFIG_KEYS, CONFIG_UML_NET_VECTOR=y;", kernel.from_image,
                          self.cache, path, None, settings, True)

    def test_configuration_inside_the_program(self):
        text = complete_config(UML="y", TLS=None).encode()
        path = self.write("linux", self.PROGRAM + b"IKCFG_ST" + gzip.compress(text) + b"IKCFG_ED")
        self.assert_error(EXIT_CANNOT_JUDGE, "without CONFIG_TLS;", kernel.from_image, self.cache, path, None,
                          None, True)

    def test_one_kernel_must_be_named(self):
        for request in (gate.Request(uml="x", kernel="7.3.4"), gate.Request(tree="x", image="y")):
            self.assert_error(EXIT_USAGE, "name one kernel.*--uml", gate.prepare, request)

    def test_only_as_a_target_from_outside(self):
        prepared = mock.Mock(kernel=mock.Mock(uml=True), request=gate.Request(directory=self.directory))
        for guest in (gate.GuestBase(prepared), gate.GuestBase(prepared, (1,), {4420: 5555})):
            self.assert_error(EXIT_USAGE, "--host and --console need another kernel", guest.__enter__)

    def machine(self, script):
        """machine is a shell script in the place of a User-Mode Linux."""
        program = self.write("linux", "#!/bin/sh\n" + script, 0o755)
        made = uml.Machine(qemu.Setup(program, "/dev/null", self.directory, forwards=(4420, 4421)))
        self.addCleanup(made.stop)
        with mock.patch("harness.vm.namespace.enter"), \
                mock.patch("harness.vm.namespace.open_tap", lambda: os.open("/dev/null", os.O_RDWR)):
            return made.start()

    def test_ready_and_stopped(self):
        machine = self.machine('echo "NVME-CONFORM READY 7.3.4 taint 0"; exec sleep 60')
        self.assertEqual(machine.wait_ready(seconds=5), "7.3.4 taint 0")
        self.assertEqual((machine.address, machine.ports), ("10.0.2.15", {4420: 4420, 4421: 4421}))
        pid = machine.pid
        machine.stop()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_the_control_channel_is_inherited(self):
        machine = self.machine('for word; do case $word in ssl0=fd:*) fd=${word#ssl0=fd:};; esac; done\n'
                               'echo "NVME-CONFORM READY"; read -r number rest <&$fd\n'
                               'echo "$number 0 $(echo heard | base64)" >&$fd; exec sleep 60')
        machine.wait_ready(seconds=5)
        self.assertEqual(machine.control.run("true").output, "heard\n")

    def test_refuses_to_start(self):
        with self.assertRaisesRegex(GateError, "User-Mode Linux cannot start: no memory") as caught:
            self.machine('echo "no memory" >&2; exit 1')
        self.assertEqual(caught.exception.exit_status, EXIT_TOOL)

    def test_nothing_of_this_machine_is_mounted(self):
        argv = uml.command_line(qemu.Setup("linux", "initrd", "/run/x", append="a=b"), 7, 8)
        self.assertIn("ssl0=fd:7", argv)
        self.assertIn("vec0:transport=fd,fd=8,vec=0", argv)
        self.assertIn("a=b", argv)
        self.assertFalse([word for word in argv if "hostfs" in word or word.startswith("ubd")])

    def test_lock_debugging_wants_queues(self):
        argv = uml.command_line(qemu.Setup("linux", "initrd", "/run/x", lock_debugging=True), 7, 8)
        self.assertIn("vec0:transport=fd,fd=8", argv)


class FramesTest(unittest.TestCase):
    def test_whole_frames_both_ways_until_the_guest_is_gone(self):
        wire, tap = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        guest, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with wire, tap, guest, ours:
            fds = [tap.fileno(), ours.fileno()]
            pump = subprocess.Popen([sys.executable, "-S", uml.FRAMES, *map(str, fds)], pass_fds=fds)
            self.addCleanup(pump.kill)
            for each in (wire, guest):
                each.settimeout(10)
            ours.close()
            for frame in (b"one", b"two" * 400):
                wire.send(frame)
                self.assertEqual(guest.recv(4096), frame)
                guest.send(frame[::-1])
                self.assertEqual(wire.recv(4096), frame[::-1])
            guest.close()
            self.assertEqual(pump.wait(10), 0)


IN_NAMESPACE = """
import json, os, socket, sys
from harness.vm import namespace
from harness.vm.errors import GateError
try:
    namespace.enter()
    tap = namespace.open_tap()
except GateError as error:
    print(json.dumps({"refused": error.message}))
    sys.exit()
namespace.enter()
found = {"interfaces": sorted(name for _, name in socket.if_nameindex()), "uid": os.getuid()}
with socket.socket() as inside:
    inside.settimeout(5)
    found["outside"] = inside.connect_ex(("127.0.0.1", int(sys.argv[1])))
with socket.create_server((namespace.OURS, 0)) as server, socket.create_connection(server.getsockname()[:2], 5):
    found["inside"] = True
os.close(tap)
found["left"] = sorted(name for _, name in socket.if_nameindex())
print(json.dumps(found))
"""


class NamespaceTest(unittest.TestCase):
    def test_its_network_is_its_own(self):
        with qemu.socket.create_server(("127.0.0.1", 0)) as server:
            done = subprocess.run([sys.executable, "-c", IN_NAMESPACE, str(server.getsockname()[1])], cwd=ROOT,
                                  capture_output=True, text=True, check=False, timeout=60)
        found = json.loads(done.stdout or "{}")
        if "refused" in found:
            self.skipTest(found["refused"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(found["interfaces"], ["guest0", "lo"])
        self.assertEqual(found["uid"], os.getuid())
        self.assertNotEqual(found["outside"], 0)
        self.assertTrue(found["inside"])
        self.assertEqual(found["left"], ["lo"])


class CommandTest(unittest.TestCase):
    def assert_refused(self, argv, pattern):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), "gate", *argv],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, EXIT_USAGE)
        self.assertRegex(done.stderr, pattern)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_what_does_not_go_together(self):
        self.assert_refused([], "name one kernel")
        self.assert_refused(["--tree", "x", "--config", "y"], "--tree finds modules and configuration itself")
        self.assert_refused(["--kernels", "7.3.4", "--uml", "x"], "--kernels does not go with --uml")
        self.assert_refused(["--tree", "/no/tree"], "no such directory")

    def test_the_same_kernel_again(self):
        words = options.parse(["--uml", "linux", "--config", "c"])
        self.assertEqual(options.which_kernel(words), ["--uml", "linux", "--config", "c"])
        self.assertEqual(options.which_kernel(options.parse(["--tree", "t"])), ["--tree", "t"])


class OwnKernelTest(DirectoryCase):
    def test_each_patch_says_what_it_puts_back(self):
        self.assertIn("forget-tls-key-on-success", own_kernel.patches())
        for name in own_kernel.patches():
            with open(os.path.join(own_kernel.PATCHES, name + ".patch"), encoding="utf-8") as file:
                head, _, rest = file.read().partition("\n--- a/")
            self.assertGreater(len(head), 100, name)
            self.assertIn("\n+++ b/drivers/nvme/target/", rest)

    @unittest.skipUnless(shutil.which("patch"), "the program patch is not installed (Debian package patch)")
    def test_patch_comes_and_goes(self):
        self.write("source/f", "old\n")
        patch = self.write("p.patch", "why\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old\n+new\n")
        source, log = os.path.join(self.directory, "source"), os.path.join(self.directory, "log")
        with own_kernel.patched(source, patch, log):
            with open(os.path.join(source, "f"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "new\n")
        with open(os.path.join(source, "f"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "old\n")
        self.write("source/f", "something else\n")
        with self.assertRaisesRegex(GateError, "p.patch on .* failed"):
            with own_kernel.patched(source, patch, log):
                self.fail("a patch that does not apply was applied")

    def make(self, script):
        """make puts a shell script in the place of make(1); where it goes on, the configuration is the fragment's."""
        self.write("bin/make", f"#!/bin/sh\n{script}\n"
                   'for word; do case $word in O=*) cd "${word#O=}";; esac; done\n'
                   '{ cat gate.config; case $* in *ARCH=um*) echo CONFIG_UML=y;; esac; } | grep -v "$DROPPED" >.config\n', 0o755)
        return mock.patch.dict(os.environ, PATH=os.path.join(self.directory, "bin") + ":" + os.environ["PATH"])

    def test_build_uses_the_fragment(self):
        output = os.path.join(self.directory, "out")
        with self.make('echo "$@"; DROPPED=none'):
            own_kernel.build("/src", output, "uml", 3, 60)
        with open(os.path.join(output, "build.log"), encoding="utf-8") as file:
            said = file.read()
        self.assertEqual(said, f"-C /src O={output} ARCH=um KCONFIG_ALLCONFIG={output}/gate.config allnoconfig\n"
                         f"-C /src O={output} ARCH=um -j3 linux\n")
        with open(os.path.join(output, "gate.config"), encoding="utf-8") as file:
            self.assertEqual(file.read(), config.fragment("uml"))

    def test_build_that_fails_or_hangs(self):
        output = os.path.join(self.directory, "out")
        with self.make('echo "x.c:1: error: no"; echo later; exit 2'):
            self.assert_error(EXIT_TOOL, "make allnoconfig failed: x.c:1: error: no; see", own_kernel.build, "/src",
                              output, "x86", 1, 60)
        with self.make("DROPPED=CONFIG_KASAN="):
            self.assert_error(EXIT_CANNOT_JUDGE, "make allnoconfig dropped CONFIG_KASAN=y of the debug fragment", own_kernel.build,
                              "/src", output, "debug", 1, 60)
        with self.make('case $* in *bzImage) exec sleep 60;; esac; DROPPED=none'):
            self.assert_error(EXIT_TOOL, "make did not end within 0 s", own_kernel.build, "/src", output, "x86", 1, 0.2)

    def test_unknown_patch(self):
        self.assert_error(EXIT_USAGE, "no patch no-such-bug; there are forget-tls-key-on-success,", own_kernel.run,
                          own_kernel.parse(["no-such-bug"]))


if __name__ == "__main__":
    unittest.main()
