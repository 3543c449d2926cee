"""Runs enrollments of the real flow code in this process, without a Temporal server: for a preview, or to their end.

The code runs in the sandbox that workers use, driven as the SDK's worker drives it: see `rehearsal/instances.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from domain.flows import Enrollment, Outcome, Progress
from domain.memory import Memory
from rehearsal.instances import CannotRun, off_the_loop
from rehearsal.life import SUGGEST_NEW_RUN_AFTER, Answer, Call, Life, Wait, World
from workflows.discovery import FlowClass


@dataclass(frozen=True)
class End:
    """How an enrollment ended: what it recorded, what it remembered of its steps, and when, in virtual time."""

    outcome: Outcome
    memory: Memory
    at: datetime


@dataclass(frozen=True)
class Landing:
    """Where an enrollment stands after its first workflow task.

    `doing` says what goes on in `step`: an activity, a timer, or nothing more, since the enrollment ended by `exit`.
    `until` is when the timer fires; a wait that has no end is a timer without it. `progress` is the flow's own answer
    to its query of that name.
    """

    step: str | None
    doing: Literal["activity", "timer", "ended"]
    exit: str | None
    until: datetime | None
    progress: Progress


def first_steps(flow: FlowClass, enrollment: Enrollment, now: datetime) -> Landing:
    """Say where an enrollment stands after its first workflow task on the code at hand; nothing is done in the world.

    An enrollment with a memory lands where its contact would be carried to: remembered steps return at once, and the
    first step that is open begins. Takes some milliseconds; an event loop that runs on this thread waits meanwhile.

    Raises: CannotRun when the flow's code raises, or does what cannot be rehearsed.
    """
    return off_the_loop(lambda: _landing(Life(flow, enrollment, _NothingHappens(), now)))


def live(
    flow: FlowClass,
    enrollment: Enrollment,
    world: World,
    begin: datetime,
    *,
    foretold: Callable[[Life], None] = lambda _: None,
    suggest_new_run_after: int = SUGGEST_NEW_RUN_AFTER,
) -> End:
    """Live an enrollment from its start to its end.

    `foretold` tells the life what will happen whatever the flow does. Raises: CannotRun when the flow's code raises,
    does what cannot be rehearsed, or waits for what never comes.
    """
    life = Life(flow, enrollment, world, begin, suggest_new_run_after)
    foretold(life)
    return off_the_loop(lambda: _lived(life))


class _NothingHappens:
    """The world of a landing: what begins in it never ends."""

    def answer(self, call: Call, life: Life) -> Answer:
        return Answer(None, took=timedelta(days=1))

    def waits(self, wait: Wait, life: Life) -> None:
        """Nobody watches."""


def _landing(life: Life) -> Landing:
    begun = life.now
    try:
        while life.step() and not life.settled():
            if life.now > begun:
                raise CannotRun("it begins with a local activity that a rehearsal does not know: see rehearsal/life.py")
        progress = life.progress()
    finally:
        life.close()
    if life.outcome is not None:
        return Landing(life.outcome.step, "ended", life.outcome.exit, None, progress)
    if life.under_way():
        return Landing(progress.step, "activity", None, None, progress)
    return Landing(progress.step, "timer", None, life.next_timer(), progress)


def _lived(life: Life) -> End:
    try:
        while life.step():
            pass
        if life.outcome is None or not life.ended:
            raise CannotRun("it waits for what never comes: give its wait a time-out")
        return End(life.outcome, life.memory(), life.now)
    finally:
        life.close()
