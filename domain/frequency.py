"""How often a contact is written to: frequency caps, and a minimum gap between two messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.durations import read_duration
from domain.limits import Duration

_CAP = re.compile(r"(?P<limit>[1-9][0-9]{0,3})/(?P<within>[^/]+)")

Rule = Literal["minimum_gap", "frequency_cap"]


class Cap(BaseModel):
    """At most `limit` messages in any time that is `within` long, wherever it begins; its end is not part of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(ge=1, strict=True)
    within: Annotated[Duration, Field(gt=timedelta(0))]


class Standing(BaseModel):
    """One rule as a message met it. A minimum gap is a cap of one."""

    model_config = ConfigDict(frozen=True)

    rule: Rule
    limit: int
    within: timedelta
    count: int
    """The earlier messages that count. The rule stands in the way if they are `limit` or more."""
    allows_at: datetime
    """The earliest moment, now or later, at which it does not."""


class Allowance(BaseModel):
    """When a message may go out, and how each rule stands, for explanations."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    """The earliest moment at which no rule stands in the way: now or later."""
    standings: tuple[Standing, ...]

    @property
    def obstacle(self) -> Standing | None:
        """Of the rules in the way, the one that is so for longest; None: the message may go out now."""
        in_the_way = [standing for standing in self.standings if standing.count >= standing.limit]
        return max(in_the_way, key=lambda standing: standing.allows_at, default=None)


def next_allowed(now: datetime, sent: Sequence[datetime], caps: Sequence[Cap], minimum_gap: timedelta) -> Allowance:
    """Decide whether a message may go out now or, if no other does meanwhile, when.

    `sent` has the moments of earlier messages, in any order; those older than the longest rule may be left out. One
    that lies ahead, by another machine's clock or because it is promised, counts too. No caps, and a gap of
    zero, are no rules.
    """
    latest_first = sorted(sent, reverse=True)
    standings = [_standing("frequency_cap", cap, latest_first, now) for cap in caps]
    if minimum_gap:
        standings.insert(0, _standing("minimum_gap", Cap(limit=1, within=minimum_gap), latest_first, now))
    return Allowance(at=max((standing.allows_at for standing in standings), default=now), standings=tuple(standings))


def read_caps(text: str) -> tuple[Cap, ...]:
    """Read caps as settings have them: `2/1d, 5/7d` is two in a day and five in seven days; a blank text is none.

    Raises: ValueError, naming the part at fault and what is expected.
    """
    return tuple(_read_cap(part.strip()) for part in text.split(",")) if text.strip() else ()


def _standing(rule: Rule, cap: Cap, latest_first: Sequence[datetime], now: datetime) -> Standing:
    count = sum(moment > now - cap.within for moment in latest_first)
    # One more is allowed as soon as the one that is `limit` places from the latest counts no more.
    allows_at = latest_first[cap.limit - 1] + cap.within if count >= cap.limit else now
    return Standing(rule=rule, limit=cap.limit, within=cap.within, count=count, allows_at=allows_at)


def _read_cap(text: str) -> Cap:
    read = _CAP.fullmatch(text)
    within = read_duration(read["within"]) if read else timedelta()
    if not read or not within:
        raise ValueError(f"{text!r} is no frequency cap: expected messages, from 1 to 9999, in a duration, as 2/1d")
    return Cap(limit=int(read["limit"]), within=within)
