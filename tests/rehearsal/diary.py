"""A world for tests: every email arrives, events happen when the test says so, and all of it is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from activities.approvals import AskForApproval, CloseApproval
from activities.contacts import LocalMoment, Moment
from activities.enrollments import HandedOver, HandOver
from activities.tasks import CloseTask, OpenTask
from domain.events import concerns
from domain.flows import Enrollment
from domain.local_time import next_local
from domain.memory import Happening
from domain.messages import MessageStatus, SendResult
from domain.questions import Answer, Choice, Decision, Opened, TaskResult, question_id
from rehearsal.calls import Call, Returned
from rehearsal.engine import End, live
from rehearsal.instances import CannotRun
from rehearsal.life import Life
from workflows.discovery import FlowClass

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday, as every journey begins on."""
CANCEL, HOLD, RESUME = "(cancelled by an operator)", "(held)", "(resumed)"
"""In place of an event."""
Events = Sequence[tuple[timedelta, str]]
"""When since entering, and what: an event, one of the above, or the choice of whoever is asked just then."""
_CHOICES = frozenset(Choice)


class Diary:
    def __init__(self, events: Events = ()) -> None:
        self.emails: list[str] = []
        self.calls: list[Call] = []
        self._events = events
        self._asked = ("", "")
        """Question and person."""

    def foretell(self, life: Life) -> None:
        for number, (after, name) in enumerate(self._events):
            life.at(BEGIN + after, self._happening(number, name, life))

    def answer(self, call: Call, life: Life) -> Returned:
        if call.activity not in _ANSWERS:
            raise CannotRun(f"{call.activity} is not in the diary")
        self.calls.append(call)
        return Returned(_ANSWERS[call.activity](self, call), took=timedelta(seconds=1))

    def email(self, call: Call) -> SendResult:
        self.emails.append(call.step)
        return SendResult(status=MessageStatus.SENT)

    def ask(self, call: Call) -> Opened:
        order = call.argument(AskForApproval)
        self._asked = (question_id(order.enrollment_id, f"{order.step}/{order.content_hash}"), "boss")
        return Opened(asked=["boss"])

    def give_task(self, call: Call) -> TaskResult:
        order = call.argument(OpenTask)
        self._asked = (question_id(order.enrollment_id, order.step), "clerk")
        return TaskResult(status="open", asked=["clerk"])

    def _happening(self, number: int, name: str, life: Life) -> Callable[[], None]:
        def happens() -> None:
            if name == CANCEL:
                life.cancel()
            elif name == HOLD:
                life.hold()
            elif name == RESUME:
                life.resume()
            elif name in _CHOICES:
                question, person = self._asked
                given = {"id": f"{number}", "question_id": question, "person_id": person, "choice": name}
                life.answers(Answer.model_validate({**given, "given_at": life.now}))
            elif concerns(life.flow.about, name, {}):
                life.hears(Happening.of(f"event-{number}", name))

        return happens


def _local_moment(diary: Diary, call: Call) -> Moment:
    order = call.argument(LocalMoment)
    return Moment(moment=next_local(call.at, "UTC", order.at, order.days))


_ANSWERS: Mapping[str, Callable[[Diary, Call], BaseModel]] = {
    "approval.ask": Diary.ask,
    "approval.close": lambda _, call: Decision(outcome=call.argument(CloseApproval).outcome),
    "contact.local_moment": _local_moment,
    "email.send": Diary.email,
    "enrollment.hand_over": lambda _, call: HandedOver(status="enrolled", flow=call.argument(HandOver).flow),
    "task.close": lambda _, call: TaskResult(status="done" if call.argument(CloseTask).done else "overdue"),
    "task.open": Diary.give_task,
}


def lived(flow: FlowClass, events: Events = (), **arguments: Any) -> tuple[End, Diary]:
    """Live an enrollment. `arguments` are of `live`, and `settings` of the enrollment."""
    diary = Diary(events)
    enrollment = Enrollment(id="enrollment", settings=arguments.pop("settings", {}))
    return live(flow, enrollment, diary, BEGIN, foretold=diary.foretell, **arguments), diary
