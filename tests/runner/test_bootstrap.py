# SPDX-License-Identifier: BSD-3-Clause
"""harness/bootstrap on made-up machines: what is installed, who runs it and what apt-get does are stand-ins."""

import os
import shutil
import subprocess

from support import ROOT, SECONDS, RunnerTest

TOOLS = ("sh", "sed", "tr", "dirname", "cat", "tail", "mktemp", "rm", "getconf")


class Bootstrap(RunnerTest):
    def setUp(self):
        super().setUp()
        for name in ("tree", "tree/harness", "tree/harness/vm", "bin", "installed"):
            os.mkdir(self.path(name))
        for name in ("harness/bootstrap", "harness/packages.txt", "harness/vm/requirements"):
            shutil.copy(os.path.join(ROOT, name), self.path("tree", name))
        for name in TOOLS:
            os.symlink(shutil.which(name), self.path("bin", name))
        self.stand_in("id", "echo 0")
        self.stand_in("make", 'echo "make $*" >>"$SAID"')
        self.stand_in("dpkg-query", '[ -e "$INSTALLED/$4" ] && printf installed')
        self.stand_in("apt-get", 'echo "apt-get $*" >>"$SAID"', 'case $* in *install*) shift 5; for p; do :>"$INSTALLED/$p"; done;;'
                      " esac")
        with open(os.path.join(ROOT, "harness", "packages.txt"), encoding="utf-8") as file:
            self.packages = [line.strip() for line in file if not line.startswith("#")]

    def stand_in(self, name, *lines):
        path = self.path("bin", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(["#!/bin/sh", *lines, ""]))
        os.chmod(path, 0o700)

    def install(self, *packages):
        for name in packages:
            self.file(os.path.join("installed", name), "")

    def bootstrap(self, *args):
        env = {"PATH": self.path("bin"), "SAID": self.path("said"), "INSTALLED": self.path("installed")}
        return subprocess.run([shutil.which("sh"), self.path("tree/harness/bootstrap"), *args], capture_output=True, text=True,
                              timeout=SECONDS, env=env, check=False)

    def said(self):
        try:
            with open(self.path("said"), encoding="utf-8") as file:
                return file.read().splitlines()
        except OSError:
            return []

    def test_bare_machine_as_root_and_once_more(self):
        done = self.bootstrap("run")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = self.said()
        self.assertEqual(len(said), 4, said)
        self.assertTrue(said[0].endswith("update"), said)
        self.assertEqual(said[1].split()[-len(self.packages):], self.packages)
        self.assertEqual(said[3], "make -s run")
        done = self.bootstrap("check")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual([line.split()[0] for line in self.said()[4:]], ["make", "make"])

    def test_only_what_is_missing(self):
        self.install(*(name for name in self.packages if name != "check"))
        self.assertEqual(self.bootstrap("run").returncode, 0)
        self.assertTrue(self.said()[1].endswith("--no-install-recommends check"))

    def test_without_root_prints_the_command(self):
        self.stand_in("id", "echo 1000")
        done = self.bootstrap("run")
        self.assertEqual((done.returncode, self.said()), (2, []))
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("sudo apt-get install -y --no-install-recommends " + " ".join(self.packages), done.stderr)

    def test_not_debian(self):
        os.unlink(self.path("bin", "dpkg-query"))
        done = self.bootstrap("check")
        self.assertEqual((done.returncode, self.said()), (2, []))
        self.assertIn("no Debian system", done.stderr)

    def test_no_apt(self):
        os.unlink(self.path("bin", "apt-get"))
        done = self.bootstrap("check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("apt-get is missing", done.stderr)

    def test_no_network(self):
        self.stand_in("apt-get", "echo 'Could not resolve deb.debian.org' >&2", "exit 100")
        done = self.bootstrap("run")
        self.assertEqual((done.returncode, self.said()), (1, []))
        self.assertIn("Could not resolve", done.stderr)
        self.assertIn("is there a network", done.stderr)

    def test_apt_that_installs_nothing(self):
        self.stand_in("apt-get", "exit 0")
        done = self.bootstrap("run")
        self.assertEqual((done.returncode, self.said()), (1, []))
        self.assertIn("still missing", done.stderr)

    def test_gate_needs_more(self):
        self.install(*self.packages)
        self.stand_in("id", "echo 1000")
        done = self.bootstrap("gate", "--kernel", "7.3.4")
        self.assertEqual(done.returncode, 2)
        self.assertIn("qemu-system-x86", done.stderr)

    def test_usage(self):
        for args in ((), ("fly",), ("run", "more")):
            done = self.bootstrap(*args)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage:", done.stderr)
