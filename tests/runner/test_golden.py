# SPDX-License-Identifier: BSD-3-Clause
"""The golden captures get the verdicts that their manifest explains; skipped, with the reason, where the engine is not built."""

import json
import os
import shutil
import struct
import subprocess
import unittest

from support import ROOT, SECONDS
from harness.vm import profile, recording

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
CAPTURES = os.path.join(ROOT, "captures")


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
class Golden(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(CAPTURES, "manifest.json"), encoding="utf-8") as file:
            self.manifest = json.load(file)
        self.entries = self.manifest["captures"]

    def test_every_file_has_an_entry(self):
        files = {name for name in os.listdir(CAPTURES) if name.endswith((".pcap", ".pcapng"))}
        self.assertEqual(files, {entry["file"] for entry in self.entries})

    def test_every_file_is_small_and_can_be_made_anew(self):
        for entry in self.entries:
            with self.subTest(entry["file"]):
                self.assertLess(os.path.getsize(os.path.join(CAPTURES, entry["file"])), 100_000)
                self.assertTrue("case" in entry or {"kernel", "host", "target"} <= entry.keys())
                self.assertTrue(entry["shows"])

    def blocks(self, data):
        """blocks returns those of a pcapng, each as (type, bytes)."""
        found, at = [], 0
        while at < len(data):
            kind, size = struct.unpack_from("<II", data, at)
            found.append((kind, data[at : at + size]))
            at += size
        return found

    def test_interfaces_come_first(self):
        """Wireshark's editcap and mergecap read no file whose secrets come before its interface."""
        for entry in self.entries:
            with self.subTest(entry["file"]):
                with open(os.path.join(CAPTURES, entry["file"]), "rb") as file:
                    data = file.read()
                self.assertEqual([kind for kind, _ in self.blocks(data)[:2]], [0x0A0D0D0A, 1])
                self.assertEqual(recording.interfaces_first(data), data)
                if shutil.which("editcap"):
                    subprocess.run(["editcap", os.path.join(CAPTURES, entry["file"]), os.devnull], check=True, capture_output=True,
                                   timeout=SECONDS)
                # As editcap writes it: nothing but the order changes.
                head, interface, *rest = self.blocks(data)
                self.assertEqual(recording.interfaces_first(b"".join(block for _, block in [head, *rest, interface])), data)

    def judge(self, entry, **config):
        """judge returns what the engine says at the end of a capture."""
        config = {"file": os.path.join(CAPTURES, entry["file"]), "conversation": False, **config}
        done = subprocess.run([ENGINE, "replay"], input=json.dumps(config), text=True, capture_output=True, timeout=SECONDS, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def secrets(self, entry):
        """secrets returns those of the target of a capture: of the embedded one, or of a profile."""
        if "kernel" not in entry and "interface" not in entry:
            return {"reference": 1}
        made = profile.make(self.manifest["seed"].encode())
        return [{"subnqn": made["subnqn"], **{name: host[name] for name in ("hostnqn", "dhchap_secret", "dhchap_ctrl_secret") if host[name]}}
                for host in made["hosts"]]

    def test_proofs(self):
        for entry in self.entries:
            with self.subTest(entry["file"]):
                end = self.judge(entry, identities=self.secrets(entry))
                self.assertEqual({name: end[name] for name in ("responses", "identities", "binders") if end[name]}, entry.get("proofs", {}))
                self.assertEqual(end["verdict"], entry.get("with_secrets", entry["verdict"]), end)

    def test_verdicts(self):
        for entry in self.entries:
            with self.subTest(entry["file"]):
                end = self.judge(entry)
                self.assertEqual(end["verdict"], entry["verdict"], end)
                for member, level in (("violations", "shall"), ("warnings", "should")):
                    self.assertEqual([item["requirement"] for item in end["violations"] if item["level"] == level],
                                     entry.get(member, []))
                self.assertEqual((end["judged_tls"], end["secrets"]), (entry.get("tls", 0), entry.get("keys", 0)))
                self.assertIn(entry.get("reason", ""), end["reason"])


if __name__ == "__main__":
    unittest.main()
