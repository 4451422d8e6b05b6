# SPDX-License-Identifier: BSD-3-Clause
"""The one exception that leaves this package, and the exit statuses it carries."""

# Exit statuses of `nvme-conform gate`; 125 is what `git bisect run` takes as "skip this commit".
EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_TOOL = 3
EXIT_CANNOT_JUDGE = 125
EXIT_INTERRUPTED = 130


class GateError(Exception):
    """GateError is one line for the user: what is wrong and what to do about it.

    exit_status is EXIT_USAGE for a wrong request, EXIT_TOOL when something on this machine is
    missing or broken, and EXIT_CANNOT_JUDGE when this kernel cannot be judged.
    """

    def __init__(self, message, exit_status=EXIT_TOOL):
        super().__init__(" ".join(str(message).split()))
        self.exit_status = exit_status

    @property
    def message(self):
        return self.args[0]
