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
from rehearsal.calls import Call, Returned
from rehearsal.instances import CannotRun, off_the_loop
from rehearsal.life import SUGGEST_NEW_RUN_AFTER, Life, World
from workflows.discovery import FlowClass


@dataclass(frozen=True)
class End:
    """How an enrollment ended: what it recorded, what it remembered of its steps, and when, in virtual time.

    `handed_over_to` is the flow that takes the contact over, since the goal was reached.
    """

    outcome: Outcome
    memory: Memory
    at: datetime
    handed_over_to: str | None = None


@dataclass(frozen=True)
class Landing:
    """Where an enrollment stands after its first workflow task.

    `doing` says what goes on in `step`: an activity, a timer, or nothing more, since the enrollment ended by `exit`.
    `part` is the step too, or that part of it which goes on. `until` is when the timer fires; a wait that has no end is
    a timer without it. `progress` is the flow's own answer to its query of that name.
    """

    step: str | None
    part: str | None
    doing: Literal["activity", "timer", "ended"]
    exit: str | None
    until: datetime | None
    progress: Progress


def first_steps(flow: FlowClass, enrollment: Enrollment, now: datetime) -> Landing:
    """Say where an enrollment stands after its first workflow task on the code at hand; nothing is done in the world.

    An enrollment with a memory lands where its contact would be carried to: remembered steps return at once, and the
    first step that is open begins. One that is held lands where it goes on if it is resumed now. Takes some
    milliseconds; an event loop that runs on this thread waits meanwhile.

    Raises: CannotRun when the flow's code raises, or does what cannot be rehearsed.
    """
    if enrollment.memory is not None:
        memory = enrollment.memory.model_copy(deep=True)
        memory.resume(now)
        enrollment = enrollment.model_copy(update={"memory": memory})
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

    def answer(self, call: Call, life: Life) -> Returned:
        return Returned(None, took=timedelta(days=1))


def _landing(life: Life) -> Landing:
    begun = life.now
    try:
        while life.step() and not life.settled():
            if life.now > begun:
                raise CannotRun("it begins with a local activity that a rehearsal does not know: see rehearsal/life.py")
        progress = life.progress()
    finally:
        life.close()
    step = progress.step
    if life.outcome is not None:
        return Landing(life.outcome.step, None, "ended", life.outcome.exit, None, progress)
    if (activity := life.under_way()) is not None:
        return Landing(step, activity, "activity", None, None, progress)
    part, until = life.next_timer() or (step, None)
    return Landing(step, part, "timer", None, until, progress)


def _lived(life: Life) -> End:
    try:
        while life.step():
            pass
        if life.outcome is None or not life.ended:
            raise CannotRun("it waits for what never comes: give its wait a time-out")
        return End(life.outcome, life.memory(), life.now, life.handed_over_to)
    finally:
        life.close()
