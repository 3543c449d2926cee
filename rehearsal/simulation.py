"""Sends virtual contacts through a flow's real code, and keeps what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from domain.flows import Enrollment, Exit
from domain.memory import whole_of
from emails.folder import read_messages
from emails.templates import EMAILS
from rehearsal.behaviour import Behaviour, MessageTypes
from rehearsal.chances import draw
from rehearsal.engine import End, live
from rehearsal.instances import CannotRun
from rehearsal.person import Person
from workflows.discovery import FlowClass

BEGINNING = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday. Contacts enter at any time of the week from then on."""
_ENTERING = timedelta(days=7)


class CannotSimulate(Exception):
    """Says what is wrong with what was asked for, or with the flow, and how to mend it."""


class Story(BaseModel):
    """What became of one contact. `steps` are those that were finished, in order, each with how it went."""

    model_config = ConfigDict(frozen=True)

    number: int
    persona: str | None
    exit: Exit
    step: str | None
    reason: str | None
    ended_after: timedelta
    goal_after: timedelta | None
    """Since entering, even if the enrollment had ended before."""
    messages: int
    steps: dict[str, str]
    approvals: list[str]
    """What became of each that people were asked for: approved, rejected, expired, withdrawn."""
    tasks: list[str]
    """done, overdue, withdrawn; open if the flow did not wait for it."""
    offers: list[str]
    """The reps who were offered the lead, or given it by hand, in order."""
    rep: str | None
    """Who took the lead."""
    accepted_after: timedelta | None
    """Since the contact came to be assigned."""
    queued: bool
    """Whether the lead waited for somebody who could take it."""
    handed_over_to: list[str]

    @property
    def outcome(self) -> str:
        """In words: `completed at series-sent`."""
        return f"{self.exit} at {self.step}" if self.step else str(self.exit)


class Asked(BaseModel):
    """What is simulated: everything that decides the result, beside the code."""

    model_config = ConfigDict(frozen=True)

    flow: str
    contacts: int
    seed: int
    settings: dict[str, JsonValue] = {}


def simulate(
    asked: Asked,
    flow: FlowClass,
    messages: MessageTypes,
    behaviour: Behaviour,
    advanced: Callable[[], None] = lambda: None,
) -> list[Story]:
    """Send contacts 1 to `asked.contacts` through a flow, one after another; `advanced` is called after each.

    Each contact's life depends on the seed and their number alone. Raises: CannotSimulate.
    """
    stories = []
    for number in range(1, asked.contacts + 1):
        try:
            stories.append(_story(number, asked, flow, messages, behaviour))
        except CannotRun as error:
            raise CannotSimulate(f"{asked.flow}: contact {number} gets no further: {error.reason}") from None
        advanced()
    return stories


def message_types(flow: str, folder: Path = EMAILS) -> MessageTypes:
    """The messages of a flow. Raises: CannotSimulate if one is faulty."""
    types = {}
    for (_, name), message in read_messages(folder, flow).items():
        if message.type is None:
            raise CannotSimulate("\n".join(message.problems))
        types[name] = message.type
    return types


def checked_settings(flow: FlowClass, overrides: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Settings as an enrollment carries them. Raises: CannotSimulate."""
    try:
        settings = flow.settings_model.model_validate(dict(overrides))
    except ValidationError as error:
        known = ", ".join(flow.settings_model.model_fields) or "none"
        told = [f"--set {_told(fault)} (the flow's settings: {known})" for fault in error.errors()]
        raise CannotSimulate("\n".join(told)) from None
    return settings.model_dump(mode="json", exclude_unset=True)


def _story(number: int, asked: Asked, flow: FlowClass, messages: MessageTypes, behaviour: Behaviour) -> Story:
    enters = BEGINNING + timedelta(seconds=int(draw(asked.seed, number, "enters") * _ENTERING.total_seconds()))
    person = Person(number, asked.seed, flow.about, asked.settings, messages, behaviour, enters)
    enrollment = Enrollment(id=f"enrollment-{number}", settings=asked.settings)
    end = live(flow, enrollment, person, enters, foretold=person.foretell)
    team = person.colleagues
    return Story(
        number=number,
        persona=person.persona,
        exit=end.outcome.exit,
        step=end.outcome.step and whole_of(end.outcome.step),
        reason=end.outcome.reason,
        ended_after=end.at - enters,
        goal_after=person.goal_at and person.goal_at - enters,
        messages=person.messages,
        steps=_steps(end),
        approvals=list(team.approvals.values()),
        tasks=list(team.tasks.values()),
        offers=team.offers,
        rep=team.rep,
        accepted_after=team.accepted_after,
        queued=team.queued,
        handed_over_to=[*person.handed_over_to, *([end.handed_over_to] if end.handed_over_to else [])],
    )


def _told(fault: ErrorDetails) -> str:
    """One of pydantic's faults, which may be of all settings together."""
    of = ".".join(map(str, fault["loc"])) or "these"
    return f"{of}: {fault['msg'].removeprefix('Value error, ')}"


def _steps(end: End) -> dict[str, str]:
    return {step: _said(result) for step, result in end.memory.finished.items() if step == whole_of(step)}


def _said(result: JsonValue) -> str:
    if result == {}:
        return "unknown"  # what a look-up found of the contact
    if isinstance(result, dict):
        said = next((result[name] for name in ("status", "outcome", "answer") if name in result), "done")
        return f"bracket {said}" if isinstance(said, int) else str(said)
    return {True: "yes", False: "no"}.get(result, "done") if isinstance(result, bool) else "waited"
