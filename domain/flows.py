"""What a flow is and what an enrollment in it carries."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from domain.memory import Memory
from domain.triggers import Trigger

EMAIL_TASK_QUEUE = "cauce-email"
"""Of activities that write to contacts and people: at the provider's rate."""
RECORDS_TASK_QUEUE = "cauce-records"
"""Of activities that only read and write what we keep."""
SCHEDULES_TASK_QUEUE = "cauce-schedules"
LISTS_TASK_QUEUE = "cauce-lists"
"""Of bulk enrollments and broadcasts: what works on many contacts, a page or a batch at a time."""
STATE_ATTRIBUTE = "CauceState"
"""The search attribute that says what an enrollment waits for: one of `State`."""


class State(StrEnum):
    """What operators filter enrollments by, in the Temporal Web UI."""

    WAITING = "waiting"
    AWAITING_APPROVAL = "awaiting_approval"
    AWAITING_TASK = "awaiting_task"
    AWAITING_ACCEPTANCE = "awaiting_acceptance"
    """A lead is offered to a rep."""
    IN_QUEUE = "in_queue"
    """No rep can take the lead now."""
    HELD = "held"


class Goal(BaseModel):
    """The event that a flow exists to bring about; reaching it ends the enrollment at once.

    `others` reach it too, or in their place those that an enrollment names in the setting called `others_setting`.
    """

    model_config = ConfigDict(frozen=True)

    event: str
    target: float = Field(gt=0, le=1, description="share of enrollments that should reach it")
    within: timedelta
    others: tuple[str, ...] = ()
    others_setting: str | None = None
    hand_over_to: str | None = Field(
        default=None, description="the flow that takes the contact over when it is reached"
    )

    def events(self, settings: Mapping[str, JsonValue]) -> frozenset[str]:
        """All events that reach it, for an enrollment with these overrides of the flow's settings."""
        named = settings.get(self.others_setting) if self.others_setting else None
        others = [str(name) for name in named] if isinstance(named, list | tuple) else self.others
        return frozenset((self.event, *others))


class EnrollInactive(BaseModel):
    """A flow's own daily enrollment, by a Temporal Schedule: contacts who did nothing for some time.

    Whoever is known for longest comes first.
    """

    model_config = ConfigDict(frozen=True)

    inactive_for: timedelta
    at_most: int = Field(gt=0, description="contacts a day")
    at: time = Field(default=time(6), description="UTC")


class OnEdit(StrEnum):
    """What becomes of contacts who are in a flow when its code changes."""

    FOLLOW = "follow"
    """They move on to the new code, at their present step."""
    PIN = "pin"
    """They finish on the code that they started with."""


class InDoubt(StrEnum):
    """What becomes of a message when nobody could say, for the settings' window, whether the provider has it."""

    HOLD = "hold"
    """It is listed until a person settles it."""
    RESEND = "resend"
    """It is handed over once more: better twice than never."""


class FlowType(BaseModel):
    """What people need to know of a flow without reading its code."""

    model_config = ConfigDict(frozen=True)

    title: str
    goal: Goal
    owner: str = Field(description="the team that answers for it")
    on_edit: OnEdit
    in_doubt: InDoubt = InDoubt.HOLD
    renamed: dict[str, str] = Field(default_factory=dict, description="new names of steps by their old ones")
    enrolls: EnrollInactive | None = None
    triggers: tuple[Trigger, ...] = Field(default=(), description="what enrolls contacts in it by itself")
    listens: frozenset[str] = Field(default=frozenset(), description="events its journey waits for, besides the goal")
    reenroll_after: timedelta | None = Field(
        default=timedelta(0), description="since the last enrollment ended; null: a contact enters once only"
    )


class FlowSettings(BaseModel):
    """A flow's times and choices, each with a default, overridable for each enrollment."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, overrides: Mapping[str, JsonValue]) -> Self:
        """The settings of an enrollment, without overrides of settings that the flow no longer has."""
        return cls.model_validate({name: value for name, value in overrides.items() if name in cls.model_fields})


class Exit(StrEnum):
    """Why an enrollment ended."""

    GOAL = "goal"
    COMPLETED = "completed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ERASED = "erased"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Outcome(BaseModel):
    """How an enrollment ended: the exit, and the step that the contact had come to."""

    exit: Exit
    step: str | None
    reason: str | None = Field(default=None, exclude_if=operator.not_)
    skipped: list[str] = Field(
        default_factory=list,
        exclude_if=operator.not_,
        description="steps that edits inserted where the contact had passed",
    )


class Enrollment(BaseModel):
    """The input of a flow's workflow: its id, overrides of its settings, and the memory of earlier runs."""

    id: str
    settings: dict[str, JsonValue] = Field(default_factory=dict, exclude_if=operator.not_)
    memory: Memory | None = Field(default=None, exclude_if=operator.not_)
    renamed: dict[str, str] = Field(
        default_factory=dict, exclude_if=operator.not_, description="steps' new names by old ones, as it began"
    )
    held: bool = Field(default=False, exclude_if=operator.not_, description="it starts held, and begins no step")


class Progress(BaseModel):
    """Where an enrollment is: its present step and, if it waits, until when at the latest."""

    step: str | None = None
    next_wake_at: datetime | None = None
    held: bool = Field(default=False, exclude_if=operator.not_)
    skipped: list[str] = Field(
        default_factory=list,
        exclude_if=operator.not_,
        description="steps that edits inserted where the contact had passed",
    )


def flow_task_queue(flow: str) -> str:
    """The task queue of a flow's workflows, and the name of its worker deployment: each flow is deployed by itself."""
    return f"cauce-flow-{flow}"


class WorkflowId(NamedTuple):
    flow: str
    contact_id: str


def enrollment_workflow_id(flow: str, contact_id: str) -> str:
    """Build `{flow}:{contact_id}`; `parse_enrollment_workflow_id` is its inverse."""
    if not flow or ":" in flow or not contact_id:
        raise ValueError(f"no workflow id can be built from flow {flow!r} and contact {contact_id!r}")
    return f"{flow}:{contact_id}"


def parse_enrollment_workflow_id(workflow_id: str) -> WorkflowId:
    flow, colon, contact_id = workflow_id.partition(":")
    if not (flow and colon and contact_id):
        raise ValueError(f"{workflow_id!r} is not an enrollment's workflow id: expected flow:contact_id")
    return WorkflowId(flow, contact_id)
