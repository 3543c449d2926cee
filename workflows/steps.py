"""The steps of one run of a journey: which are remembered, which were inserted upstream, which come now.

A step is known by its name alone, so a memory made on one version of a flow tells another where its contact stands.
"""

from __future__ import annotations

from collections.abc import Collection
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
        if step in self.memory.finished or step in self.memory.skipped:
            return False
        if step in self._upstream:
            self.memory.skipped.append(step)
            self.trail.append(Passed(step, skipped=True))
            return False
        return True

    def finish(self, step: str, result: Any) -> None:
        """A step that left its result in the history, as activities do."""
        self.memory.finished[step] = result
        self.memory.waiting.pop(step, None)

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
        if self.memory.knows(step):
            self._last_known = len(self._path)
        elif len(self._path) - self._last_known > FAR:
            raise TurnedBack
        return False

    @property
    def upstream(self) -> frozenset[str]:
        """Unknown steps that the journey met before the last one that it remembers."""
        return frozenset(step for step in self._path[: self._last_known] if not self.memory.knows(step))


class TurnedBack(Exception):
    """A scout has seen enough."""
