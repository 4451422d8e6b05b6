# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux kernels as NVMe/TCP targets and hosts, in a virtual machine of this machine.

Read gate.py first: it shows how the other modules meet. Facts that are not obvious from the code
(which packages, which order, which traps) are in docs/gate.md.
"""
