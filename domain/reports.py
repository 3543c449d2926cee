"""What came of those who entered a flow: exits, a share that says how sure it is, times.

Computed from tallies: how many enrollments are alike in all that is counted (`store.reports`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta
from enum import StrEnum
from math import sqrt
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.flows import Exit, Goal

KeyT = TypeVar("KeyT", Exit, str, str | None)
_Z = 1.959963984540054
"""A normal variable lies within so many standard deviations of its mean with a probability of 95 %."""


class EnrollmentTally(NamedTuple):
    """`exit` is None of active enrollments. Of these, `open` may reach the goal in time yet."""

    exit: Exit | None
    last_step: str | None
    build: str | None
    number: int
    open: int


class Counted(BaseModel):
    model_config = ConfigDict(frozen=True)


class Times(Counted):
    """How long something took. Half took `median` at the most, nine in ten `p90`; null if there were none."""

    count: int = 0
    median: timedelta | None = None
    p90: timedelta | None = None


class QuestionKind(StrEnum):
    APPROVAL = "approval"
    TASK = "task"
    LEAD = "lead"


class QuestionCounts(Counted):
    """What people were asked in one step. `asked` is the sum of `open` and of all outcomes."""

    kind: QuestionKind
    step: str = Field(examples=["approve-offer"])
    asked: int = Field(description="a lead that is offered to another rep is asked again")
    open: int
    overdue: int = Field(description="of the open ones: their time is over")
    queued: int = Field(default=0, description="leads that no rep can take now")
    outcomes: dict[str, int] = Field(
        description="approved, rejected, expired; done, overdue (nobody waits any more); accepted, declined, lapsed; "
        "withdrawn",
        examples=[{"approved": 31, "rejected": 4}],
    )
    answered: Times = Field(description="from asking to an answer that counted")


class Verdict(StrEnum):
    ABOVE = "above the target"
    BELOW = "below the target"
    OPEN = "not yet told apart from the target"


class GoalRate(Counted):
    """How many of all that entered reached the goal in time, and what that says of the share in the long run.

    With a confidence of 95 % that share lies between `low` and `high` (Wilson's interval), if nobody else reaches it;
    `high_with_open` is the upper bound if everybody does who may yet. The verdict goes by `low` and `high_with_open`.
    """

    reached: int = Field(description="in time")
    late: int = Field(description="after the goal's time: they do not count in the rate")
    open: int = Field(description="in the flow, with time left to reach it")
    rate: float | None = Field(description="reached of enrolled; null: nobody is")
    low: float
    high: float
    high_with_open: float
    verdict: Verdict


class ExitCounts(Counted):
    exit: Exit
    count: int
    steps: dict[str, int] = Field(description="by the step that they had come to")


class VersionCounts(Counted):
    version: str | None = Field(description="the build that they began on; null: their run has not told it yet")
    enrolled: int
    goal: int


def wilson(successes: int, of: int) -> tuple[float, float]:
    """The bounds between which a share lies with a confidence of 95 %, after so many successes.

    Holds for few trials and for shares near 0 and 1 too. Of no trials nothing is known: (0, 1).
    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    if not of:
        return 0.0, 1.0
    share, square = successes / of, _Z * _Z
    centre = (share + square / (2 * of)) / (1 + square / of)
    margin = _Z * sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    # Exactly 0 and 1 where rounding would miss them.
    low = 0.0 if successes == 0 else max(0.0, centre - margin)
    return low, 1.0 if successes == of else min(1.0, centre + margin)


def goal_rate(goal: Goal, tallies: Collection[EnrollmentTally], late: int) -> GoalRate:
    """`late`: how many of those with the exit `goal` took longer than the goal allows."""
    enrolled = sum(tally.number for tally in tallies)
    still_open = sum(tally.open for tally in tallies)
    reached = sum(tally.number for tally in tallies if tally.exit is Exit.GOAL) - late
    low, high = wilson(reached, enrolled)
    _, high_with_open = wilson(reached + still_open, enrolled)
    verdict = Verdict.ABOVE if low > goal.target else Verdict.BELOW if high_with_open < goal.target else Verdict.OPEN
    return GoalRate(
        reached=reached,
        late=late,
        open=still_open,
        rate=reached / enrolled if enrolled else None,
        low=low,
        high=high,
        high_with_open=high_with_open,
        verdict=verdict,
    )


def exits(tallies: Iterable[EnrollmentTally]) -> list[ExitCounts]:
    """Most frequent first, and so the steps of each."""
    steps = defaultdict[Exit, Counter[str]](Counter)
    counts = Counter[Exit]()
    for tally in tallies:
        if tally.exit is not None:
            counts[tally.exit] += tally.number
            if tally.last_step is not None:
                steps[tally.exit][tally.last_step] += tally.number
    return [
        ExitCounts(exit=exit_, count=number, steps=dict(_ranked(steps[exit_]))) for exit_, number in _ranked(counts)
    ]


def versions(tallies: Iterable[EnrollmentTally]) -> list[VersionCounts]:
    """Most enrollments first."""
    enrolled, goals = Counter[str | None](), Counter[str | None]()
    for tally in tallies:
        enrolled[tally.build] += tally.number
        goals[tally.build] += tally.number if tally.exit is Exit.GOAL else 0
    return [VersionCounts(version=build, enrolled=number, goal=goals[build]) for build, number in _ranked(enrolled)]


def _ranked(counts: Counter[KeyT]) -> list[tuple[KeyT, int]]:
    """Most first, equal ones in the order of their names."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0] is None, item[0]))
