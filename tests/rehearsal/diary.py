"""A world for tests: every email arrives, events happen when the test says so, and all of it is written down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.events import concerns
from domain.flows import Enrollment
from domain.memory import Happening
from domain.messages import MessageStatus, SendResult
from rehearsal.engine import End, live
from rehearsal.instances import CannotRun
from rehearsal.life import Answer, Call, Life, Wait
from workflows.discovery import FlowClass

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
CANCEL = "(cancelled by an operator)"
"""In place of an event."""
Events = Sequence[tuple[timedelta, str]]
"""When since entering, and what."""


class Diary:
    def __init__(self, events: Events = ()) -> None:
        self.emails: list[str] = []
        self.waits_told: list[Wait] = []
        self.calls: list[Call] = []
        self._events = events

    def foretell(self, life: Life) -> None:
        for number, (after, name) in enumerate(self._events):
            life.at(BEGIN + after, self._happening(number, name, life))

    def answer(self, call: Call, life: Life) -> Answer:
        if call.activity != "email.send":
            raise CannotRun(f"{call.activity} is not in the diary")
        self.calls.append(call)
        self.emails.append(call.step)
        return Answer(SendResult(status=MessageStatus.SENT), took=timedelta(seconds=1))

    def waits(self, wait: Wait, life: Life) -> None:
        self.waits_told.append(wait)

    @staticmethod
    def _happening(number: int, name: str, life: Life) -> Any:
        def happens() -> None:
            if name == CANCEL:
                life.cancel()
            elif concerns(life.flow.about, name):
                life.hears(Happening.of(f"event-{number}", name))

        return happens


def lived(flow: FlowClass, events: Events = (), **arguments: Any) -> tuple[End, Diary]:
    """Live an enrollment. `arguments` are of `live`, and `settings` of the enrollment."""
    diary = Diary(events)
    enrollment = Enrollment(id="enrollment", contact_id="contact", settings=arguments.pop("settings", {}))
    return live(flow, enrollment, diary, BEGIN, foretold=diary.foretell, **arguments), diary
