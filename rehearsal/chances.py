"""What may happen, with which probability and how soon: the parts that a behaviour file is made of.

Every draw is keyed by the seed, the contact's number and what it decides, and by nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from statistics import NormalDist
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.event_names import EventName
from domain.limits import Duration

GOAL = "goal"
"""In a behaviour file, the goal event of whatever flow is simulated."""
_LONGEST = timedelta(days=730)
_NORMAL = NormalDist()

Probability = Annotated[float, Field(ge=0, le=1)]


def draw(seed: int, *key: str | int) -> float:
    """A number from 0 to below 1 that is always the same for the same key."""
    digest = blake2b(json.dumps([seed, *key]).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


class Part(BaseModel):
    """Of a behaviour file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Delay(Part):
    """Evenly between two durations, or around a median: half come before it, five in six before median plus spread."""

    earliest: Duration | None = None
    latest: Duration | None = None
    median: Duration | None = None
    spread: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _range(cls, value: object) -> object:
        if isinstance(value, list) and len(value) == 2:
            return {"earliest": value[0], "latest": value[1]}
        if not isinstance(value, dict | Delay):
            raise ValueError('expected ["PT5M", "P2D"] or {median = "PT3H", spread = "PT9H"}')
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given not in ({"earliest", "latest"}, {"median", "spread"}):
            raise ValueError("expected earliest and latest, or median and spread")
        if self.earliest is not None and self.latest is not None and self.earliest > self.latest:
            raise ValueError("the earliest is later than the latest: swap them")
        if self.median is not None and not self.median:
            raise ValueError("the median must be more than no time")
        return self

    def at(self, share: float) -> timedelta:
        """The delay that this share of contacts stays below, in whole seconds."""
        if self.earliest is not None and self.latest is not None:
            seconds = self.earliest.total_seconds() + share * (self.latest - self.earliest).total_seconds()
        else:
            assert self.median is not None and self.spread is not None  # noqa: PT018, S101
            median, spread = self.median.total_seconds(), self.spread.total_seconds()
            deviation = math.log((median + spread) / median)
            seconds = median * math.exp(deviation * _NORMAL.inv_cdf(min(max(share, 1e-9), 1 - 1e-9)))
        return min(timedelta(seconds=round(seconds)), _LONGEST)


class Chance(Part):
    """What may happen. What is left out is as a less specific table has it."""

    probability: Probability | None = None
    after: Delay | None = None
    needs: EventName | None = None

    def over(self, less_specific: Chance | None) -> Chance:
        if less_specific is None:
            return self
        return less_specific.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


Chances = dict[EventName, Chance]


@dataclass(frozen=True)
class Habit:
    """A chance with nothing left out."""

    event: str
    probability: float
    after: Delay
    needs: str | None


def habits(chances: Mapping[str, Chance], goal: str) -> list[Habit]:
    """The chances in an order in which each comes after what it needs, with the flow's own goal for `goal`."""
    ordered: list[Habit] = []

    def add(name: str) -> None:
        chance = chances[name]
        if chance.needs is not None:
            add(chance.needs)
        assert chance.probability is not None and chance.after is not None  # noqa: PT018, S101
        habit = Habit(
            _called(name, goal), chance.probability, chance.after, chance.needs and _called(chance.needs, goal)
        )
        if habit not in ordered:
            ordered.append(habit)

    for name in chances:
        add(name)
    return ordered


def _called(name: str, goal: str) -> str:
    return goal if name == GOAL else name


def merged(layers: Iterable[Chances]) -> Chances:
    """Chances of which later ones are more specific."""
    found: Chances = {}
    for layer in layers:
        for name, chance in layer.items():
            found[name] = chance.over(found.get(name))
    return found


def faults(name: str, chance: Chance, chances: Chances) -> Iterator[str]:
    """What is wrong with a chance among those of its table."""
    if chance.probability is None:
        yield "has no probability: add one from 0 to 1"
    if chance.after is None:
        yield 'has no delay: add after = ["PT5M", "P2D"] or after = {median = "PT3H", spread = "PT9H"}'
    met = [name]
    while (needed := chances[met[-1]].needs) is not None:
        if needed not in chances:
            if len(met) == 1:
                yield f"needs {needed}, which is not in this table: add it, or name one of {', '.join(chances)}"
            return
        if needed in met:
            if needed == name:
                yield f"needs itself, by way of {' and '.join(met[1:]) or name}: take one of these needs out"
            return
        met.append(needed)
