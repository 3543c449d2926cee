"""Broadcasts: one message to many contacts, at a time, with a test of subjects and a group that gets nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from domain.audiences import AudienceSource
from domain.contacts import Locale
from domain.event_names import EventName
from domain.limits import Duration, Moment, Text
from domain.local_time import next_local

FLOW = "broadcast"
"""What stands in the ledger where other messages have their flow: the folder of the templates too."""
BROADCASTS_TASK_QUEUE = "cauce-broadcasts"
HOLDOUT = "holdout group"
CANCELLED = "the broadcast was cancelled"
EASTMOST = timedelta(hours=14)
"""How much sooner than in UTC the clocks of the first time zone show a time."""


class BroadcastStatus(StrEnum):
    WAITING = "waiting"
    """Its time has not come."""
    SENDING = "sending"
    HELD = "held"
    CANCELLING = "cancelling"
    """Nothing goes out any more; whoever is left is being written down as skipped."""
    CANCELLED = "cancelled"
    FINISHED = "finished"


OVER = frozenset({BroadcastStatus.CANCELLED, BroadcastStatus.FINISHED})


def _wall_clock(value: datetime) -> datetime:
    if value.tzinfo is not None:
        raise ValueError("expected a time without a zone, as 2026-12-01T09:00:00: it is each contact's own")
    if not 2000 <= value.year <= 2100:
        raise ValueError("expected a time between the years 2000 and 2100")
    return value.replace(microsecond=0)


Share = Annotated[float, Field(strict=True, gt=0, le=0.5, allow_inf_nan=False)]
SubjectLine = Annotated[Text, StringConstraints(min_length=1)]
WallClock = Annotated[datetime, AfterValidator(_wall_clock)]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Variant(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: VariantName
    subject: dict[Locale, SubjectLine] = Field(
        min_length=1,
        max_length=50,
        description="by locale, in each that the message is written in; Jinja, as in its own subject.txt",
    )


class SubjectTest(BaseModel):
    """Some of the audience get one of several subjects, in equal parts; the rest the one that was clicked most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variants: tuple[Variant, ...] = Field(min_length=2, max_length=10)
    share: Share = Field(description="of the audience, that the test is made with", examples=[0.1])
    after: Duration = Field(
        default=timedelta(hours=4), description="how long clicks are counted, since the last of them was sent"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({variant.name for variant in self.variants}) < len(self.variants):
            raise ValueError("two variants have the same name")
        return self


class BroadcastSettings(BaseModel):
    """What somebody asks for besides the message and whom it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Moment | None = Field(default=None, description="when it begins, and who is in a segment then; null: now")
    at_local: WallClock | None = Field(
        default=None,
        description="in place of `at`: each contact gets it when their own clock shows this, or at once if it has",
        examples=["2026-12-01T09:00:00"],
    )
    holdout: Annotated[float, Field(strict=True, ge=0, le=0.5, allow_inf_nan=False)] = Field(
        default=0.0, description="share of the audience, drawn by lot, that gets nothing: to compare the others with"
    )
    test: SubjectTest | None = None
    goal_event: EventName | None = Field(
        default=None, description="counted since it began, in those who got it and in the holdout", examples=["bought"]
    )
    give_up_after: Duration = Field(
        default=timedelta(days=3),
        description="how long a message may wait for sending hours or frequency caps; then it is skipped",
    )

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.at is not None and self.at_local is not None:
            raise ValueError("give either at or at_local")
        return self

    def begins_at(self, asked_at: datetime) -> datetime:
        """The first moment at which anybody's time may have come. In UTC."""
        if self.at_local is not None:
            return max(self.at_local.replace(tzinfo=UTC) - EASTMOST, asked_at)
        return max(self.at or asked_at, asked_at)

    def due_at(self, zone: str) -> datetime | None:
        """When it goes to a contact in this time zone; None: as soon as it begins."""
        if self.at_local is None:
            return None
        midnight = self.at_local.replace(hour=0, minute=0, second=0, tzinfo=ZoneInfo(zone))
        return next_local(midnight.astimezone(UTC), zone, self.at_local.time())


class BroadcastOrder(BroadcastSettings):
    """A broadcast as it is asked for."""

    name: Text = Field(min_length=1, examples=["Shared calendars, to all customers"])
    message: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,79}$", examples=["product-update"])
    source: AudienceSource

    @property
    def settings(self) -> BroadcastSettings:
        return BroadcastSettings(**{name: getattr(self, name) for name in BroadcastSettings.model_fields})


class Parts(NamedTuple):
    """Of an audience, as positions: up to `tested` the test, from `held_out` on those who get nothing."""

    tested: int
    held_out: int


def parts_of(settings: BroadcastSettings, size: int) -> Parts:
    """A test is made with one contact of each variant at least, if there are so many."""
    held_out = size - math.floor(Decimal(str(settings.holdout)) * size)
    if settings.test is None:
        return Parts(0, held_out)
    tested = max(math.ceil(Decimal(str(settings.test.share)) * size), len(settings.test.variants))
    return Parts(min(tested, held_out), held_out)


def variant_at(settings: BroadcastSettings, position: int, tested: int, winner: str | None) -> str | None:
    """The variant that the contact at a position gets: in turn while it is tested, then the winner."""
    if settings.test is None:
        return None
    variants = settings.test.variants
    return variants[position % len(variants)].name if position < tested else winner


class VariantCount(NamedTuple):
    sent: int
    clicked: int
    """Of these, by a person."""


def winner_of(variants: Sequence[str], counts: Mapping[str, VariantCount]) -> str:
    """The variant with the highest rate of clicks; of equal ones, or without a click, the first."""

    def rate(name: str) -> Decimal:
        count = counts.get(name)
        return Decimal(count.clicked) / count.sent if count and count.sent else Decimal(0)

    return max(variants, key=rate)
