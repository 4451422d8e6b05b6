# SPDX-License-Identifier: BSD-3-Clause
"""The bracket around the cases of a real target: what is done when it stopped serving.

The engine asks the target after every group of cases and after every case that is not clean, and ends when nobody serves it. Then
the target is given time to come back, or is brought back by the user's command; the cases since it was last seen alive are run
one by one, which names the killer; and the rest goes on. A target that stays away leaves its cases to its twins; the last one leaves
them `inconclusive`.
"""

import subprocess
import time
from dataclasses import asdict, dataclass

from . import engine
from .terminal import clean

# How long a target may take to serve again: by itself, and once the user's command has ended.
RETURN_SECONDS = 10
RESTARTED_SECONDS = 60
COMMAND_SECONDS = 300
POLL_SECONDS = 0.5
# Some deaths take a moment after the answer; a suspect that ran alone is given it.
SETTLE_MS = 500
STDERR = 2
# A target that dies more often is better looked at than tested.
MOST_DEATHS = 20
SERVES = "a fresh connection is served after the case"
SERVING = "N-002"


@dataclass
class Death:
    """Death is what is known of one time at which the target stopped serving."""

    seen: str
    last_alive: str  # the case after which it still served; empty: before the first one
    suspects: list  # the cases since then
    killer: str = ""  # the one that did it again when it ran alone
    came_back: bool = False
    twin: int = 0  # which of several equal targets it was; 0: the first

    def text(self):
        """text says it in one line."""
        alive = f"after {self.last_alive}" if self.last_alive else "before the first case"
        target = f"twin {self.twin} of the target" if self.twin else "the target"
        since = f"{target} stopped serving ({self.seen}) between {self.suspects[0]} and {self.suspects[-1]}" \
            if len(self.suspects) > 1 else f"{target} stopped serving ({self.seen}) in {self.suspects[0]}"
        if self.killer:
            return f"{since}; run alone, {self.killer} does it"
        if self.came_back:
            return f"{since}; it was last seen alive {alive}, and no case does it when run alone"
        return f"{since}; it was last seen alive {alive} and did not come back"

    def fields(self):
        """fields returns it as results.json has it."""
        fields = asdict(self)
        return fields if self.twin else {name: value for name, value in fields.items() if name != "twin"}


def death_of(event):
    """death_of returns the Death that an engine's event `dead` tells of, or None when it does not tell."""
    suspects = event.get("suspects")
    if not isinstance(suspects, list) or not suspects or not all(isinstance(ident, str) for ident in suspects):
        return None
    return Death(str(event.get("seen") or "no reason given"), str(event.get("last_alive") or ""), suspects, twin=event.get("twin", 0))


def _together(deaths):
    """_together makes one Death per target of what engines that ran side by side say."""
    of_target = {}
    for death in deaths:
        if death.twin in of_target:
            of_target[death.twin].suspects += death.suspects
        else:
            of_target[death.twin] = death
    return list(of_target.values())


class Bracket:
    """Bracket runs all cases of a Conductor through deaths of the target. restart: the user's command, or None."""

    def __init__(self, conductor, pool, restart=None, say=lambda line: None):
        self._conductor = conductor
        self._ledger = conductor.ledger
        self._pool = pool
        self._restart = restart
        self._say = say

    def run(self):
        """run returns when every case has its verdict."""
        while self._ledger.unsettled():
            self._pool.run(self._conductor.jobs(self._ledger.unsettled()), self._conductor.event, self._conductor.end)
            died = self._conductor.take_deaths()
            if not died:
                self._conductor.lose_unreached()
                break
            deaths = _together(died)
            self._ledger.deaths += deaths
            for death in deaths:
                death.came_back = self._bring_back(death.twin)
                if not death.came_back:
                    self._conductor.retire(death.twin)
            # Only now it is known which targets the suspects may run against.
            for death in deaths:
                if not self._conductor.serving or not self._name_killer(death):
                    self._give_up(death)
                    return

    def _bring_back(self, twin):
        """_bring_back waits for the target, after the user's command where there is one, and tells whether it serves."""
        if len(self._ledger.deaths) > MOST_DEATHS:
            return False
        seconds = RETURN_SECONDS
        if self._restart:
            self._say(f"the target stopped serving; running {clean(self._restart)}")
            if not self._command():
                return False
            seconds = RESTARTED_SECONDS
        deadline = time.monotonic() + seconds
        while not self._serves(twin):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _command(self):
        try:
            # What it prints is for the user, and not part of what this command prints.
            done = subprocess.run(self._restart, shell=True, stdin=subprocess.DEVNULL, stdout=STDERR, check=False,
                                  timeout=COMMAND_SECONDS, start_new_session=True)
        except subprocess.TimeoutExpired:
            self._say(f"the restart command did not end within {COMMAND_SECONDS} s")
            return False
        if done.returncode:
            self._say(f"the restart command failed: {engine.how_it_ended(done.returncode)}")
        return done.returncode == 0

    def _serves(self, twin):
        answers = []
        job = engine.Job(self._conductor.run.config([], twin), COMMAND_SECONDS, subcommand="probe")
        engine.Pool(1).run([job], lambda _job, _event, _line: None, lambda _job, outcome: answers.append(outcome.status == 0))
        return answers == [True]

    def _name_killer(self, death):
        """_name_killer runs the suspects one by one. Once one is convicted, clean verdicts of the others stand. False when no
        target is left."""
        for ident in death.suspects:
            if death.killer and self._ledger.results[ident].clean:
                continue
            self._conductor.reopen(ident, f"the target stopped serving ({death.seen}) in this case or one next to it")
            engine.Pool(1).run(self._conductor.jobs([ident], settle_ms=SETTLE_MS), self._conductor.event, self._conductor.end)
            again = self._conductor.take_deaths()
            if not again:
                continue
            death.killer = death.killer or ident
            self._conductor.convict(ident, SERVING, SERVES, f"none is ({again[0].seen}), and none was when the case ran with others")
            if not self._bring_back(again[0].twin) and not self._conductor.retire(again[0].twin):
                return False
        return True

    def _give_up(self, death):
        """_give_up settles what can no longer be judged. What ran beside the killer may have failed because of it."""
        if self._conductor.run.jobs > 1 and not death.came_back:
            for ident in death.suspects:
                result = self._ledger.results[ident]
                if result.behaviour == "fail" or result.teardown == "fail":
                    self._conductor.reopen(ident, "it failed beside other cases while the target stopped serving")
        death.came_back = False
        self._conductor.lose(self._ledger.unsettled(), death.text(), "inconclusive")
