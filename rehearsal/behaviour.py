"""What virtual contacts do, and people of the team, as a behaviour file says it.

The file's shape is told in docs/simulating.md. An edited flow meets the same contacts, who do the same with the same
message, and the same colleagues, who answer the same questions alike.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from domain.contacts import Topic
from domain.events import LEAVING_EVENTS
from domain.flows import FlowType
from domain.people import Role
from emails.folder import MessageType
from rehearsal.chances import GOAL, Chance, Chances, Part, Probability, faults, merged

DEFAULT_BEHAVIOUR = Path(__file__).with_name("behaviour.toml")
_OF_EVERY_MAIL = frozenset({"opened", "clicked"})
_RIVALS = (("approve", "reject"), ("done",), ("accept", "decline"), ("give",))
"""Of each group a person does one thing or none."""
_ROUNDING = 1e-9

MessageTypes = Mapping[str, MessageType]
"""By name, the messages of one flow."""
MessageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
PersonaName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class BehaviourError(ValueError):
    """A behaviour file that cannot be followed: one line a fault, with file, key, value and mend."""


class Manner(Part):
    """`reactions` to any message, to `messages` by name, and `events` that happen by themselves after entering.

    `attributes` by name: the share of contacts by value. The others have no such attribute.
    """

    reactions: Chances = Field(default_factory=dict)
    messages: dict[MessageName, Chances] = Field(default_factory=dict)
    events: Chances = Field(default_factory=dict)
    consent: dict[Topic, Probability] = Field(default_factory=dict)
    attributes: dict[str, dict[str, Probability]] = Field(default_factory=dict)


class Persona(Manner):
    """A kind of contact. `share` is a weight beside the other personas'."""

    share: float = Field(gt=0, le=1_000_000, allow_inf_nan=False)


class Colleague(Part):
    """What people of the team do when they are asked, and when they are reminded of it. `count`: of a role."""

    count: int | None = Field(default=None, ge=1, le=1000)
    approve: Chance | None = None
    reject: Chance | None = None
    done: Chance | None = None
    accept: Chance | None = None
    decline: Chance | None = None
    give: Chance | None = None
    """Give a lead that nobody took to a rep by hand."""

    @property
    def chances(self) -> Chances:
        return {name: chance for group in _RIVALS for name in group if (chance := getattr(self, name)) is not None}


class Behaviour(Manner):
    """A whole file. Without personas all contacts are of one kind; `roles` are what people in one do otherwise."""

    personas: dict[PersonaName, Persona] = Field(default_factory=dict)
    people: Colleague = Colleague()
    roles: dict[Role, Colleague] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, about: FlowType | None = None, messages: MessageTypes | None = None) -> Behaviour:
        """Read a file, and check it against a flow and its messages if one is given. Raises: BehaviourError.

        Of one that says nothing of people, people do as the default says.
        """
        try:
            behaviour = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BehaviourError(f"{path}: {error.strerror}: give a file by --behaviour") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BehaviourError(f"{path}: not TOML: {error}") from None
        except ValidationError as error:
            raise BehaviourError("\n".join(f"{path}: {_told(fault)}" for fault in error.errors())) from None
        found = [*behaviour._gaps(), *behaviour._gaps_of_people(), *behaviour._excesses()]
        if about is not None:
            found += behaviour._strangers(about, messages or {})
        if found:
            raise BehaviourError("\n".join(f"{path}: {fault}" for fault in found))
        if not behaviour.model_fields_set & {"people", "roles"}:
            default = cls.model_validate(tomllib.loads(DEFAULT_BEHAVIOUR.read_text(encoding="utf-8")))
            behaviour = behaviour.model_copy(update={"people": default.people, "roles": default.roles})
        return behaviour

    def persona_at(self, share: float) -> str | None:
        """The persona that this share of contacts comes up to, in the file's order; None if there are none."""
        total = sum(persona.share for persona in self.personas.values())
        shares = {name: persona.share / total for name, persona in self.personas.items()}
        return _at(share, shares) or next(reversed(self.personas), None)

    def reactions_to(self, message: str, persona: str | None) -> Chances:
        """What a message may bring about, most specific last: any, this one, the persona's any, the persona's this."""
        layers = [self.reactions, self.messages.get(message, {})]
        if persona is not None:
            own = self.personas[persona]
            layers += [own.reactions, own.messages.get(message, {})]
        return merged(layers)

    def events_of(self, persona: str | None) -> Chances:
        """What may happen by itself."""
        return merged([self.events, self.personas[persona].events if persona is not None else {}])

    def consents(self, topic: str, persona: str | None) -> float:
        """How probable consent to a topic is; contacts consent to what the file says nothing of."""
        own = self.personas[persona].consent if persona is not None else {}
        return own.get(topic, self.consent.get(topic, 1.0))

    def attribute(self, name: str, persona: str | None, share: float) -> str | None:
        """The value of an attribute that this share of contacts comes up to, as text; None: they have no such one."""
        own = self.personas[persona].attributes if persona is not None else {}
        return _at(share, own.get(name, self.attributes.get(name, {})))

    def colleague(self, role: str | None) -> Chances:
        """What somebody in a role does; None: somebody who is asked by name."""
        return merged([self.people.chances, self.roles.get(role or "", Colleague()).chances])

    def count_of(self, role: str) -> int:
        """How many people are in a role."""
        return self.roles.get(role, Colleague()).count or self.people.count or 1

    def _gaps_of_people(self) -> Iterator[str]:
        for key, role in [("people", None), *((f"roles.{role}", role) for role in self.roles)]:
            chances = self.colleague(role)
            for name, chance in chances.items():
                if chance.needs is not None:
                    yield f"{key}.{name}: needs {chance.needs}: what people do needs nothing else, take it out"
                elif role is None or name in self.roles[role].chances:
                    yield from (f"{key}.{name}: {fault}" for fault in faults(name, chance, chances))
            for group in _RIVALS:
                if sum(chances[name].probability or 0 for name in group if name in chances) > 1 + _ROUNDING:
                    yield f"{key}: {' and '.join(group)} have more than 1 together: one answer excludes the other"

    def _excesses(self) -> Iterator[str]:
        for key, manner in [("", self), *((f"personas.{name}.", own) for name, own in self.personas.items())]:
            for name, shares in manner.attributes.items():
                if sum(shares.values()) > 1 + _ROUNDING:
                    yield f"{key}attributes.{name}: the shares are more than 1 together: make them less"

    def _gaps(self) -> Iterator[str]:
        told = set()
        for key, chances in self._tables():
            for name, chance in chances.items():
                for fault in faults(name, chance, chances):
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
        heard = {GOAL, *about.goal.events({}), *about.listens, *LEAVING_EVENTS, *_OF_EVERY_MAIL}
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


def _at(share: float, shares: Mapping[str, float]) -> str | None:
    """Whose part of all this share comes up to; None: what is left."""
    return next(
        (name for name, reached in zip(shares, accumulate(shares.values()), strict=True) if share < reached), None
    )


def _told(fault: Any) -> str:
    """One of pydantic's faults as `key: value: what to do`."""
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"{key}: there is no such key: see docs/simulating.md"
    if fault["type"] == "missing":
        return f"{key}: is missing: add it"
    return f"{key}: {fault['input']!r}: {said[0].lower()}{said[1:]}"
