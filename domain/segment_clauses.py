"""Clauses on what is known about a contact: consent, events, messages, enrollments and suppressions."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from domain.consent import ConsentState
from domain.contacts import Topic
from domain.event_names import EventName
from domain.flows import Exit
from domain.limits import Id
from domain.segment_fields import Clause, optional
from domain.segment_values import Count, FlowName, Name, Period, StepName, Value, in_the_last, value_in_words
from domain.suppressions import SuppressionReason


class ConsentClause(Clause):
    """The contact's word on a topic that counts: of those given by the moment of judging, the one given last."""

    kind: Literal["consent"]
    topic: Topic = Field(examples=["product-news"])
    state: ConsentState | Literal["none"] = Field(description="none: they never said a word on it")

    @property
    def sentence(self) -> str:
        return f"consent to {self.topic} is {self.state}"


class _Counted(Clause):
    """How many there are; at least one, unless at_least, at_most or exactly says otherwise."""

    at_least: Count | None = optional()
    at_most: Count | None = optional()
    exactly: Count | None = optional()
    within: Period | None = optional(description="so long ago at most; left out: ever")

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.exactly)) > 1:
            raise ValueError("give at most one of at_least, at_most, exactly: two are two clauses within all")
        if self.at_least == 0:
            raise ValueError("at_least 0 holds for everybody: expected 1 or more")
        return self

    @property
    def bounds(self) -> tuple[int, int | None]:
        """Least and most, both included; None: any number."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_most is not None:
            return 0, self.at_most
        return self.at_least or 1, None

    def _so_many(self, one: str, many: str) -> str:
        """`no message`, `at least 2 messages`."""
        least, most = self.bounds
        if most == 0:
            return f"no {one}"
        count, words = (least, "at least") if most is None else (most, "exactly" if least == most else "at most")
        return f"{words} {count} {one if count == 1 else many}"


class PropertyTest(BaseModel):
    """A property of an event that has one value, of the same type."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True, hide_input_in_errors=True)

    property: Name = Field(examples=["plan"])
    is_: Value = Field(alias="is", examples=["team"])


class EventClause(_Counted):
    """Events of the contact that happened so often."""

    kind: Literal["event"]
    name: EventName | None = optional(description="left out: events of any name", examples=["clicked"])
    acts_only: StrictBool = Field(
        default=False,
        exclude_if=lambda value: not value,
        description="pass by what is no act of theirs: opened, which mail programs do by themselves, and leaving",
    )
    where: PropertyTest | None = optional()

    @property
    def sentence(self) -> str:
        kind = "act" if self.acts_only else "event"
        name = f" {self.name}" if self.name else ""
        where = f" with {self.where.property} {value_in_words(self.where.is_)}" if self.where else ""
        return f"{self._so_many(kind, f'{kind}s')}{name}{where}{in_the_last(self.within)}"


class MessageClause(_Counted):
    """Messages that the contact has had, or may have had: `within` counts from when a provider got them last."""

    kind: Literal["message"]
    flow: FlowName | None = optional(examples=["onboarding"])
    step: StepName | None = optional(examples=["welcome"])
    topic: Topic | None = optional()
    broadcast_id: Id | None = optional()
    reached: Literal["handed_over", "sent", "delivered", "opened", "clicked"] = Field(
        default="handed_over",
        description="how far it has come at least. handed_over: a provider has it or, if it is in doubt, may have it; "
        "sent: a provider surely has it",
    )

    @property
    def sentence(self) -> str:
        parts = ("flow", "step", "topic", "broadcast_id")
        of = [f"{part.removesuffix('_id')} {value}" for part in parts if (value := getattr(self, part))]
        reached = "" if self.reached == "handed_over" else f" that came to be {self.reached}"
        messages = self._so_many("message", "messages")
        return f"has had {messages}{' of ' if of else ''}{', '.join(of)}{reached}{in_the_last(self.within)}"


class EnrollmentClause(Clause):
    """The contact is in a flow, was ever in it, or left it."""

    kind: Literal["enrollment"]
    flow: FlowName | None = optional(description="left out: any flow", examples=["onboarding"])
    state: Literal["active", "ended", "ever"] = "active"
    exit: Exit | None = optional(description="of one that ended: why")
    within: Period | None = optional(description="ended, or else entered, so long ago at most")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.exit is not None and self.state != "ended":
            raise ValueError("exit goes with state ended alone")
        return self

    @property
    def sentence(self) -> str:
        words = {"active": "is in", "ended": "has left", "ever": "was ever in"}[self.state]
        by = f" by {self.exit}" if self.exit else ""
        entered = " and entered" if self.within and self.state == "active" else ""
        return f"{words} {f'flow {self.flow}' if self.flow else 'any flow'}{by}{entered}{in_the_last(self.within)}"


class SuppressionClause(Clause):
    """The contact's address is not written to."""

    kind: Literal["suppression"]
    reason: SuppressionReason | None = optional(description="left out: any")

    @property
    def sentence(self) -> str:
        return "address is suppressed" + (f": {self.reason}" if self.reason else "")
