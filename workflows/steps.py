"""The steps of one run of a journey: which are remembered, which were inserted upstream, which come now.

A step is known by its name alone, so a memory made on one version of a flow tells another where its contact stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from domain.memory import Memory, other_names, whole_of
from domain.trail import BEGINNING, Passed

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FAR = 500
"""Unknown steps in a row after which a scout turns back: the remembered ones that it misses are gone from the code."""


class Steps:
    """`upstream` are unknown steps that lie before remembered ones, `named` all that the code is known to have."""

    def __init__(self, memory: Memory, upstream: Collection[str] = (), named: Collection[str] = ()) -> None:
        self.memory = memory
        self.trail: list[Passed] = []
        """What no activity or timer has told the history of yet."""
        self._upstream = upstream
        self._named = named
        self._met: set[str] = set()

    def meet(self, step: str) -> bool:
        """The journey comes to a step; answer whether it is to be done now.

        Raises: ApplicationError `StepMisnamed` or `StepRepeated`.
        """
        if not all(map(_NAME.fullmatch, step.split("/"))) or step == BEGINNING:
            raise ApplicationError(
                f"step {step!r}: name it by small letters and digits, with hyphens between, and not {BEGINNING}",
                type="StepMisnamed",
                non_retryable=True,
            )
        if step in self._met:
            raise ApplicationError(
                f"step {step} comes twice: give each a name of its own, in a loop with the loop's key",
                type="StepRepeated",
                non_retryable=True,
            )
        self._met.add(step)
        name = self.memory.name_of(step, self._named)
        if name is not None and name not in self.memory.waiting:
            return False
        if step in self._upstream:
            self.memory.skipped.append(step)
            self.trail.append(Passed(step, skipped=True))
            return False
        return True

    def reopens(self, step: str) -> bool:
        """Whether a step that is remembered may be done once more, for what it was done for is not what it is now.

        Not if an activity came after it: whatever the step was done for, it has had its effect.
        """
        known, steps = self.known_as(step), list(self.memory.finished)
        since = [later for later in steps[steps.index(known) + 1 :] if whole_of(later) != known]
        return not any(isinstance(self.memory.finished[later], dict) for later in since)

    def result(self, step: str) -> Any:
        """Of a step that is not to be done; None if it was passed by."""
        return self.memory.finished.get(self.known_as(step))

    def aliases(self, step: str) -> list[str]:
        """Other names that a message of this step may have in the ledger."""
        return [name for name in other_names(step, self.memory.renamed) if name not in self._named]

    def known_as(self, step: str) -> str:
        """The name that a step had when it was begun: what it has in the database is known by it."""
        return self.memory.name_of(step, self._named) or step

    def begin(self, step: str, now: datetime) -> None:
        self.memory.begin(step, now, self._named)

    def since(self, step: str) -> datetime:
        """When a step that was begun began, in this run or an earlier one."""
        return self.memory.waiting[self.known_as(step)]

    def finish(self, step: str, result: Any) -> None:
        """A step that left its result in the history, as activities do."""
        self.memory.finish(step, result, self._named)

    def leave(self, passed: Passed) -> None:
        """A wait is over."""
        self.finish(passed.step, passed.answer)
        self.trail.append(passed)

    def latest(self) -> str:
        """The step that a wait follows if its trail is empty."""
        return next(reversed(self.memory.finished), BEGINNING)


class ScoutedSteps(Steps):
    """Steps that are all passed by without being done, to learn in what order the code has them."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self._path: list[str] = []
        self._last_known = 0

    def meet(self, step: str) -> bool:
        if step in self._path:
            raise TurnedBack  # a loop without a key, which the journey itself will be told of
        self._path.append(step)
        if self.memory.name_of(step):
            self._last_known = len(self._path)
        elif len(self._path) - self._last_known > FAR:
            raise TurnedBack
        return False

    def reopens(self, step: str) -> bool:
        return False

    def after(self, step: str) -> str | None:
        """The step that follows this one, or the one that it is a part of, if no event comes; None if none does."""
        whole = whole_of(step)
        following = self._path[self._path.index(whole) + 1 :] if whole in self._path else []
        return next(iter(following), None)

    def found(self, memory: Memory) -> Steps:
        """The steps as they are now known: what the journey met before the last that it remembers is upstream."""
        known = [memory.name_of(step, self._path) is not None for step in self._path]
        last_known = max((place for place, is_known in enumerate(known) if is_known), default=0)
        upstream = {step for step, is_known in zip(self._path[:last_known], known, strict=False) if not is_known}
        return Steps(memory, frozenset(upstream), frozenset(self._path))


class TurnedBack(Exception):
    """A scout has seen enough."""
