# SPDX-License-Identifier: BSD-3-Clause
"""The file formats that harness/vm reads and writes: apt sources, cpio, cache, profile, keys."""

import json
import os
import stat
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import cache, cpio, credentials, initramfs, nvmet, profile, sources  # noqa: E402
from harness.vm.errors import EXIT_TOOL, GateError  # noqa: E402


class SourcesTest(unittest.TestCase):
    def test_one_line_format(self):
        text = ("# deb http://commented.example/debian bookworm main\n"
                "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] "
                "http://mirror.example/debian/ trixie main contrib # why\n"
                "deb-src http://mirror.example/debian trixie main\n")
        found = sources.parse_list(text)
        self.assertEqual(found[0], sources.Source(("deb",), "http://mirror.example/debian",
                                                  ("trixie",), ("main", "contrib")))
        self.assertEqual(len(found), 2)

    def test_deb822_format(self):
        text = ("Types: deb deb-src\n# a comment inside\nURIs: http://a.example/debian\n"
                "  http://b.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
                "\nEnabled: no\nTypes: deb\nURIs: http://c.example/debian\nSuites: sid\n"
                "Components: main\n")
        self.assertEqual([each.uri for each in sources.parse_deb822(text)],
                         ["http://a.example/debian", "http://b.example/debian"])

    def test_security_and_foreign_archives_are_no_mirror(self):
        text = ("deb http://sec.example/debian-security bookworm-security main\n"
                "deb https://packages.example/apt cloud-sdk-bookworm main\n"
                "deb-src http://source.example/debian bookworm main\n"
                "deb http://right.example/debian bookworm-updates main\n")
        self.assertEqual(sources.debian_mirror(sources.parse_list(text)),
                         "http://right.example/debian")
        self.assertIsNone(sources.debian_mirror(sources.parse_list(text.splitlines()[0])))

    def test_machine_files_are_found(self):
        with tempfile.TemporaryDirectory() as etc:
            os.mkdir(os.path.join(etc, "sources.list.d"))
            with open(os.path.join(etc, "sources.list.d", "debian.sources"), "w",
                      encoding="ascii") as file:
                file.write("Types: deb\nURIs: http://m.example/debian\nSuites: trixie\n"
                           "Components: main\n")
            self.assertEqual(sources.debian_mirror(sources.read_machine(etc)),
                             "http://m.example/debian")


def read_newc(data):
    """read_newc is an independent reader: {name: (mode, rdev major, contents)}, in order."""
    found, position = {}, 0
    while True:
        header = data[position:position + 110]
        assert header[:6] == b"070701", position
        field = [int(header[6 + 8 * i:14 + 8 * i], 16) for i in range(13)]
        name = data[position + 110:position + 110 + field[11] - 1].decode()
        start = position + 110 + field[11] + 3 & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (field[1], field[9], data[start:start + field[6]])
        position = start + field[6] + 3 & ~3


class CpioTest(unittest.TestCase):
    def test_members_come_back(self):
        archive = cpio.Archive()
        archive.file("a/b/odd", b"12345", 0o600)
        archive.symlink("bin", "usr/bin")
        archive.character_device("dev/console", 5, 1)
        archive.directory("a/b")
        data = archive.finish()
        found = read_newc(data)
        self.assertEqual(list(found), ["a", "a/b", "a/b/odd", "bin", "dev", "dev/console"])
        self.assertEqual(found["a/b/odd"], (stat.S_IFREG | 0o600, 0, b"12345"))
        self.assertEqual(found["bin"], (stat.S_IFLNK | 0o777, 0, b"usr/bin"))
        self.assertEqual(found["dev/console"][:2], (stat.S_IFCHR | 0o600, 5))
        self.assertTrue(stat.S_ISDIR(found["a"][0]))
        self.assertEqual(len(data) % 512, 0)

    def test_same_input_same_bytes(self):
        def make():
            archive = cpio.Archive()
            archive.file("x", b"y")
            return archive.finish()
        self.assertEqual(make(), make())

    def test_run_archive_has_init_and_guards_secrets(self):
        found = read_newc(initramfs.run_archive({"setup.sh": "true\n", "psk/0.key": b"\0\xff"}))
        self.assertEqual(found["init"][0], stat.S_IFREG | 0o755)
        self.assertEqual(found["conf/psk/0.key"], (stat.S_IFREG | 0o600, 0, b"\0\xff"))


class CacheTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.cache = cache.Cache(self.directory.name)

    def add(self, contents=b"package"):
        path = os.path.join(self.directory.name, "download")
        with open(path, "wb") as file:
            file.write(contents)
        return {"file": "p_1_amd64.deb", "sha256": self.cache.add_package(path)}

    def test_set_needs_all_its_packages(self):
        entry = self.add()
        self.cache.write_set("linux-1", [entry])
        self.assertEqual(self.cache.read_set("linux-1"), [entry])
        os.unlink(self.cache.package(entry["sha256"]))
        self.assertIsNone(self.cache.read_set("linux-1"))
        self.assertIsNone(self.cache.read_set("linux-2"))

    def test_changed_package_is_refused(self):
        entry = self.add()
        with open(self.cache.package(entry["sha256"]), "ab") as file:
            file.write(b"!")
        with self.assertRaisesRegex(GateError, "p_1_amd64.deb.*corrupt") as caught:
            self.cache.checked_package(entry)
        self.assertEqual(caught.exception.exit_status, EXIT_TOOL)

    def test_failed_build_leaves_nothing(self):
        def fail(directory):
            with open(os.path.join(directory, "half"), "wb"):
                raise GateError("no")
        with self.assertRaises(GateError):
            self.cache.build("thing", fail)
        self.assertEqual(os.listdir(self.cache.path("built")), [])

    def test_build_happens_once(self):
        calls = []
        for _ in range(2):
            self.cache.build("thing", calls.append)
        self.assertEqual(len(calls), 1)

    def test_unusable_directory(self):
        with self.assertRaisesRegex(GateError, "--cache DIR"):
            cache.Cache("/proc/self/nvme-conform")


class CredentialsTest(unittest.TestCase):
    def vectors(self, chapter):
        with open(os.path.join(ROOT, "tests/vectors/vectors.json"), encoding="utf-8") as file:
            return json.load(file)[chapter]

    def test_psk_chain(self):
        entries = self.vectors("retained_psk")
        self.assertTrue(entries)
        for entry in entries:
            psk = bytes.fromhex(entry["configured_psk"])
            names = entry["hostnqn"], entry["subnqn"]
            self.assertEqual(credentials.psk_interchange(psk, entry["retained_hash"]),
                             entry["interchange"])
            retained = credentials.retained_psk(psk, entry["retained_hash"], names[0])
            self.assertEqual(retained.hex(), entry["retained_psk"])
            for version in (0, 1):
                identity, context = credentials.psk_identity(retained, entry["cipher_hash"],
                                                             version, *names)
                self.assertEqual(identity, entry[f"identity_v{version}"])
                self.assertEqual(
                    credentials.tls_psk(retained, entry["cipher_hash"], context).hex(),
                    entry[f"tls_psk_v{version}"])

    def test_secret_text(self):
        checked = 0
        for entry in self.vectors("dhchap_secret_parse"):
            if entry["spec_valid"]:
                self.assertEqual(credentials.dhchap_secret(bytes.fromhex(entry["key"]),
                                                           entry["hash_id"]), entry["secret"])
                checked += 1
        self.assertGreater(checked, 0)


class ProfileTest(unittest.TestCase):
    def setUp(self):
        self.profile = profile.make(b"seed")

    def test_every_combination_is_there_once(self):
        matrix = [(host["hash"], host["dhgroup"], host["dhchap_ctrl_secret"] is not None)
                  for host in self.profile["hosts"] if host["purpose"] == "matrix"]
        self.assertEqual(len(matrix), 36)
        self.assertEqual(set(matrix), {(h, g, w) for h in (1, 2, 3) for g in range(6)
                                       for w in (False, True)})

    def test_identities_and_secrets_are_unique(self):
        for field in ("name", "hostnqn", "hostid"):
            values = [host[field] for host in self.profile["hosts"]]
            self.assertEqual(len(values), len(set(values)), field)
        values = [host[field] for host in self.profile["hosts"]
                  for field in ("dhchap_secret", "dhchap_ctrl_secret") if host[field]]
        self.assertEqual(len(values), len(set(values)))

    def test_seed_decides(self):
        self.assertEqual(self.profile, profile.make(b"seed"))
        self.assertNotEqual(self.profile, profile.make(b"other"))

    def test_rejected_entries_leave(self):
        name = self.profile["hosts"][3]["name"]
        profile.without(self.profile, {name})
        self.assertEqual(self.profile["rejected"], [name])
        self.assertNotIn(name, [host["name"] for host in self.profile["hosts"]])

    def test_file_is_private(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "profile.json")
            profile.write(self.profile, path)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(json.load(file), self.profile)

    def test_setup_script_configures_every_host(self):
        script = nvmet.setup_script(self.profile)
        for host in self.profile["hosts"]:
            self.assertIn(f"hosts/{host['hostnqn']}", script)
            for field in ("dhchap_secret", "dhchap_ctrl_secret"):
                if host[field]:
                    self.assertIn(host[field], script)


if __name__ == "__main__":
    unittest.main()
