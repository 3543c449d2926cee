"""One virtual contact: the world around an enrollment, as a behaviour says it."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from pydantic import JsonValue

from activities.contacts import AttributeAmong, AttributeBracket, Found, LocalMoment, Moment
from activities.crm import ApplyChange
from activities.email import SendEmail
from activities.enrollments import HandedOver, HandOver
from domain.consent import ConsentState
from domain.crm import AddScore, CrmResult, Sunset
from domain.events import NO_ACTS, SUPPRESSED_AFTER, concerns
from domain.flows import FlowType
from domain.local_time import next_local
from domain.memory import Happening
from domain.messages import MessageStatus, SendResult, refusal
from domain.suppressions import SuppressionReason
from rehearsal.behaviour import Behaviour, MessageTypes
from rehearsal.calls import Call, Returned
from rehearsal.chances import Habit, draw, habits
from rehearsal.colleagues import Colleagues
from rehearsal.instances import CannotRun
from rehearsal.life import Life

_SENDING_TAKES = timedelta(seconds=1)
_BOUNCED = "bounced"


class Person:
    """Answers a flow's activities without any mailer, and lets happen what the contact does.

    What the contact does with a message is drawn by the message's name and how many of that name came before, so
    that it stays the same when steps are renamed, inserted or moved.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        about: FlowType,
        settings: Mapping[str, JsonValue],
        messages: MessageTypes,
        behaviour: Behaviour,
        enters: datetime,
    ) -> None:
        """`settings` are the enrollment's overrides."""
        self.number = number
        self.persona = behaviour.persona_at(draw(seed, number, "persona"))
        self.goal_at: datetime | None = None
        """When an event that reaches the goal happens first, even after the enrollment ended."""
        self.messages = 0
        """That arrived."""
        self.colleagues = Colleagues(number, seed, behaviour)
        self.handed_over_to: list[str] = []
        self._seed = seed
        self._about = about
        self._settings = settings
        self._score = 0
        self._types = messages
        self._behaviour = behaviour
        self._enters = enters
        self._came: Counter[str] = Counter()
        self._suppressions: set[SuppressionReason] = set()
        topics = {kind.topic for kind in messages.values()}
        self._consent = {topic: self._word(topic) for topic in topics}

    def _word(self, topic: str) -> ConsentState:
        agrees = self._draw("consent", topic) < self._behaviour.consents(topic, self.persona)
        return ConsentState.GRANTED if agrees else ConsentState.WITHDRAWN

    def foretell(self, life: Life) -> None:
        """Tell the life what the contact does by themselves."""
        chances = self._behaviour.events_of(self.persona)
        self._intend(habits(chances, self._about.goal.event), "event", self._enters, life)

    def answer(self, call: Call, life: Life) -> Returned:
        """A new kind of activity gets its row in the table at the end."""
        if call.activity not in _ANSWERS:
            raise CannotRun(
                f"step {call.step} does {call.activity}, which nothing stands in for: add it to rehearsal/person.py"
            )
        return _ANSWERS[call.activity](self, call, life)

    def _email(self, call: Call, life: Life) -> Returned:
        message = call.argument(SendEmail).message or call.step
        if message not in self._types:
            known = ", ".join(self._types) or "none"
            raise CannotRun(
                f"step {call.step} sends {message}, which this flow has not (it has: {known}): "
                "add its folder, or edit the flow"
            )
        kind = self._types[message]
        reason = refusal(kind.message_class, kind.topic, self._consent, self._suppressions)
        if reason is not None:
            return Returned(SendResult(status=MessageStatus.SKIPPED, reason=reason))
        self._came[message] += 1
        self.messages += 1
        arrives = call.at + _SENDING_TAKES
        reactions = habits(self._behaviour.reactions_to(message, self.persona), self._about.goal.event)
        # A message that bounces reaches nobody.
        if any(habit.event == _BOUNCED and self._does(habit, message, self._came[message]) for habit in reactions):
            reactions = [habit for habit in reactions if habit.event == _BOUNCED]
        self._intend(reactions, message, arrives, life, self._came[message])
        return Returned(SendResult(status=MessageStatus.SENT), took=_SENDING_TAKES)

    def _intend(self, chances: list[Habit], what: str, since: datetime, life: Life, nth: int = 1) -> None:
        moments: dict[str | None, datetime] = {None: since}
        for habit in chances:
            if habit.needs in moments and self._does(habit, what, nth):
                delay = habit.after.at(self._draw(what, nth, habit.event, "after"))
                moment = moments[habit.event] = moments[habit.needs] + delay
                self._plan(habit.event, moment, f"{self.number}/{what}/{nth}/{habit.event}", life)

    def _plan(self, event: str, moment: datetime, event_id: str, life: Life) -> None:
        if event in self._about.goal.events(self._settings):
            self.goal_at = min(moment, self.goal_at or moment)
        life.at(moment, lambda: self._happens(Happening.of(event_id, event), life))

    def _happens(self, happening: Happening, life: Life) -> None:
        """As the API takes an event: an address may be suppressed, and the flow is told of what concerns it."""
        if happening.name in SUPPRESSED_AFTER:
            self._suppressions.add(SUPPRESSED_AFTER[happening.name])
        elif happening.name not in NO_ACTS:
            self._suppressions.discard(SuppressionReason.SUNSET)
        if concerns(self._about, happening.name, self._settings):
            life.hears(happening)

    # -- What is known of the contact, and changes ------------------------------------------------------------------

    def _among(self, call: Call, life: Life) -> Returned:
        order = call.argument(AttributeAmong)
        word = self._attribute(order.attribute)
        return Returned(Found(answer=word if word in order.among else None))

    def _bracket(self, call: Call, life: Life) -> Returned:
        order = call.argument(AttributeBracket)
        number = _number(self._attribute(order.attribute))
        return Returned(Found(answer=None if number is None else bisect_right(order.bounds, number)))

    def _local_moment(self, call: Call, life: Life) -> Returned:
        order = call.argument(LocalMoment)
        return Returned(Moment(moment=next_local(call.at, "UTC", order.at, order.days)))

    def _change(self, call: Call, life: Life) -> Returned:
        change = call.argument(ApplyChange).change
        if isinstance(change, Sunset):
            self._suppressions.add(SuppressionReason.SUNSET)
        if isinstance(change, AddScore):
            self._score += change.points
            return Returned(CrmResult(status="done", score=self._score))
        return Returned(CrmResult(status="done"))

    def _hand_over(self, call: Call, life: Life) -> Returned:
        flow = call.argument(HandOver).flow
        self.handed_over_to.append(flow)
        return Returned(HandedOver(status="enrolled", flow=flow))

    def _attribute(self, name: str) -> str | None:
        return self._behaviour.attribute(name, self.persona, self._draw("attribute", name))

    def _does(self, habit: Habit, what: str, nth: int) -> bool:
        return self._draw(what, nth, habit.event) < habit.probability

    def _draw(self, *key: str | int) -> float:
        return draw(self._seed, self.number, *key)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


_ANSWERS: Mapping[str, Callable[[Person, Call, Life], Returned]] = {
    "approval.ask": lambda person, call, life: person.colleagues.ask(call, life),
    "approval.close": lambda person, call, life: person.colleagues.close_approval(call, life),
    "contact.among": Person._among,
    "contact.bracket": Person._bracket,
    "contact.local_moment": Person._local_moment,
    "crm.apply": Person._change,
    "email.send": Person._email,
    "enrollment.hand_over": Person._hand_over,
    "lead.accept": lambda person, call, life: person.colleagues.accept(call, life),
    "lead.offer": lambda person, call, life: person.colleagues.offer(call, life),
    "task.close": lambda person, call, life: person.colleagues.close_task(call, life),
    "task.open": lambda person, call, life: person.colleagues.give_task(call, life),
}
"""What stands in for each activity."""
