"""Bulk enrollments: many contacts into one flow, at a rate, and with a pilot in stages that gates lie between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.limits import Duration
from domain.people import Role

PER_SECOND = 50.0
MAX_PER_SECOND = 500.0
LEAST_CHECK, LONGEST_CHECK = timedelta(minutes=1), timedelta(hours=1)
"""How often the figures of a gate are looked at while its time runs: 24 times, within these."""

PerSecond = Annotated[float, Field(strict=True, ge=0.1, le=MAX_PER_SECOND, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class JobStatus(StrEnum):
    PREPARING = "preparing"
    """Whom it is for is being written down."""
    RUNNING = "running"
    AT_GATE = "at_gate"
    """A stage is done, and the time of its gate runs."""
    AWAITING_APPROVAL = "awaiting_approval"
    """That time is over, and a person has to say whether it goes on."""
    HELD = "held"
    HALTED = "halted"
    """A gate was breached, or a person declined: only a person can let it go on."""
    CANCELLED = "cancelled"
    FINISHED = "finished"


OVER = frozenset({JobStatus.CANCELLED, JobStatus.FINISHED})
GATED = frozenset({JobStatus.AT_GATE, JobStatus.AWAITING_APPROVAL})


class Refused(StrEnum):
    """Why a contact was not enrolled. Of a suppressed address it is `suppressed_` and the suppression's reason."""

    ALREADY_ACTIVE = "already_active"
    NOT_YET_AGAIN = "not_yet_again"
    """The flow's re-enrollment rule keeps them out."""
    BEING_ERASED = "being_erased"


class Figures(BaseModel):
    """What came of everybody whom a bulk enrollment has enrolled so far.

    `sent` are messages that a provider has. A complaint or bounce is a message that it came of, or an enrollment that
    ended by it where no message tells.
    """

    model_config = ConfigDict(frozen=True)

    enrolled: int = 0
    goals: int = 0
    sent: int = 0
    complaints: int = 0
    bounces: int = 0


class GateApproval(BaseModel):
    """Somebody in this role has to approve, once the gate's time is over and its figures are good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role = Field(examples=["marketing"])
    asker_may_decide: bool = Field(
        default=False, description="whoever asked for the bulk enrollment may approve it too"
    )


class Gate(BaseModel):
    """What has to be true before the next stage begins. A limit that is null is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Duration = Field(default=timedelta(days=1), description="since the stage was enrolled")
    minimum_sent: int = Field(
        default=1,
        strict=True,
        ge=0,
        lt=2**31,
        description="with fewer messages sent by then, nothing is proven: it halts",
    )
    goal_rate_at_least: Rate | None = Field(default=None, description="of enrollments, once `after` is over")
    complaint_rate_at_most: Rate | None = Field(default=0.003, description="of messages sent")
    bounce_rate_at_most: Rate | None = Field(default=0.05, description="of messages sent")
    approval: GateApproval | None = None

    @property
    def looked_at_every(self) -> timedelta:
        return min(max(self.after / 24, LEAST_CHECK), LONGEST_CHECK)

    def breach(self, figures: Figures, *, over: bool) -> str | None:
        """What of the figures keeps the gate shut, with what was measured and what is allowed; None if nothing does.

        Before its time is over, rates are of as many messages as there are enrollments, or more: while messages still
        go out, one complaint among the first of them is no rate.
        """
        if over and figures.sent < self.minimum_sent:
            return f"{figures.sent} messages were sent, fewer than {self.minimum_sent}: nothing is proven"
        sent = figures.sent if over else max(figures.sent, figures.enrolled)
        for name, count, limit in (
            ("complaint", figures.complaints, self.complaint_rate_at_most),
            ("bounce", figures.bounces, self.bounce_rate_at_most),
        ):
            if limit is not None and _exceeds(count, sent, limit):
                return f"{name} rate {_share(count, sent)} of messages is above {limit:.2%}"
        wanted = self.goal_rate_at_least
        if over and wanted is not None and not _exceeds(figures.goals, figures.enrolled, wanted, or_equals=True):
            return f"goal rate {_share(figures.goals, figures.enrolled)} of enrollments is below {wanted:.2%}"
        return None


class Stage(BaseModel):
    """Up to which share of the audience, or how many contacts in all; and the gate after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, examples=[0.01]
    )
    count: Annotated[int, Field(strict=True, gt=0, lt=2**31)] | None = None
    gate: Gate | None = Field(default=None, description="null: one with the default limits; none after the last stage")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.share is None) == (self.count is None):
            raise ValueError("give either share or count")
        return self

    def end(self, size: int) -> int:
        """The position that it ends before: a share is rounded up, so that it is never nobody."""
        if self.count is not None:
            return min(self.count, size)
        return math.ceil(Decimal(str(self.share)) * size)


class Pilot(BaseModel):
    """Stages, each more of the audience than the one before; the last is all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(
        min_length=2,
        max_length=10,
        examples=[[{"share": 0.01}, {"share": 0.1, "gate": {"after": "P2D"}}, {"share": 1.0}]],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stages[-1].share != 1 or self.stages[-1].gate is not None:
            raise ValueError("the last stage has to be the share 1, without a gate")
        for kind in ("share", "count"):
            given = [value for stage in self.stages if (value := getattr(stage, kind)) is not None]
            if any(later <= earlier for earlier, later in pairwise(given)):
                raise ValueError(f"each {kind} has to be larger than the one before")
        return self


def stage_end(pilot: Pilot | None, stage: int, size: int) -> int:
    """The position that a stage ends before; never less than that of a stage before it."""
    if pilot is None:
        return size
    return max(each.end(size) for each in pilot.stages[: stage + 1])


def gate_after(pilot: Pilot, stage: int) -> Gate:
    return pilot.stages[stage].gate or Gate()


class GateRecord(BaseModel):
    """What became of the gate after a stage. While it is open it has no outcome."""

    stage: int = Field(description="from 0")
    opened_at: datetime = Field(description="when the stage was enrolled")
    due_at: datetime = Field(description="when it is decided at the earliest")
    checked_at: datetime | None = None
    figures: Figures | None = None
    asked_at: datetime | None = Field(default=None, description="since when a person's approval is all that is missing")
    outcome: Literal["passed", "approved", "declined", "halted", "overruled"] | None = Field(
        default=None, description="overruled: a person let it go on after it was halted or declined"
    )
    reason: str | None = Field(default=None, description="why it was halted")
    person_id: str | None = Field(default=None, description="who approved, declined or overruled")
    note: str | None = None
    closed_at: datetime | None = None


class Standing(BaseModel):
    """Where a bulk enrollment is: what its workflow knows of it. Nothing personal."""

    status: JobStatus
    flow: str
    size: int | None = None
    position: int = 0
    enrolled: int = 0
    refused: int = 0
    stage: int = 0
    stages: int = 1
    stage_end: int | None = None
    flow_held: bool = False
    next_check_at: datetime | None = None
    due_at: datetime | None = None
    role: str | None = None
    reason: str | None = None


class GateDecision(BaseModel):
    """A person's word on the gate after a stage."""

    job_id: str
    stage: int
    person_id: str
    approved: bool
    note: str | None = None


def open_gate(gates: Sequence[GateRecord]) -> GateRecord | None:
    return gates[-1] if gates and gates[-1].outcome is None else None


def _exceeds(count: int, of: int, limit: float, *, or_equals: bool = False) -> bool:
    """Whether `count` out of `of` is more than the share `limit`, exactly. Some out of nothing are more than any."""
    most = Decimal(str(limit)) * of
    return count >= most if or_equals else count > most


def _share(count: int, of: int) -> str:
    return f"{count / of:.2%} ({count} of {of})" if of else f"({count} of 0)"
