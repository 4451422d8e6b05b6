# SPDX-License-Identifier: BSD-3-Clause
"""The runner: what stands between a person (or a CI job) and the engine.

It selects cases, starts engine processes, keeps account of every selected case until it has a verdict, and writes the
reports. It knows no protocol: what a case means, the engine says in JSON Lines (docs/architecture.md).
Read run.py first; it shows how the other modules meet.
"""

__version__ = "0.1.0"
