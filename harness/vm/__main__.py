# SPDX-License-Identifier: BSD-3-Clause
"""python3 -m harness.vm --kernel 7.3.4: boot a guest by itself, to look at it."""

import argparse
import sys

from . import gate
from .errors import GateError


def main():
    parser = argparse.ArgumentParser(prog="vm", description=__doc__)
    parser.add_argument("--kernel")
    parser.add_argument("--deb", nargs="+", default=())
    parser.add_argument("--image")
    parser.add_argument("--modules")
    parser.add_argument("--config")
    parser.add_argument("--cache")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--accel", choices=("auto", "tcg", "kvm"), default="auto")
    parser.add_argument("--directory")
    parser.add_argument("--run", default="uname -a", help="shell script for the guest")
    parser.add_argument("--keep", action="store_true", help="leave it running until Enter")
    words = parser.parse_args()
    request = gate.Request(kernel=words.kernel, debs=tuple(words.deb), image=words.image,
                           modules=words.modules, config=words.config, cache=words.cache,
                           offline=words.offline, accel=words.accel, directory=words.directory)

    def runner(guest):
        print(f"{guest.kernel.release} under {guest.prepared.accel} "
              f"({guest.prepared.accel_reason}), ports {guest.ports}, {guest.profile_path}")
        done = guest.run(words.run)
        print(done.output, end="")
        if words.keep:
            input("Enter ends the guest ")
        return done.status

    try:
        report = gate.gate(request, runner)
    except GateError as error:
        print(f"vm: {error.message}", file=sys.stderr)
        return error.exit_status
    for found in report.findings:
        print("\n".join(found.lines))
    print(report.timings, "kernel silent" if report.kernel_silent else
          f"taint {report.taint_before} -> {report.taint_after}, {report.death}")
    return report.result


if __name__ == "__main__":
    sys.exit(main())
