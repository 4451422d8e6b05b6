# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions that end the command, and every exit status it has."""

EXIT_OK = 0  # everything selected was judged; nothing failed
EXIT_FAIL = 1  # at least one fail: behaviour, teardown or observation
EXIT_USAGE = 2  # wrong argument, secret, file or profile; nothing was run
EXIT_TOOL = 3  # the tester's own error: an `error` verdict or a broken engine
EXIT_DIFFERENT = 4  # re-enacted, and what differs violates nothing
EXIT_CANNOT_JUDGE = 125  # nothing failed, but something is inconclusive; `git bisect run` skips such a commit
EXIT_INTERRUPTED = 130  # ended by SIGINT or SIGTERM; the reports say how far it came


class RunnerError(Exception):
    """RunnerError is one line for the user (what, where, what to do) and the exit status that goes with it."""

    exit_status = EXIT_TOOL

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


class UsageError(RunnerError):
    """UsageError is a mistake in what the user gave: option, selection, secret, file."""

    exit_status = EXIT_USAGE


class ToolError(RunnerError):
    """ToolError is a fault of the tester itself or of what it needs on this machine."""
