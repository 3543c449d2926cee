"""What virtual contacts do, as a behaviour file says it: with which probability, how soon, and after what.

The file's shape is told in docs/simulating.md. Every draw is keyed by the seed, the contact's number and what it
decides, and by nothing else: an edited flow meets the same contacts, who do the same with the same message.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from domain.contacts import Topic
from domain.events import LEAVING_EVENTS
from domain.flows import FlowType
from domain.limits import Duration
from emails.folder import MessageType

DEFAULT_BEHAVIOUR = Path(__file__).with_name("behaviour.toml")
GOAL = "goal"
"""In a behaviour file, the goal event of whatever flow is simulated."""
_OF_EVERY_MAIL = frozenset({"opened", "clicked"})
_LONGEST = timedelta(days=730)
_NORMAL = NormalDist()

MessageTypes = Mapping[str, MessageType]
"""By name, the messages of one flow."""
Probability = Annotated[float, Field(ge=0, le=1)]
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
MessageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
PersonaName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class BehaviourError(ValueError):
    """A behaviour file that cannot be followed: one line a fault, with file, key, value and mend."""


def draw(seed: int, *key: str | int) -> float:
    """A number from 0 to below 1 that is always the same for the same key."""
    digest = blake2b(json.dumps([seed, *key]).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Delay(_Part):
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


class Chance(_Part):
    """What may happen. What is left out is as a less specific table has it."""

    probability: Probability | None = None
    after: Delay | None = None
    needs: EventName | None = None

    def over(self, less_specific: Chance | None) -> Chance:
        if less_specific is None:
            return self
        return less_specific.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


Chances = dict[EventName, Chance]


class Manner(_Part):
    """`reactions` to any message, to `messages` by name, and `events` that happen by themselves after entering."""

    reactions: Chances = {}
    messages: dict[MessageName, Chances] = {}
    events: Chances = {}
    consent: dict[Topic, Probability] = {}


class Persona(Manner):
    """A kind of contact. `share` is a weight beside the other personas'."""

    share: float = Field(gt=0, le=1_000_000, allow_inf_nan=False)


class Behaviour(Manner):
    """A whole file. Without personas all contacts are of one kind."""

    personas: dict[PersonaName, Persona] = {}

    @classmethod
    def read(cls, path: Path, about: FlowType | None = None, messages: MessageTypes | None = None) -> Behaviour:
        """Read a file, and check it against a flow and its messages if one is given. Raises: BehaviourError."""
        try:
            behaviour = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BehaviourError(f"{path}: {error.strerror}: give a file by --behaviour") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BehaviourError(f"{path}: not TOML: {error}") from None
        except ValidationError as error:
            raise BehaviourError("\n".join(f"{path}: {_told(fault)}" for fault in error.errors())) from None
        faults = list(behaviour._gaps())
        if about is not None:
            faults += behaviour._strangers(about, messages or {})
        if faults:
            raise BehaviourError("\n".join(f"{path}: {fault}" for fault in faults))
        return behaviour

    def persona_at(self, share: float) -> str | None:
        """The persona that this share of contacts comes up to, in the file's order; None if there are none."""
        reached = 0.0
        total = sum(persona.share for persona in self.personas.values())
        for name, persona in self.personas.items():
            reached += persona.share / total
            if share < reached:
                return name
        return next(reversed(self.personas), None)

    def reactions_to(self, message: str, persona: str | None) -> Chances:
        """What a message may bring about, most specific last: any, this one, the persona's any, the persona's this."""
        layers = [self.reactions, self.messages.get(message, {})]
        if persona is not None:
            own = self.personas[persona]
            layers += [own.reactions, own.messages.get(message, {})]
        return _merged(layers)

    def events_of(self, persona: str | None) -> Chances:
        """What may happen by itself."""
        return _merged([self.events, self.personas[persona].events if persona is not None else {}])

    def consents(self, topic: str, persona: str | None) -> float:
        """How probable consent to a topic is; contacts consent to what the file says nothing of."""
        own = self.personas[persona].consent if persona is not None else {}
        return own.get(topic, self.consent.get(topic, 1.0))

    def _gaps(self) -> Iterator[str]:
        told = set()
        for key, chances in self._tables():
            for name, chance in chances.items():
                for fault in _faults(name, chance, chances):
                    # The same gap shows in each persona that inherits it.
                    if (name, fault) not in told:
                        yield f"{key}.{name}: {fault}"
                    told.add((name, fault))

    def _tables(self) -> Iterator[tuple[str, Chances]]:
        yield "reactions", self.reactions_to("", None)
        yield "events", self.events_of(None)
        for message in self.messages:
            yield f"messages.{message}", self.reactions_to(message, None)
        for name, persona in self.personas.items():
            yield f"personas.{name}.reactions", self.reactions_to("", name)
            yield f"personas.{name}.events", self.events_of(name)
            for message in persona.messages:
                yield f"personas.{name}.messages.{message}", self.reactions_to(message, name)

    def _strangers(self, about: FlowType, messages: MessageTypes) -> Iterator[str]:
        """What the flow has nothing to do with: most likely a slip of the pen."""
        heard = {GOAL, about.goal.event, *about.listens, *LEAVING_EVENTS, *_OF_EVERY_MAIL}
        told = set()
        for key, chances in self._tables():
            if {GOAL, about.goal.event} <= chances.keys() and GOAL not in told:
                told.add(GOAL)
                yield f"{key}.{GOAL}: {about.goal.event} is the goal of this flow: say it under one of the two names"
            for name in chances:
                if name not in heard | {chance.needs for chance in chances.values()} and name not in told:
                    told.add(name)
                    yield (
                        f"{key}.{name}: this flow never hears of {name}, and nothing here needs it: "
                        f"take one of {', '.join(sorted(heard))}"
                    )
        for key, manner in [("", self), *((f"personas.{name}.", own) for name, own in self.personas.items())]:
            for message in manner.messages:
                if message not in messages:
                    known = ", ".join(sorted(messages)) or "none"
                    yield f"{key}messages.{message}: this flow has no such message: take one of {known}"
            topics = {kind.topic for kind in messages.values()}
            for topic in sorted(manner.consent.keys() - topics):
                known = ", ".join(sorted(topics)) or "none"
                yield f"{key}consent.{topic}: no message of this flow is about it: take one of {known}"


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


def _merged(layers: list[Chances]) -> Chances:
    merged: Chances = {}
    for layer in layers:
        for name, chance in layer.items():
            merged[name] = chance.over(merged.get(name))
    return merged


def _faults(name: str, chance: Chance, chances: Chances) -> Iterator[str]:
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


def _told(fault: Any) -> str:
    """One of pydantic's faults as `key: value: what to do`."""
    key = ".".join(str(part) for part in fault["loc"])
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"{key}: there is no such key: see docs/simulating.md"
    if fault["type"] == "missing":
        return f"{key}: is missing: add it"
    return f"{key}: {fault['input']!r}: {said[0].lower()}{said[1:]}"
