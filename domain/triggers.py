"""What enrolls a contact in a flow by itself: an event, an event that comes often enough, or entering a segment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.durations import in_words
from domain.event_names import LEAVING, EventName
from domain.limits import Duration, JsonObject, Text

ORIGIN = "trigger"
"""How contacts whom a trigger enrolled came into a flow."""
Times = Annotated[int, Field(strict=True, ge=1, le=100)]
Reenroll = Literal["as_flow", "never"] | Duration
"""Whether whoever was in the flow before is enrolled again: as the flow says, never, or so long after it ended."""


class Trigger(BaseModel):
    """When a contact is enrolled: after `event`, after `times` of it `within` a time, or on entering `segment`.

    `settings` are overrides of the flow's. `reenroll` takes the place of the flow's own rule.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: EventName | None = None
    times: Times = 1
    within: Duration | None = None
    segment: Text | None = Field(default=None, description="its name where a flow declares the trigger, else its id")
    reenroll: Reenroll = "as_flow"
    settings: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_occasion(self) -> Trigger:
        require_one_occasion(self.event, self.segment, self.times, self.within)
        return self

    def reenroll_after(self, flows_rule: timedelta | None) -> timedelta | None:
        """How long after the last enrollment ended another may begin; None: never. `flows_rule` is the flow's own."""
        if isinstance(self.reenroll, timedelta):
            return self.reenroll
        return flows_rule if self.reenroll == "as_flow" else None

    def in_words(self) -> str:
        """The occasion, for pages and listings: `clicked 3 times within 7 days`."""
        if self.within is not None:
            return f"{self.event} {self.times} times within {in_words(self.within)}"
        return self.event or f"entering the segment {self.segment}"


class Began(NamedTuple):
    """Of an enrollment that a trigger made: the trigger, and what it fired on (an event's id, where there was one)."""

    trigger_id: str
    cause: str


def require_one_occasion(event: str | None, segment: str | None, times: int, within: timedelta | None) -> None:
    """Raises: ValueError unless these are one occasion to enroll somebody."""
    if (event is None) == (segment is None):
        raise ValueError("give either an event or a segment")
    if event in LEAVING:
        raise ValueError(f"{event} enrolls nobody: after {', '.join(LEAVING)} a contact leaves every flow")
    if event is None and (times > 1 or within is not None):
        raise ValueError("times and within go with an event: a segment is entered once")
    if (times > 1) != (within is not None):
        raise ValueError("give times, 2 or more, and within together")
    if within is not None and not within:
        raise ValueError("within is no time at all: expected one such as P7D")


def declared_id(flow: str, trigger: Trigger) -> str:
    """The identity of a trigger that a flow declares: as long as its definition stays, it is the same one."""
    return f"{flow}.{hashlib.sha256(trigger.model_dump_json().encode()).hexdigest()[:12]}"


def enrollment_key(trigger_id: str, cause: str) -> str:
    """The idempotency key of an enrollment that a trigger makes; `began_by` is its inverse."""
    return f"{ORIGIN}:{trigger_id}:{cause}"


def began_by(key: str | None) -> Began | None:
    """What a key of `enrollment_key` tells; None for any other key."""
    origin, _, rest = (key or "").partition(":")
    trigger_id, colon, cause = rest.partition(":")
    return Began(trigger_id, cause) if origin == ORIGIN and trigger_id and colon and cause else None


def often_enough(moments: Iterable[datetime], at: datetime, times: int, within: timedelta) -> bool:
    """Whether `times` of these moments lie no further apart than `within`, with `at`, one of them, among them.

    Of a set of moments that do, whichever we hear of last finds it so: the order in which events arrive is no matter.
    """
    ordered = sorted(moments)
    windows = zip(ordered, ordered[times - 1 :], strict=False)
    return any(first <= at <= last and last - first <= within for first, last in windows)
