# SPDX-License-Identifier: BSD-3-Clause
"""A probe writes a profile that `run` takes, for its owner's eyes only, over nothing, and says what it does not know."""

import json
import os
import stat

from support import HOSTNQN, PSK, REAL, SECRET, SUBNQN, RunnerTest
from test_bracket import WithDaemon

FOUND = {"event": "probe", "hashes": "SHA-256, SHA-384", "dhgroups": "ffdhe2048", "findings": [
    {"need": "auth", "met": True, "finding": "a host secret is given"},
    {"need": "concat", "met": False, "finding": "NEWTLSPSK is answered by: \x1b[31m AUTH_Failure1"},
    {"need": "open-host", "met": False, "finding": "no host identity without a secret is given"},
    {"need": "io", "met": True, "finding": "namespace 1 is there"}]}


class Probe(RunnerTest):
    def probe(self, *args, events=(FOUND,), **fake):
        return self.invoke("probe", *REAL, "--output", self.path("profile.json"), *args, fake={"probe": list(events), **fake})

    def profile(self):
        with open(self.path("profile.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_profile(self):
        done = self.probe("-S", SECRET, "--tls-port", "4421", "--plain-port", "4422")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("profile.json")).st_mode), 0o600)
        profile = self.profile()
        self.assertEqual((profile["format"], profile["subnqn"], profile["addr"]), ("nvme-conform-profile/1", SUBNQN, "127.0.0.1"))
        self.assertEqual(profile["ports"], {"concat": 4420, "tls": 4421, "plain": 4422})
        # The one group that is taken is fixed, among two hashes nothing is.
        host = profile["hosts"][0]
        self.assertEqual((host["hostnqn"], host["dhchap_secret"], host["hash"], host["dhgroup"]), (HOSTNQN, SECRET, None, 1))
        self.assertEqual(profile["unsupported"], ["concat"])
        # What the target said is shown harmlessly, what is secret not at all.
        self.assertIn("NEWTLSPSK is answered by: \\u001b[31m AUTH_Failure1", done.stdout)
        self.assertNotIn(SECRET, done.stdout)

    def test_run_takes_it(self):
        self.probe("-S", SECRET)
        sent = self.sent_config("--profile", self.path("profile.json"))
        self.assertEqual(sent["target"]["hosts"][0]["dhchap_secret"], SECRET)

    def test_engine_is_asked_without_a_case(self):
        stored = self.path("sent.json")
        self.probe("-S", SECRET, "--timeout", "3", config_to=stored)
        with open(stored, encoding="utf-8") as file:
            sent = json.load(file)
        self.assertEqual((sent["cases"], sent["timeout_s"], sent["target"]["subnqn"]), ([], 3, SUBNQN))

    def test_without_a_secret_nothing_was_refused(self):
        none = {**FOUND, "hashes": "", "dhgroups": ""}
        done = self.probe(events=[none])
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.profile()["unsupported"], [])
        self.assertEqual(self.profile()["hosts"][0]["purpose"], "no-secret")
        self.assertIn("not asked", done.stdout)

    def test_silence_fixes_nothing(self):
        silent = {**FOUND, "hashes": "nothing: AUTH_Negotiate was not answered", "dhgroups": "nothing: AUTH_Negotiate was not answered"}
        self.probe("-S", SECRET, events=[silent])
        self.assertEqual((self.profile()["hosts"][0]["hash"], self.profile()["hosts"][0]["dhgroup"]), (None, None))

    def test_tls_port(self):
        self.probe("--tls", "--tls-key", PSK)
        self.assertEqual(self.profile()["ports"], {"concat": None, "tls": 4420, "plain": None})
        self.assertEqual(self.profile()["psks"], [{"hostnqn": HOSTNQN, "interchange": PSK, "name": "psk-1"}])
        self.assertEqual(self.profile()["unsupported"], [])

    def test_nothing_is_overwritten(self):
        self.file("profile.json", "mine")
        self.assert_refused(self.probe("-S", SECRET), "is there already")
        os.remove(self.path("profile.json"))
        os.symlink(self.path("elsewhere"), self.path("profile.json"))
        self.assert_refused(self.probe("-S", SECRET), "is there already")
        self.assertFalse(os.path.exists(self.path("elsewhere")))

    def test_no_answer(self):
        self.assert_refused(self.probe("-S", SECRET, refuse="nobody listens", refuse_status=4), "nobody listens", status=125)
        self.assertFalse(os.path.exists(self.path("profile.json")))

    def test_engine_at_fault(self):
        self.assert_refused(self.probe(events=[]), "without saying", status=3)
        self.assert_refused(self.probe(refuse="bad profile"), "bad profile")
        self.assert_refused(self.probe(refuse="oops", refuse_status=3), "oops", status=3)

    def test_mistakes(self):
        self.assert_refused(self.invoke("probe"), "-a ADDR")
        self.assert_refused(self.probe("--profile", "x"), "--profile")
        self.assert_refused(self.probe("--tls", "--tls-key", PSK, "--tls-port", "1"), "--tls-port")
        self.assert_refused(self.probe("--output", self.path("no", "where")), "--output")


class Unsupported(WithDaemon):
    def test_what_the_profile_rules_out_is_skipped(self):
        self.made["unsupported"] = ["concat"]
        self.run_at(self.made["ports"]["concat"], "concat.wrong-psk", "commands.authreq-with-secret")
        verdicts = {case["id"]: (case["behaviour"], case.get("reason", "")) for case in self.results()["cases"]}
        self.assertEqual(verdicts["concat.wrong-psk"][0], "skip")
        self.assertIn("the profile says that the target does not support it", verdicts["concat.wrong-psk"][1])
        self.assertEqual(verdicts["commands.authreq-with-secret"][0], "pass")

    def test_what_is_no_need(self):
        for names, said in ((["contact"], "'unsupported' has 'contact'"), ("concat", "'unsupported' is not a list"), ([7], "'unsupported' has '?'")):
            self.made["unsupported"] = names
            self.assert_refused(self.run_at(self.made["ports"]["concat"], "concat.wrong-psk"), said)
