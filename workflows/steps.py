"""The steps of one run of a journey: which are remembered, which were inserted upstream, which come now.

A step is known by its name alone, so a memory made on one version of a flow tells another where its contact stands.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from domain.memory import Memory
from domain.trail import BEGINNING, Passed

FAR = 500
"""Unknown steps in a row after which a scout turns back: the remembered ones that it misses are gone from the code."""


class Steps:
    """`upstream` holds unknown steps that lie before remembered ones."""

    def __init__(self, memory: Memory, upstream: Collection[str] = ()) -> None:
        self.memory = memory
        self.trail: list[Passed] = []
        """What no activity or timer has told the history of yet."""
        self._upstream = upstream
        self._met: set[str] = set()

    def meet(self, step: str) -> bool:
        """The journey comes to a step; answer whether it is to be done now. Raises: ApplicationError `StepRepeated`."""
        if step in self._met:
            raise ApplicationError(
                f"step {step} comes twice: give each a name of its own, in a loop with the loop's key",
                type="StepRepeated",
                non_retryable=True,
            )
        self._met.add(step)
        name = self.memory.name_of(step)
        if name in self.memory.finished or name in self.memory.skipped:
            return False
        if step in self._upstream:
            self.memory.skipped.append(step)
            self.trail.append(Passed(step, skipped=True))
            return False
        return True

    def result(self, step: str) -> Any:
        """Of a step that is not to be done; None if it was skipped."""
        return self.memory.finished.get(self.memory.name_of(step) or step)

    def begin(self, step: str, now: datetime) -> datetime:
        """Since when a step goes on, in this run or an earlier one."""
        return self.memory.waiting.setdefault(self.memory.name_of(step) or step, now)

    def finish(self, step: str, result: Any) -> None:
        """A step that left its result in the history, as activities do."""
        self.memory.waiting.pop(self.memory.name_of(step) or step, None)
        self.memory.finished[step] = result

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
        self._path.append(step)
        if self.memory.name_of(step):
            self._last_known = len(self._path)
        elif len(self._path) - self._last_known > FAR:
            raise TurnedBack
        return False

    @property
    def upstream(self) -> frozenset[str]:
        """Unknown steps that the journey met before the last one that it remembers."""
        return frozenset(step for step in self._path[: self._last_known] if not self.memory.name_of(step))


class TurnedBack(Exception):
    """A scout has seen enough."""
