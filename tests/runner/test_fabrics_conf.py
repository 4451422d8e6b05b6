# SPDX-License-Identifier: BSD-3-Clause
"""What nvme-cli 3.0 users already have (nvme-fabrics.conf) is read as libnvme's design document says."""

import os

from support import HOSTNQN, PSK, SECRET, SUBNQN, RunnerTest

HOSTID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "nqn.2014-08.org.nvmexpress:uuid:46ba5037-7ce5-41fa-9452-48477bf00080"
MAIN = f"""# the usual
[I/O Controller Defaults]
keep-alive-tmo = 5      # the kernel's
hdr-digest = yes

[Host]
hostnqn = {HOSTNQN}
hostid = {HOSTID}
dhchap-secret = {SECRET}

[Discovery Controller]
controller = transport=tcp;traddr=127.0.0.9;trsvcid=8009

[Subsystem]
nqn = {SUBNQN}
concat = true
controller = transport=tcp;traddr=127.0.0.1;trsvcid=4425
"""


class NvmeFabricsConf(RunnerTest):
    def write(self, text=MAIN, mode=0o600, name="nvme-fabrics.conf"):
        return self.file(name, text, mode)

    def dropin(self, text, name="one.conf", mode=0o600):
        os.makedirs(self.path("nvme-fabrics.conf.d"), exist_ok=True)
        self.file(os.path.join("nvme-fabrics.conf.d", name), text, mode)
        return self.path("nvme-fabrics.conf")

    def sent(self, *args):
        stored = self.path("sent.json")
        if os.path.exists(stored):
            os.remove(stored)
        return self.sent_config(*args)

    def test_all_of_it(self):
        config = self.sent("-J", self.write())
        self.assertEqual(config["target"]["subnqn"], SUBNQN)
        self.assertEqual(config["target"]["addr"], "127.0.0.1")
        self.assertEqual(config["target"]["ports"]["concat"], 4425)
        self.assertEqual(config["target"]["hosts"], [{"hostnqn": HOSTNQN, "hostid": HOSTID, "hash": None, "dhgroup": None,
                                                      "dhchap_secret": SECRET, "dhchap_ctrl_secret": None}])
        self.assertEqual((config["hdr_digest"], config["data_digest"], config["keep_alive_tmo"]), (True, False, 5))

    def test_what_it_lacks_stands_beside(self):
        path = self.write()
        self.dropin(f"[Host]\nhostnqn = {OTHER}\ndhchap-secret = {SECRET}\n[Subsystem]\nnqn = {SUBNQN}\n"
                    "controller = transport=tcp;traddr=127.0.0.1;trsvcid=4425\n")
        side = self.file("beside.json", '{"hosts": [{"hostnqn": "%s", "hash": 1, "dhgroup": 0}]}' % OTHER)
        config = self.sent("-J", path, "--beside", side)
        self.assertEqual([(host["hostnqn"], host["hash"]) for host in config["target"]["hosts"]], [(HOSTNQN, None), (OTHER, 1)])
        self.assertEqual((config["hdr_digest"], config["keep_alive_tmo"]), (True, 5))

    def test_what_is_nearer_wins(self):
        for line, wanted in (("", 7), ("keep-alive-tmo=9;", 9), ("keep-alive-tmo=;", None)):
            text = MAIN.replace("concat = true", "concat = true\nkeep-alive-tmo = 7").replace("transport=tcp;traddr=127.0.0.1",
                                                                                            f"transport=tcp;{line}traddr=127.0.0.1")
            self.assertEqual(self.sent("-J", self.write(text)).get("keep_alive_tmo"), wanted)
        # [Host] stands above the defaults, wherever it is written.
        text = MAIN.replace("[Host]", "[Host]\nkeep-alive-tmo = 3")
        self.assertEqual(self.sent("-J", self.write(text))["keep_alive_tmo"], 3)

    def test_new_names_of_the_secrets(self):
        text = MAIN.replace("dhchap-secret", "kxchap-secret").replace("concat = true", f"concat = true\nkxchap-ctrl-secret = {SECRET}")
        host = self.sent("-J", self.write(text))["target"]["hosts"][0]
        self.assertEqual((host["dhchap_secret"], host["dhchap_ctrl_secret"]), (SECRET, SECRET))

    def test_tls(self):
        text = f"[Host]\nhostnqn = {HOSTNQN}\n[Subsystem]\nnqn = {SUBNQN}\ntls = on\ntls-key = {PSK}\ncontroller = traddr=127.0.0.1\n"
        config = self.sent("-J", self.write(text))
        self.assertEqual(config["target"]["ports"]["tls"], 4420)
        self.assertEqual(config["target"]["psks"], [{"hostnqn": HOSTNQN, "interchange": PSK}])

    def test_paths_are_chosen_among(self):
        path = self.write(MAIN + "controller = transport=tcp;traddr=127.0.0.2;trsvcid=1\n")
        self.assert_refused(self.run_suite("-J", path), "2 entries", "-a ADDR")
        self.assertEqual(self.sent("-J", path, "-a", "127.0.0.2")["target"]["ports"]["concat"], 1)
        self.assert_refused(self.run_suite("-J", path, "-n", "nqn.other"), "no tcp connection", "nqn.other")

    def test_dropin_is_another_host(self):
        self.write()
        path = self.dropin(f"[Host]\nhostnqn = {OTHER}\n[I/O Controller Defaults]\nhdr-digest = no\n"
                           f"[Subsystem]\nnqn = {SUBNQN}\ncontroller = transport=tcp;traddr=127.0.0.3\n")
        config = self.sent("-J", path, "-q", OTHER)
        self.assertEqual(config["target"]["addr"], "127.0.0.3")
        self.assertIsNone(config["target"]["hosts"][0]["dhchap_secret"])
        # Its own defaults lie over those of the main file, for itself alone.
        self.assertEqual((config["hdr_digest"], config["keep_alive_tmo"]), (False, 5))
        self.assertTrue(self.sent("-J", path, "-q", HOSTNQN)["hdr_digest"])

    def test_dropins_without_main_file(self):
        path = self.dropin(MAIN)
        self.assertEqual(self.sent("-J", path)["target"]["subnqn"], SUBNQN)

    def test_shared_file_with_secrets(self):
        self.assert_refused(self.run_suite("-J", self.write(mode=0o644)), "chmod 600")
        open_text = MAIN.replace(f"dhchap-secret = {SECRET}\n", "").replace("concat = true\n", "")
        self.assertEqual(self.run_suite("-J", self.write(open_text, 0o644)).returncode, 0)

    def test_mistakes(self):
        for text, words in (
            ("[Host]\n" + MAIN, ["second [Host]"]),
            (MAIN + "nonsense\n", ["line 18"]),
            ("x = 1\n" + MAIN, ["line 1"]),
            (MAIN.replace(f"nqn = {SUBNQN}\n", ""), ["names no nqn"]),
            (MAIN.replace("traddr=127.0.0.1;", ""), ["no traddr"]),
            (MAIN.replace("trsvcid=4425", "4425"), ["not key=value"]),
            (MAIN.replace("trsvcid=4425", "tls=true"), ["tls belongs into a section"]),
            (MAIN.replace("concat = true", "concat = maybe"), ["concat is neither"]),
            (MAIN.replace("tmo = 5", "tmo = five"), ["keep-alive-tmo is not a number"]),
            (MAIN.replace(SECRET, SECRET[:-2] + ":"), ["dhchap-secret"]),
        ):
            with self.subTest(words):
                done = self.run_suite("-J", self.write(text))
                self.assert_refused(done, "nvme-fabrics.conf", *words)
                self.assertNotIn(SECRET[10:40], done.stderr)
        self.write()
        self.assert_refused(self.run_suite("-J", self.dropin("[Host]\nhostid = x\n")), "names no hostnqn")

    def test_name_does_not_matter_where_the_content_is_clear(self):
        self.assertEqual(self.sent("-J", self.write(name="lab"))["target"]["subnqn"], SUBNQN)
