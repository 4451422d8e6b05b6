#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes golden captures of manifest.json anew.

    captures/make.py                        all that need neither a virtual machine nor privileges
    captures/make.py linux-host-nvmet ...   these; what has a "kernel" boots it under QEMU, an "interface" takes root
    captures/make.py --all                  every one

A "patch" is put into Debian's kernel source, which is built for User-Mode Linux first (harness/vm/own_kernel.py: minutes, and 3 GB of
the cache), unless --uml FILE names such a kernel.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, ROOT)

from harness.vm import gate, host_story, linux_host, own_kernel, qemu, recording  # noqa: E402  (the path must be known first)
from harness.vm.errors import GateError  # noqa: E402

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
PROGRAM = os.path.join(ROOT, "harness", "nvme-conform")
ENGINE_SECONDS = 120
IDENTITY = "sha256-ffdhe2048-two-way"
EXPONENT = b"NVME_DHCHAP_EXPONENT "
STATUS = {"clean": 0, "violated": 1, "cannot-judge": 125}  # of replay
ATTEMPTS = 5  # Linux loses AUTH_Failure1 to its own end of the connection now and then


def run_case(entry, target, destination):
    """run_case runs the case of an entry, against the reference target when target is None, and keeps its capture."""
    with tempfile.TemporaryDirectory() as scratch:
        config = {"seed": 1, "cases": [entry["case"]], "defects": entry.get("defects", []), "target": target,
                  "captures": {"mode": "all", "directory": scratch, "secrets": entry.get("secrets", True),
                               "interface": entry.get("interface"), "command": "captures/make.py"}}
        subprocess.run([ENGINE, "run"], input=json.dumps(config), text=True, stdout=subprocess.DEVNULL, timeout=ENGINE_SECONDS,
                       check=True)
        (name,) = os.listdir(scratch)
        shutil.copyfile(os.path.join(scratch, name), destination)


def over_sockets(entry, seed, directory, destination):
    """over_sockets: the suite's host against `nvme-conform target`, seen on an interface."""
    with host_story.ReferenceTarget(PROGRAM, directory, seed=seed) as target:
        run_case(entry, target.profile, destination)


def request_for(entry, uml, seed, directory):
    """request_for names the kernel of an entry, as `nvme-conform gate` would."""
    if "patch" not in entry:
        return gate.Request(kernel=entry["kernel"], seed=seed, directory=directory)
    if not uml:
        uml = os.path.join(own_kernel.make(own_kernel.parse([entry["patch"], "--flavour", "uml"]))[0], "linux")
    return gate.Request(uml=uml, seed=seed, directory=directory)


def linux_target(entry, uml, seed, directory, destination):
    """linux_target: the suite's host against nvmet."""
    gate.gate(request_for(entry, uml, seed, directory), lambda guest: run_case(entry, guest.profile, destination))


def steps(entry, target, address):
    """steps returns what the Linux host of an entry does at a target that is described by a profile."""
    host = next(each for each in target["hosts"] if each["name"] == IDENTITY)
    peer = linux_host.Peer(target["subnqn"], host["hostnqn"], host["hostid"], address)
    secret, ctrl_secret = host["dhchap_secret"], host["dhchap_ctrl_secret"]
    if entry["host"] == "wrong-secret":
        return [linux_host.connect(peer, ctrl_secret, name="wrong-secret", expect_failure=True)]
    if entry["host"] == "two-way":
        return [linux_host.connect(peer, secret, ctrl_secret), linux_host.disconnect(peer)]
    return [linux_host.connect(peer, secret, concat=True),
            *(linux_host.replace_psk(peer, secret, number) for number in range(1, entry.get("replacements", 3) + 1)),
            linux_host.disconnect(peer)]


def exponents(path):
    """exponents returns what the target's key log has beside the secrets of TLS, which tlshd logs."""
    with open(path, "rb") as file:
        return b"".join(line for line in file if line.startswith(EXPONENT))


def record(entry, guest, interface, todo, destination, keylog=None):
    """record plays the steps in the guest while its tcpdump runs; keylog is the path of the target's, if it has one."""
    with recording.Recording(guest, interface) as packets:
        for step in todo:
            done = guest.step(step)
            if not done.ok:
                raise GateError(f"{entry['file']}: step {done.name} went wrong: {done.output.strip()}")
    if keylog:
        packets.keylog += exponents(keylog)
    packets.write(destination)


def linux_host_at_reference(entry, seed, directory, destination):
    """linux_host_at_reference: nvme-cli and the kernel against `nvme-conform target`."""
    keylog = os.path.join(directory, "keys")
    with host_story.ReferenceTarget(PROGRAM, directory, ("--keylog", keylog), seed) as target:
        prepared = gate.prepare(request_for(entry, None, seed, directory), recording.PROGRAMS)
        with recording.HostGuest(prepared, target.port) as guest:
            record(entry, guest, "eth0", steps(entry, target.profile, qemu.GUEST_HOST), destination, keylog)


def linux_alone(entry, seed, directory, destination):
    """linux_alone: host and target are the same kernel; no byte is ours."""
    prepared = gate.prepare(request_for(entry, None, seed, directory), recording.PROGRAMS)
    with recording.LoopbackGuest(prepared) as guest:
        # The kernel would read a namespace in search of partitions: nothing to look at, and large.
        guest.run(f"echo 0 >/sys/kernel/config/nvmet/subsystems/{guest.profile['subnqn']}/namespaces/1/enable", "no namespace")
        record(entry, guest, "lo", steps(entry, guest.profile, recording.ADDRESS), destination)


def make(entry, uml, seed, destination):
    """make makes the capture of one entry; seed (bytes) decides the secrets of a target with a profile."""
    with tempfile.TemporaryDirectory() as directory:
        if "interface" in entry:
            over_sockets(entry, seed, directory, destination)
        elif "kernel" not in entry:
            run_case(entry, None, destination)
        elif "host" not in entry:
            linux_target(entry, uml, seed, directory, destination)
        elif entry["target"] == "reference":
            linux_host_at_reference(entry, seed, directory, destination)
        else:
            linux_alone(entry, seed, directory, destination)
    os.chmod(destination, 0o644)  # only test keys are inside


def is_as_explained(entry, path):
    """is_as_explained tells whether replay comes to the verdict that the manifest explains."""
    done = subprocess.run([PROGRAM, "replay", "--summary", path], capture_output=True, text=True, timeout=ENGINE_SECONDS, check=False)
    return done.returncode == STATUS[entry["verdict"]] and all(ident in done.stdout for ident in entry.get("violations", []))


def make_until_as_explained(entry, uml, seed, destination):
    """make_until_as_explained makes a capture, again where something else came of it, and puts it in place; GateError when it always does."""
    path = destination + ".new"
    for _ in range(ATTEMPTS):
        make(entry, uml, seed, path)
        if is_as_explained(entry, path):
            os.replace(path, destination)
            return
    raise GateError(f"replay does not call it {entry['verdict']}, as the manifest does; {path} is what came of it")


def chosen(entries, names, everything):
    """chosen returns the entries of these names, without any those that need nothing else; SystemExit for an unknown name."""
    if everything:
        return entries
    if not names:
        return [entry for entry in entries if "kernel" not in entry and "interface" not in entry]
    by_name = {entry["file"].removesuffix(".pcapng"): entry for entry in entries}
    unknown = [name for name in names if name.removesuffix(".pcapng") not in by_name]
    if unknown:
        raise SystemExit(f"make.py: no golden capture is named {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name.removesuffix(".pcapng")] for name in names]


def main():
    """main makes what the command line names and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="file of the manifest (default: all that need nothing else)")
    parser.add_argument("--all", action="store_true", help="every one")
    parser.add_argument("--directory", default=HERE, help="where to put them (default: here)")
    parser.add_argument("--uml", metavar="FILE", help="the User-Mode Linux for an entry with a \"patch\"")
    words = parser.parse_args()
    with open(os.path.join(HERE, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    for entry in chosen(manifest["captures"], words.names, words.all):
        try:
            make_until_as_explained(entry, words.uml, manifest["seed"].encode(), os.path.join(words.directory, entry["file"]))
        except (GateError, OSError, subprocess.SubprocessError) as error:
            print(f"make.py: {entry['file']}: {error}", file=sys.stderr)
            return 1
        print(entry["file"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
