# SPDX-License-Identifier: BSD-3-Clause
"""The daemon: what its engine is told, what it relays, and how it ends."""

import json
import select
import signal
import subprocess
import sys

from support import COMMAND, HOSTNQN, PSK, SECRET, RunnerTest


class Target(RunnerTest):
    def start(self, *args):
        """start runs the daemon until its first line, ends it with SIGTERM and returns (first line, what the engine got)."""
        stored = self.path("config.json")
        process = subprocess.Popen([sys.executable, COMMAND, "target", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.environment({"config_to": stored}), cwd=self.directory)
        try:
            ready = select.select([process.stdout], [], [], 20)[0]
            self.assertTrue(ready, "no line within 20 s")
            line = process.stdout.readline()
            while line and not line.startswith("listening"):
                line = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        self.assertEqual((process.returncode, errors), (0, ""))
        with open(stored, encoding="utf-8") as file:
            return line, json.load(file)

    def test_open_target(self):
        line, config = self.start("-a", "127.0.0.1", "-s", "4450", "--plain-port", "4451")
        self.assertEqual(line, "listening: concat 4450, plain 4451\n")
        self.assertIsNone(config["target"]["hosts"][0]["dhchap_secret"])
        self.assertTrue(config["target"]["subnqn"].startswith("nqn."))
        self.assertEqual((config["concat"], config["tls"]), ("allowed", "allowed"))

    def test_host_with_secret_that_must_concatenate(self):
        _, config = self.start("-a", "127.0.0.1", "-q", HOSTNQN, "-S", SECRET, "--concat", "--defect", "row-7")
        self.assertEqual(config["target"]["hosts"][0]["dhchap_secret"], SECRET)
        self.assertEqual((config["concat"], config["defects"]), ("required", ["row-7"]))

    def test_tls_port(self):
        _, config = self.start("-a", "127.0.0.1", "-q", HOSTNQN, "--tls", "--tls-key", PSK)
        self.assertEqual(config["target"]["ports"], {"concat": None, "tls": 4420, "plain": None})

    def test_mistakes(self):
        self.assert_refused(self.invoke("target"), "-a 127.0.0.1")
        self.assert_refused(self.invoke("target", "-a", "127.0.0.1", "--defect", "x"), "x")
        self.assert_refused(self.invoke("target", "-a", "127.0.0.1", fake={"refuse": "port 4420: in use"}), "in use")
