#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What replay costs over a bare libpcap loop and against tshark, and how much memory it takes, on generated captures.

Figures are CPU seconds of the whole process, the least of a few rounds in turn, so that other work on the machine counts little.
"""

import json
import os
import shutil
import subprocess
import sys

ROUNDS = 3
LARGE_MB, SMALL_MB, AT_ONCE, OPEN = 300, 30, 64, 10000
LEAST_OF_BARE, LEAST_OF_TSHARK, MOST_MEMORY_MB, MOST_GROWTH_MB = 0.15, 20, 64, 4


def measure(command, config=None):
    """measure runs a command and returns its CPU seconds, its peak memory in MB and the last line it wrote."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if config is not None:
            process.stdin.write(json.dumps(config).encode())
        process.stdin.close()
        last = b""
        for line in process.stdout:
            last = line
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"bench: {command[0]} ended with status {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, last.decode()


def least(command, config=None, rounds=ROUNDS):
    """least returns the smallest CPU seconds of some rounds, with the memory and the line of the last."""
    taken = [measure(command, config) for _ in range(rounds)]
    return (min(seconds for seconds, _, _ in taken), *taken[-1][1:])


def main():
    """main makes the captures, measures and prints; 1 when a figure is not what docs/captures.md promises."""
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    engine = [os.path.join(build, "nvme-conform-engine"), "replay"]
    names = {name: os.path.join(build, "bench-captures", f"{name}.pcapng") for name in ("large", "small", "open")}
    os.makedirs(os.path.join(build, "bench-captures"), exist_ok=True)
    for name, size, num in (("large", LARGE_MB, AT_ONCE), ("small", SMALL_MB, AT_ONCE), ("open", 0, OPEN)):
        subprocess.run([os.path.join(build, "make_capture"), names[name], str(size), str(num)], check=True)
    failed = []

    def figure(text, value, good, limit):
        print(f"{text:58} {value:9.2f}   {'' if good else 'NOT '}within {limit}")
        if not good:
            failed.append(text)

    bare, _, packets = least([os.path.join(build, "bare_loop"), names["large"]])
    ours, memory, line = least(engine, {"file": names["large"], "conversation": False})
    shown, _, _ = least(engine, {"file": names["large"]}, rounds=1)
    end = json.loads(line)
    if end["verdict"] != "clean" or end["frames"] != int(packets):
        raise SystemExit(f"bench: replay found {end['verdict']} in {end['frames']} of {packets.strip()} packets")
    print(f"replay: {int(packets)} packets, {end['connections']} connections, {end['pdus']} PDUs in "
          f"{os.path.getsize(names['large']) / 1e6:.0f} MB: {ours:.2f} s of CPU, {int(packets) / ours / 1e3:.0f} thousand packets/s; "
          f"with the conversation as events {shown:.2f} s")
    figure("packets/s over those of a bare libpcap loop", bare / ours, bare / ours >= LEAST_OF_BARE, f"at least {LEAST_OF_BARE}")
    if shutil.which("tshark"):
        fields = ["tshark", "-r", names["large"], "-T", "fields", "-e", "frame.number", "-e", "nvme-tcp.type"]
        theirs, _, _ = measure(fields)
        figure("packets/s over those of tshark -T fields", theirs / ours, theirs / ours >= LEAST_OF_TSHARK,
               f"at least {LEAST_OF_TSHARK}")
    else:
        print("tshark is not installed: replay is not measured against it")
    _, small, _ = measure(engine, {"file": names["small"], "conversation": False})
    figure(f"MB more for {LARGE_MB} MB than for {SMALL_MB} MB of capture", memory - small, memory - small <= MOST_GROWTH_MB,
           f"at most {MOST_GROWTH_MB}")
    _, many, line = measure(engine, {"file": names["open"], "conversation": False})
    if json.loads(line)["judged"] != OPEN:
        raise SystemExit("bench: not every open connection was judged")
    figure(f"MB at {OPEN} open connections", many, many <= MOST_MEMORY_MB, f"at most {MOST_MEMORY_MB}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
