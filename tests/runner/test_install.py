# SPDX-License-Identifier: BSD-3-Clause
"""`make install`, `make uninstall` and `make deb`: what they leave works on its own, from any directory."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from support import ROOT

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
BUILD = os.path.dirname(os.path.realpath(ENGINE))
TOOLS = ("make", "cc", "pkg-config")
SECONDS = 300    # strip and xz on a busy machine

# Every installed header in one file, and one function each of the library's ends, so that the linker needs what they need.
USER = """%s
int main(void)
{
	struct nvc_sim *sim = nvc_sim_new(1);
	struct nvc_world world = nvc_sim_world(sim);
	struct nvc_host host;

	nvc_host_init(&host, &world);
	nvc_host_fini(&host);
	nvc_sim_free(sim);
	return nvc_requirement(REQ_C_205)->id[0] == 'C' ? 0 : 1;
}
"""


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"{ENGINE} is not built")
@unittest.skipUnless(all(map(shutil.which, TOOLS)), f"needs {' '.join(TOOLS)}")
class Install(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="nvme-conform-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.prefix = os.path.join(self.directory, "prefix")
        self.elsewhere = os.path.join(self.directory, "elsewhere")
        os.mkdir(self.elsewhere)

    def call(self, *argv, status=0, **kwargs):
        """call runs a program elsewhere, without what the tests of the tree set, and returns its standard output."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("NVME_CONFORM", "MAKE", "MFLAGS", "PYTHON"))}
        env["PKG_CONFIG_PATH"] = os.path.join(self.prefix, "lib", "pkgconfig")
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, env=env, cwd=self.elsewhere, check=False, **kwargs)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def make(self, *targets):
        return self.call("make", "-s", "-C", ROOT, f"BUILD={BUILD}", f"PREFIX={self.prefix}", *targets)

    def files(self):
        return [os.path.join(place, name) for place, _, names in os.walk(self.prefix) for name in names]

    def test_installed_command_and_its_end(self):
        self.make("install")
        command = os.path.join(self.prefix, "bin", "nvme-conform")
        self.assertEqual(self.call(command, "run", "replace.second/sha256", "--seed", "1").count("PASS"), 1)
        self.call(command, "run", "replace.second/sha256", "--seed", "1", "--defect", "free-sq-on-success", "--output-dir", "broken", status=1)
        with open(os.path.join(self.elsewhere, "broken", "results.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["cases"][0]["requirement"], "C-205")
        self.call(command, "report", "broken")
        self.assertTrue(os.path.exists(os.path.join(self.elsewhere, "report.html")))
        self.assertIn("--kernel", self.call(command, "gate", "--help"))
        self.assertIn("C-205", self.call(command, "list", "--requirements"))
        wireshark = os.path.join(self.prefix, "share", "nvme-conform", "wireshark")
        for name in ("README.md", "nvme-auth.lua", "profile/preferences", "profile/colorfilters"):
            self.assertTrue(os.path.isfile(os.path.join(wireshark, name)), name)
        self.make("uninstall")
        self.assertEqual(self.files(), [])

    def test_library_for_other_programs(self):
        self.make("install-library")
        include = os.path.join(self.prefix, "include", "nvmeconform")
        headers = [os.path.relpath(path, include) for path in sorted(self.files()) if path.endswith(".h")]
        self.assertIn("target/target.h", headers)
        source = os.path.join(self.elsewhere, "user.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(USER % "\n".join(f'#include "{header}"' for header in headers))
        flags = self.call("pkg-config", "--cflags", "--libs", "libnvmeconform").split()
        self.call("cc", "-std=c17", "-Wall", "-Werror", "-o", "user", source, *flags)
        self.call(os.path.join(self.elsewhere, "user"))

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "needs dpkg-shlibdeps (Debian package dpkg-dev)")
    def test_debian_packages(self):
        output = os.path.join(self.directory, "packages")
        self.call(os.path.join(ROOT, "harness", "deb"), BUILD, "1.2.3", output)
        names = sorted(name for name in os.listdir(output) if name.endswith(".deb"))
        self.assertEqual([name.split("_")[:2] for name in names], [["libnvmeconform-dev", "1.2.3"], ["nvme-conform", "1.2.3"]])
        root = os.path.join(self.directory, "root")
        for name in names:
            self.call("dpkg-deb", "--extract", os.path.join(output, name), root)
        depends = self.call("dpkg-deb", "--field", os.path.join(output, names[1]), "Depends")
        for package in ("libssl3", "libjansson4", "python3"):
            self.assertIn(package, depends)
        self.call(os.path.join(root, "usr", "bin", "nvme-conform"), "run", "auth.t-id/ffffh", "--seed", "1")


if __name__ == "__main__":
    unittest.main()
