# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel with CONFIG_DEBUG_KMEMLEAK lost in the course of a run: asked once, when the runner has ended.

The kernel says when each object was allocated, in jiffies, and so in which case.
"""

import re
import time

from . import klog
from .errors import GateError

SECONDS = 120
# What the kernel prints about a scan of ours; the objects themselves say more.
ANNOUNCED = re.compile(r"kmemleak: \d+ new suspected")
MOST_LINES = 4000    # of the kernel's report
_FREQUENCIES = (100, 250, 300, 1000)
_OBJECT = re.compile(r"unreferenced object \S+ \(size (\d+)\)")
_JIFFIES = re.compile(r"\bjiffies (\d+)")
_CALLER = re.compile(r"^\s+(?:\[<[0-9a-f]+>\] )?([\w.]+)\+0x")
_TASK = re.compile(r'comm "([^"]*)"')
# Its own functions, and those of the allocators, say nothing about who lost an object.
_ALLOCATORS = re.compile(r"^(__)?(kmem|kmalloc|kmemdup|kvmalloc|krealloc|kstrdup|kmemleak|slab)|_noprof$")

# Shell, for the guest. An object is reported at five seconds of age, and when two scans find it unchanged. A slab cache
# keeps what it handed out in arrays, where kmemleak takes it for a reference (seen on 7.3): shrinking the caches frees these.
SHRINK = "for cache in /sys/kernel/slab/*/shrink; do echo 1 >$cache; done 2>/dev/null"
SCAN = f"""\
{SHRINK}
echo scan >/sys/kernel/debug/kmemleak; sleep 6
{SHRINK}
echo scan >/sys/kernel/debug/kmemleak"""
# What is in an object may be a secret: its octets stay where they are.
REPORT = "sed '/hex dump/,/backtrace/{/backtrace/!d;}' /sys/kernel/debug/kmemleak"
SCRIPT = f"""\
[ -e /sys/kernel/debug/kmemleak ] || exit 0
now() {{ echo now $(sed -n 's/^jiffies: //p' /proc/timer_list | head -n 1) $(cut -d' ' -f1 /proc/uptime); }}
now
{SCAN}
now
{REPORT} | head -n {MOST_LINES}
"""


def _clock(lines):
    """_clock returns (jiffies at the end of the scan, jiffies a second), None where the kernel does not tell."""
    told = [line.split()[1:] for line in lines if line.startswith("now ")]
    if len(told) != 2 or any(len(each) != 2 for each in told):
        return None
    (first, earlier), (last, later) = told
    measured = (int(last) - int(first)) / max(float(later) - float(earlier), 0.01)
    return int(last), min(_FREQUENCIES, key=lambda each: abs(each - measured))


def _objects(lines):
    """_objects yields the lines of each object, the first its headline."""
    current = None
    for line in lines:
        if _OBJECT.match(line):
            if current:
                yield current
            current = [line]
        elif current and line[:1].isspace():
            current.append(line)
    if current:
        yield current


def _caller(lines):
    """_caller returns the first function of a backtrace that is not the allocator's, else the task: User-Mode Linux has no backtrace."""
    names = [match.group(1) for line in lines if (match := _CALLER.match(line))]
    task = next((match.group(1) for line in lines if (match := _TASK.search(line))), "?")
    return next((name for name in names if not _ALLOCATORS.search(name)), task)


def findings(output, now):
    """findings returns a klog.Finding for each place that lost objects. output: what SCRIPT printed; now: the host's
    monotonic seconds when it ended. Of several objects of one place the first is quoted, and its time counts."""
    lines = output.splitlines()
    clock, places = _clock(lines), {}
    for found in _objects(lines):
        size = _OBJECT.match(found[0]).group(1)
        places.setdefault((size, *[line.split("+0x")[0] for line in found if _CALLER.match(line)]), []).append(found)
    made = []
    for (size, *_), objects in places.items():
        jiffies = [int(match.group(1)) for each in objects for line in each if (match := _JIFFIES.search(line))]
        when = now - (clock[0] - min(jiffies)) / clock[1] if clock and jiffies else now
        count = f"{len(objects)} unreferenced objects" if len(objects) > 1 else "an unreferenced object"
        title = f"kmemleak: {count} of {size} bytes, from {_caller(objects[0])}"
        made.append(klog.Finding(when, title, [title, *objects[0]]))
    return sorted(made, key=lambda each: each.time)


def scan(guest):
    """scan asks a guest whose kernel has kmemleak, for a bounded time, and returns (findings, was it asked)."""
    options = guest.kernel.config
    if options and options.get("DEBUG_KMEMLEAK") != "y":
        return [], False
    try:
        done = guest.run(SCRIPT, "kmemleak", SECONDS)
    except GateError:
        return [], True    # what became of the guest is told by its death
    if done.timed_out:
        title = f"kmemleak: the scan did not end in {SECONDS} s"
        return [klog.Finding(time.monotonic(), title, [title])], True
    return findings(done.output, time.monotonic()), True


def joined(said, leaks, scanned):
    """joined returns what the kernel complained about and what it lost, in order; that our scan found something is told by what it found."""
    kept = [found for found in said if not (scanned and ANNOUNCED.search(found.title))]
    return sorted(kept + leaks, key=lambda found: found.time)
