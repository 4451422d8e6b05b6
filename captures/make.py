#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the golden captures of manifest.json anew that come from a case against the reference target."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(os.path.dirname(HERE), "build", "nvme-conform-engine")


def make(entry, directory):
    """make runs the case of one entry and puts its capture into directory."""
    with tempfile.TemporaryDirectory() as scratch:
        config = {"seed": 1, "cases": [entry["case"]], "defects": entry.get("defects", []),
                  "captures": {"mode": "all", "directory": scratch, "secrets": entry.get("secrets", True),
                               "command": "captures/make.py"}}
        subprocess.run([ENGINE, "run"], input=json.dumps(config), text=True, stdout=subprocess.DEVNULL, timeout=120, check=True)
        (name,) = os.listdir(scratch)
        target = os.path.join(directory, entry["file"])
        shutil.copyfile(os.path.join(scratch, name), target)
        os.chmod(target, 0o644)  # only test keys are inside


def main():
    """main makes all of them in the directory given, by default here."""
    directory = sys.argv[1] if len(sys.argv) > 1 else HERE
    with open(os.path.join(HERE, "manifest.json"), encoding="utf-8") as file:
        entries = json.load(file)["captures"]
    for entry in entries:
        if "case" in entry:
            make(entry, directory)


if __name__ == "__main__":
    main()
