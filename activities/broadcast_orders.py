"""What a broadcast's workflow asks of its activities, and what they answer: ids, positions and counts alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from domain.broadcasts import BroadcastStatus

IN_FLIGHT = 2
"""Batches of one broadcast under way at once: while the provider answers one, the next is decided on."""


class BroadcastOf(BaseModel):
    """Which one: whom it is for, only the database knows."""

    broadcast_id: str


class Plan(BaseModel):
    """What a broadcast's workflow has to know of it. Positions are those of its audience."""

    standing: BroadcastStatus
    begins_at: datetime = Field(description="if it is later, nothing else here counts yet")
    size: int = 0
    tested: int = 0
    held_out: int = 0
    batch: int = 1
    judged_after: timedelta = timedelta(0)
    winner: str | None = None


class SendBatch(BaseModel):
    """To the positions from `first` to before `end`; without them, to as many as are due again, at most `limit`."""

    broadcast_id: str
    first: int | None = None
    end: int | None = None
    limit: int


class BatchDone(BaseModel):
    """How many got it now, and why others did not. `standing` other than sending: some are not decided on yet.

    `due_at`, of a batch of those who were due: when the next of them is; none if nobody waits any more.
    """

    standing: BroadcastStatus = BroadcastStatus.SENDING
    sent: int = 0
    skipped: int = 0
    deferred: int = 0
    rejected: int = 0
    unconfirmed: int = 0
    due_at: datetime | None = None


class EndBroadcast(BaseModel):
    """`cancelled`: in Temporal itself, so that the database does not know it yet."""

    broadcast_id: str
    cancelled: bool = False


class Winner(BaseModel):
    """The variant that the rest gets."""

    variant: str
