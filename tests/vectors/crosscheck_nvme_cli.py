#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Cross-check lib/crypto against the installed nvme-cli: who takes which secret, and what comes out.

    crosscheck_nvme_cli.py KEYTOOL

KEYTOOL is tests/support/keytool.c, which gets secrets on stdin. nvme-cli takes them on its command line only, so it
sees nothing but published vectors and keys made for this run. Where nvme-cli is known to refuse what the
specification permits, the difference is counted and named; any other difference fails.
"""
import json
import os
import secrets
import shutil
import subprocess
import sys

HASH_LEN = {1: 32, 2: 48, 3: 64}
HOSTNQN = "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
TIMEOUT = 20  # seconds for one call of either program

LIMITS = {
    "dhchap-cross-length": "check-dhchap-key ties the length of the secret to hash ids 01 to 03 (Base 2.2 8.3.4.5.8 does not)",
    "tls-no-hash": "check-tls-key refuses hash id 00, a configured PSK that is used as it is (NVMe/TCP 1.0 3.6.1.5)",
    "tls-cross-length": "check-tls-key ties the length of the PSK to the hash id (NVMe/TCP 1.0 3.6.1.5 does not)",
    "gen-tls-secret": "gen-tls-key -s takes half of the secret and then refuses its length",
    "gen-dhchap-payload": "gen-dhchap-key writes the transformed key, not the secret, behind hash ids 01 to 03",
}


class Keytool:
    """lib/crypto behind a pipe."""

    def __init__(self, path):
        self.path = path

    def ask(self, *words):
        done = subprocess.run([self.path], input=" ".join(words) + "\n", capture_output=True, text=True,
                              timeout=TIMEOUT, check=True)
        verdict, _, rest = done.stdout.rstrip("\n").partition(" ")
        if verdict not in ("ok", "error"):
            raise RuntimeError(f"keytool answered {verdict!r}")
        return verdict == "ok", rest


class Crosscheck:
    def __init__(self, nvme, keytool, vectors):
        self.nvme, self.keytool, self.vectors = nvme, keytool, vectors
        self.num_same = 0
        self.tls_has_names = None
        self.limits = {}
        self.failures = []

    def run_nvme(self, *args):
        done = subprocess.run([self.nvme, *args], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        return done.returncode == 0, done.stdout.strip()

    def expect(self, what, ours, theirs, limit=None):
        """Count agreement; a difference passes only as the known limit that predicted it."""
        if ours == theirs:
            self.num_same += 1
        elif limit:
            self.limits[limit] = self.limits.get(limit, 0) + 1
        else:
            # Verdicts only: values may be secrets.
            shown = f"ours {ours}, nvme-cli {theirs}" if isinstance(ours, bool) else "the values differ"
            self.failures.append(f"{what}: {shown}")

    def key_options(self, kind):
        """key_options is what stands before a key: in later versions (2.13 is one) -k of check-tls-key is a keyring, and names are asked for."""
        if kind == "tls" and self.tls_has_names is None:
            done = subprocess.run([self.nvme, "check-tls-key", "--help"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
            self.tls_has_names = "--subsysnqn" in done.stdout + done.stderr
        if kind == "tls" and self.tls_has_names:
            return ("--hostnqn", "nqn.psk-test-host", "--subsysnqn", "nqn.psk-test-subsys", "--keydata")
        return ("-k",)

    def check_verdict(self, kind, name, text):
        """Both judge one text. The limits can only make nvme-cli refuse what we take."""
        ours, rest = self.keytool.ask(f"{kind}-parse", text)
        theirs, _ = self.run_nvme(f"check-{kind}-key", *self.key_options(kind), text)
        limit = None
        if ours and not theirs:
            hash_id, hex_secret = rest.split(" ")
            cross = len(hex_secret) // 2 != HASH_LEN.get(int(hash_id))
            if kind == "dhchap" and hash_id != "0" and cross:
                limit = "dhchap-cross-length"
            elif kind == "tls" and hash_id == "0":
                limit = "tls-no-hash"
            elif kind == "tls" and cross:
                limit = "tls-cross-length"
        self.expect(f"check-{kind}-key {name}", ours, theirs, limit)

    def check_vectors(self):
        for entry in self.vectors["dhchap_secret_parse"]:
            self.check_verdict("dhchap", entry["name"], entry["secret"])
        for entry in self.vectors["tls_interchange_parse"]:
            self.check_verdict("tls", entry["name"], entry["key"])

    def check_ours(self):
        """Whatever we format, nvme-cli takes."""
        for kind, hashes, lengths in (("dhchap", range(4), (32, 48, 64)), ("tls", range(3), (32, 48))):
            for hash_id in hashes:
                for length in lengths:
                    done, text = self.keytool.ask(f"{kind}-format", str(hash_id), secrets.token_hex(length))
                    self.expect(f"format {kind} hash {hash_id} length {length}", done, True)
                    self.check_verdict(kind, f"(ours, hash {hash_id}, {length} bytes)", text)

    def check_theirs(self):
        """Whatever nvme-cli generates, we take and would have written alike."""
        for command, kind, hashes in (("gen-dhchap-key", "dhchap", range(4)), ("gen-tls-key", "tls", (1, 2))):
            for hash_id in hashes:
                done, text = self.run_nvme(command, "-m", str(hash_id))
                ours, rest = self.keytool.ask(f"{kind}-parse", text) if done else (False, "")
                self.expect(f"{command} -m {hash_id}", ours, True)
                if not ours:
                    continue
                parsed_hash, hex_secret = rest.split(" ")
                self.expect(f"{command} -m {hash_id}: hash id", parsed_hash == str(hash_id), True)
                _, again = self.keytool.ask(f"{kind}-format", parsed_hash, hex_secret)
                self.expect(f"{command} -m {hash_id}: text", again, text)

    def check_transform(self):
        for hash_id in range(4):
            for length in (32, 48, 64):
                if hash_id and length != HASH_LEN[hash_id]:
                    continue  # gen-dhchap-key refuses: dhchap-cross-length
                secret = secrets.token_hex(length)
                _, text = self.keytool.ask("dhchap-format", str(hash_id), secret)
                _, ours = self.keytool.ask("dhchap-transform", text, HOSTNQN)
                done, generated = self.run_nvme("gen-dhchap-key", "-s", secret, "-l", str(length), "-m", str(hash_id),
                                                "-n", HOSTNQN)
                parsed, rest = self.keytool.ask("dhchap-parse", generated) if done else (False, "")
                self.expect(f"gen-dhchap-key -s -m {hash_id} -l {length}", parsed, True)
                theirs = rest.split(" ")[-1]
                self.expect(f"transformation {hash_id}, {length} bytes", ours, theirs)
                self.expect("payload of gen-dhchap-key", secret, theirs, "gen-dhchap-payload" if hash_id else None)

    def check_tls_secret(self):
        for hash_id in (1, 2):
            secret = secrets.token_hex(HASH_LEN[hash_id])
            _, ours = self.keytool.ask("tls-format", str(hash_id), secret)
            done, theirs = self.run_nvme("gen-tls-key", "-m", str(hash_id), "-s", secret)
            self.expect(f"gen-tls-key -s -m {hash_id}", ours, theirs if done else None,
                        None if done else "gen-tls-secret")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: crosscheck_nvme_cli.py KEYTOOL")
    nvme = shutil.which("nvme", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not nvme:
        print("skip: nvme-cli is not installed (Debian package nvme-cli), nothing is cross-checked")
        return 0
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "vectors.json"), encoding="utf-8") as file:
        vectors = json.load(file)
    check = Crosscheck(nvme, Keytool(os.path.abspath(sys.argv[1])), vectors)
    version = check.run_nvme("version")[1].splitlines()
    check.check_vectors()
    check.check_ours()
    check.check_theirs()
    check.check_transform()
    check.check_tls_secret()
    for failure in check.failures:
        print(f"FAIL {failure}")
    for limit, num in sorted(check.limits.items()):
        print(f"known limit, seen {num} times: {LIMITS[limit]}")
    print(f"{version[0] if version else 'nvme-cli'}: {check.num_same} agree, {sum(check.limits.values())} known limits, "
          f"{len(check.failures)} differ")
    return 1 if check.failures or not check.num_same else 0


if __name__ == "__main__":
    sys.exit(main())
