# SPDX-License-Identifier: BSD-3-Clause
"""nvme-cli's options mean here what they mean there, and every mistake is one line and exit status 2."""

import json
import re
import os
import socket
import subprocess

from support import COMMAND, HOSTNQN, PSK, REAL, ROOT, SECONDS, SECRET, SUBNQN, RunnerTest
from harness import runner

HOSTID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


class Meaning(RunnerTest):
    def test_reference_is_the_default(self):
        config = self.sent_config("--seed", "0x10", "--defect", "row-7", "--fault", "split", "--timeout", "20", "-j1")
        captures = config.pop("captures")
        self.assertEqual((captures["mode"], captures["secrets"]), ("fail", True))
        self.assertEqual(config, {
            "target": "reference", "defects": ["row-7"], "seed": 16, "timeout_s": 20, "fault": "split", "transcript": "fail",
            "keylog": None, "hdr_digest": False, "data_digest": False, "slow": False, "batch": 64,
            "cases": ["auth.pair/sha256/null", "auth.pair/sha384/ffdhe2048", "concat.replace.once",
                      "concat.replace.repeats", "timer.expires"]})

    def test_conversations_of_all_cases(self):
        config = self.sent_config("--transcript", "all")
        self.assertEqual((config["transcript"], config.get("batch")), ("all", None))  # cases that share a process tell none

    def test_real_target(self):
        config = self.sent_config("-t", "tcp", *REAL, "-s", "4421", "-S", SECRET, "-g", "-G", "-k", "7", "--concat", "--slow")
        self.assertEqual(config["target"], {
            "format": "nvme-conform-profile/1", "subnqn": SUBNQN, "addr": "127.0.0.1", "ports": {"concat": 4421, "tls": None, "plain": None}, "psks": [],
            "hosts": [{"hostnqn": HOSTNQN, "hostid": HOSTID, "hash": None, "dhgroup": None, "dhchap_secret": SECRET,
                       "dhchap_ctrl_secret": None}]})
        self.assertEqual((config["hdr_digest"], config["data_digest"], config["keep_alive_tmo"], config["slow"]),
                         (True, True, 7, True))

    def test_port_4420_is_the_default_and_tls_makes_it_a_tls_port(self):
        config = self.sent_config(*REAL, "--tls", "--tls-key", PSK)
        self.assertEqual(config["target"]["ports"], {"concat": None, "tls": 4420, "plain": None})

    def test_name_is_resolved(self):
        try:
            socket.getaddrinfo("localhost", None)
        except OSError as error:
            self.skipTest(f"this machine has no name to resolve: localhost: {error}")
        config = self.sent_config("-a", "localhost", *REAL[2:])
        self.assertIn(config["target"]["addr"], ("127.0.0.1", "::1"))

    def test_one_engine_for_a_real_target(self):
        stored = self.path("configs")
        self.run_suite(*REAL, "-j", "4", fake={"config_to": stored})
        with open(stored, encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 1)

    def test_profile_goes_to_the_engine_as_it_is(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": SUBNQN, "addr": "::1", "ports": {"concat": 1}, "hosts": [], "psks": [], "more": {"a": 1}}
        path = self.file("profile.json", json.dumps(profile), 0o644)
        self.assertEqual(self.sent_config("--profile", path)["target"], profile)


class Mistakes(RunnerTest):
    def test_each_is_one_line(self):
        missing = self.path("none")
        for args, words in (
            (["-t", "rdma"], ["rdma", "-t tcp"]),
            (["-s", "4420"], ["--trsvcid", "-a ADDR"]),
            (["-n", SUBNQN], ["--nqn", "-a ADDR"]),
            (["--concat"], ["--concat", "-a ADDR"]),
            (["-a", "127.0.0.1"], ["-n NQN"]),
            ([*REAL, "-s", "0"], ["-s", "0"]),
            ([*REAL, "-s", "65536"], ["65536"]),
            ([*REAL, "-s", "http"], ["http"]),
            (["-a", "no such host", *REAL[2:]], ["no such host"]),
            ([*REAL, "--reference"], ["--reference"]),
            ([*REAL, "--defect", "row-7"], ["--defect"]),
            ([*REAL, "--concat"], ["--concat", "-S"]),
            ([*REAL, "--tls"], ["--tls-key"]),
            ([*REAL, "--tls-key", PSK], ["--tls"]),
            ([*REAL, "--tls", "--concat", "-S", SECRET], ["exclude"]),
            ([*REAL, "-C", SECRET], ["-S"]),
            ([*REAL, "-I", "xyz"], ["--hostid", "UUID"]),
            ([*REAL[:3], "x" * 300], ["--nqn", "223"]),
            ([*REAL[:3], "subsystem"], ["not an NQN"]),
            ([*REAL, "--profile", missing], ["--profile", "--traddr"]),
            (["--profile", missing], [missing]),
            (["-J", missing], [missing]),
            (["--seed", "-1"], ["--seed"]),
            (["--seed", "99999999999999999999"], ["--seed"]),
            (["-j", "0"], ["-j"]),
            (["--timeout", "0"], ["--timeout"]),
            (["--timeout", "nan"], ["--timeout"]),
            (["--profile", self.file("p.json", "{}")], ["format", "nvme-conform-profile/1"]),
            (["--profile", self.file("q.json", json.dumps({"format": "nvme-conform-profile/1", "addr": "::1"}))], ["q.json", '"subnqn"']),
            (["--profile", self.file("r.json", json.dumps({"format": "nvme-conform-profile/1", "subnqn": SUBNQN}))], ["r.json", '"addr"']),
            (["--profile", ""], ["--profile", "is empty"]),
            ([*REAL, "-S", ""], ["--dhchap-secret", "is empty"]),
            ([*REAL[:4], "-q", ""], ["--hostnqn", "is empty"]),
            (["-a", ""], ["--traddr", "is empty"]),
            (["--fault", "fire"], ["fire", "split"]),
            (["-o", "yaml"], ["yaml"]),
            (["--hdr"], ["--hdr"]),
        ):
            with self.subTest(args):
                self.assert_refused(self.run_suite(*args), *words)

    def test_command_itself(self):
        self.assert_refused(self.invoke(), "COMMAND")
        self.assert_refused(self.invoke("rum"), "rum")

    def test_output_that_cannot_be_written_is_no_verdict(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([COMMAND, "run", "--output-dir", self.path("full")], env=self.environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
        self.assert_refused(subprocess.CompletedProcess(done.args, done.returncode, "", done.stderr), "No space left", status=3)

    def test_version_is_the_trees(self):
        with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
            version = re.search(r"^VERSION\s*:=\s*(\S+)", file.read(), re.M)[1]
        self.assertEqual(runner.__version__, version)
        self.assertIn(version, self.invoke("--version").stdout)


class LibnvmeConfig(RunnerTest):
    def write(self, tree, mode=0o600):
        return self.file("config.json", json.dumps(tree), mode)

    def tree(self, **port):
        port = {"transport": "tcp", "traddr": "127.0.0.1", "trsvcid": "4425", **port}
        return [{"hostnqn": HOSTNQN, "hostid": HOSTID, "dhchap_key": SECRET,
                 "subsystems": [{"nqn": SUBNQN, "ports": [port]}]}]

    def test_all_of_it(self):
        path = self.write(self.tree(dhchap_ctrl_key=SECRET, concat="true", hdr_digest=True, keep_alive_tmo=5))
        config = self.sent_config("-J", path)
        self.assertEqual(config["target"]["ports"]["concat"], 4425)
        self.assertEqual(config["target"]["hosts"][0],
                         {"hostnqn": HOSTNQN, "hostid": HOSTID, "hash": None, "dhgroup": None, "dhchap_secret": SECRET,
                          "dhchap_ctrl_secret": SECRET})
        self.assertEqual((config["hdr_digest"], config["keep_alive_tmo"]), (True, 5))

    def test_newer_form_with_hosts_member(self):
        config = self.sent_config("-J", self.write({"hosts": self.tree()}))
        self.assertEqual(config["target"]["subnqn"], SUBNQN)

    def test_options_win(self):
        two = self.tree()
        two[0]["subsystems"][0]["ports"].append({"transport": "tcp", "traddr": "127.0.0.2", "trsvcid": 1})
        path = self.write(two)
        self.assert_refused(self.run_suite("-J", path), "2 entries", "-a ADDR")
        self.assertEqual(self.sent_config("-J", path, "-a", "127.0.0.2")["target"]["ports"]["concat"], 1)
        self.assert_refused(self.run_suite("-J", path, "-q", "nqn.other"), "no host", "nqn.other")

    def test_none_reads_nothing(self):
        self.assertEqual(self.sent_config("-J", "none")["target"], "reference")

    def test_shared_file_with_secrets(self):
        self.assert_refused(self.run_suite("-J", self.write(self.tree(), 0o644)), "chmod 600")

    def test_not_json(self):
        path = self.file("config.json", '[{"hostnqn": \n ]')
        self.assert_refused(self.run_suite("-J", path), "line 2 column 2")

    def test_wrong_shapes(self):
        for tree in (5, [5], {"hosts": 5}, [{"subsystems": "x"}], self.tree(traddr=7), self.tree(keep_alive_tmo="x")):
            with self.subTest(tree):
                self.assert_refused(self.run_suite("-J", self.write(tree)), "config.json")

    def beside(self, **members):
        """beside writes the file that stands beside and returns its path."""
        return self.file("beside.json", json.dumps(members))

    def test_what_it_lacks_stands_beside(self):
        tree = self.tree()
        tree.append({**tree[0], "hostnqn": "nqn.2014-08.org.nvmexpress:other", "hostid": HOSTID})
        side = self.beside(hosts=[{"hostnqn": HOSTNQN, "hash": 2, "dhgroup": 3, "policy": "concat-required"},
                                  {"hostnqn": "nqn.2014-08.org.nvmexpress:open", "hostid": HOSTID}],
                           ports={"tls": 4421}, unsupported=["io-atr"])
        target = self.sent_config("-J", self.write(tree), "--beside", side)["target"]
        self.assertEqual(target["ports"], {"concat": 4425, "tls": 4421, "plain": None})
        self.assertEqual((target["subnqn"], target["addr"], target["unsupported"]), (SUBNQN, "127.0.0.1", ["io-atr"]))
        self.assertEqual([(host["hostnqn"], host.get("hash"), host.get("dhchap_secret")) for host in target["hosts"]],
                         [(HOSTNQN, 2, SECRET), ("nqn.2014-08.org.nvmexpress:other", None, SECRET),
                          ("nqn.2014-08.org.nvmexpress:open", None, None)])

    def test_beside_is_held_against_it(self):
        path = self.write(self.tree())
        for members, said in (({"addr": "::1"}, "no 'addr' stands there"), ({"hosts": [{"hash": 1}]}, "name a hostnqn"),
                              ({"ports": 7}, "ports is not an object"), ({"ports": {"concat": 1}}, "port concat is 4425"),
                              ({"hosts": [{"hostnqn": HOSTNQN, "hostid": "x"}]}, "another hostid")):
            with self.subTest(said):
                self.assert_refused(self.run_suite("-J", path, "--beside", self.beside(**members)), "beside.json", said)
        self.assert_refused(self.run_suite("--beside", self.beside()), "-J FILE")
        self.assert_refused(self.run_suite("-J", path, "--beside", self.beside(), "-S", SECRET), "exclude each other")
        self.assert_refused(self.run_suite("--profile", path, "--beside", path), "exclude each other")
        side = self.file("shared.json", json.dumps({"hosts": [{"hostnqn": HOSTNQN, "dhchap_ctrl_secret": SECRET}]}), 0o644)
        self.assert_refused(self.run_suite("-J", path, "--beside", side), "chmod 600")
        two = self.tree()
        two[0]["subsystems"][0]["ports"].append({"transport": "tcp", "traddr": "127.0.0.2", "trsvcid": 1})
        self.assert_refused(self.run_suite("-J", self.write(two), "--beside", self.beside()), "2 places")

    def test_malformed_secret_in_it(self):
        tree = self.tree()
        tree[0]["dhchap_key"] = SECRET[:-2] + ":"
        done = self.run_suite("-J", self.write(tree))
        self.assert_refused(done, "config.json", "dhchap-secret")
        self.assertNotIn(SECRET[10:40], done.stderr)
