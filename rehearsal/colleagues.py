"""The people of the team around one virtual contact: who is asked what, and what they answer, as a behaviour says it.

They work in office hours, Monday to Friday, in UTC. Reps take turns: contact after contact begins with the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activities.approvals import AskForApproval, CloseApproval
from activities.leads import OfferLead
from activities.tasks import CloseTask, OpenTask
from domain.events import LEAD_OFFERED
from domain.memory import Happening
from domain.people import MANAGERS
from domain.questions import (
    Answer,
    Asked,
    Assigned,
    Choice,
    Decision,
    NudgeKind,
    Offer,
    Opened,
    TaskResult,
    question_id,
)
from domain.working_time import OFFICE_HOURS, Calendar
from rehearsal.behaviour import Behaviour
from rehearsal.calls import Call, Returned
from rehearsal.chances import draw
from rehearsal.instances import CannotRun
from rehearsal.life import Life

OFFICE = Calendar(zone="UTC", hours=OFFICE_HOURS)
REPS = "sales"
"""The role of the reps."""
_WRITING_TAKES = timedelta(seconds=1)
_NEVER = timedelta(days=3653)


@dataclass
class _Question:
    """Who is asked, and who is going to answer, by id; each with the role as which they are asked."""

    id: str
    subject: str
    stage: int = 0
    asked: dict[str, str | None] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)


class Colleagues:
    """Answers the activities that ask people. `number` is the contact's."""

    def __init__(self, number: int, seed: int, behaviour: Behaviour) -> None:
        self.approvals: dict[str, str] = {}
        """What became of each, by its step and content: `withdrawn` unless it was decided."""
        self.tasks: dict[str, str] = {}
        """By step: `open` is one that the flow does not wait for."""
        self.offers: list[str] = []
        """The reps who were offered the lead, or given it by hand, in order."""
        self.rep: str | None = None
        """Who has the lead."""
        self.accepted_after: timedelta | None = None
        """Since the contact came to be assigned."""
        self.queued = False
        """Whether the lead waited for somebody who could take it."""
        self._number = number
        self._seed = seed
        self._behaviour = behaviour
        self._questions: dict[tuple[str, int], _Question] = {}
        self._times: Counter[tuple[str, ...]] = Counter()
        self._decisions = 0
        self._assigning_since: datetime | None = None
        self._given: str | None = None
        """The rep to whom a manager gave the lead by hand, while the flow does not know."""
        self._giving = False

    # -- Approvals and tasks ----------------------------------------------------------------------------------------

    def ask(self, call: Call, life: Life) -> Returned:
        order = call.argument(AskForApproval)
        key = f"{order.step}/{order.content_hash}"
        self.approvals.setdefault(key, "withdrawn")
        question = self._question(question_id(order.enrollment_id, key), order.subject, order.stage)
        if order.why is NudgeKind.DELEGATE and order.delegate_id is not None:
            question.asked.setdefault(order.delegate_id, None)
        elif order.why is NudgeKind.ESCALATE and order.plan.escalate_to is not None:
            question.asked |= self._people([order.plan.escalate_to])
        elif order.why is NudgeKind.ASK:
            question.asked |= self._people(order.plan.stages[order.stage].asks)
        self._let_answer(question, (Choice.APPROVE, Choice.REJECT), call, life)
        return Returned(Opened(asked=list(question.asked)), took=_WRITING_TAKES)

    def close_approval(self, call: Call, life: Life) -> Returned:
        order = call.argument(CloseApproval)
        self.approvals[f"{order.step}/{order.content_hash}"] = order.outcome
        return Returned(Decision(outcome=order.outcome, content_hash=order.content_hash))

    def give_task(self, call: Call, life: Life) -> Returned:
        order = call.argument(OpenTask)
        waited = order.part != order.step
        self.tasks.setdefault(order.step, "withdrawn" if waited else "open")
        question = self._question(question_id(order.enrollment_id, order.step), order.subject)
        question.asked |= self._people([order.to])
        if waited:
            self._let_answer(question, (Choice.DONE,), call, life)
        return Returned(TaskResult(status="open", asked=list(question.asked)), took=_WRITING_TAKES)

    def close_task(self, call: Call, life: Life) -> Returned:
        order = call.argument(CloseTask)
        self.tasks[order.step] = "done" if order.done else "overdue"
        return Returned(TaskResult(status="done" if order.done else "overdue"))

    # -- Leads ------------------------------------------------------------------------------------------------------

    def offer(self, call: Call, life: Life) -> Returned:
        """To the next rep who has not had the lead, in office hours; else it waits, for them or for a manager."""
        order = call.argument(OfferLead)
        self._assigning_since = self._assigning_since or call.at
        self._decisions += 1
        if self._given is not None:
            self.offers.append(self._given)
            offer = Offer(number=self._decisions, person_id=self._given, accepted=True)
            return Returned(offer, took=_WRITING_TAKES)
        rep = next((rep for rep in self._reps_in_turn() if rep not in self.offers), None)
        if rep is None or not OFFICE.is_working(call.at):
            self.queued = True
            self._look_after_queue(rep, call, life)
            return Returned(Offer(number=self._decisions), took=_WRITING_TAKES)
        self.offers.append(rep)
        question = _Question(question_id(order.enrollment_id, order.step), "lead", self._decisions, {rep: REPS})
        self._let_answer(question, (Choice.ACCEPT, Choice.DECLINE), call, life)
        within = _working_moment(call.at, order.respond_within) - call.at
        offer = Offer(number=self._decisions, person_id=rep, respond_within=within)
        return Returned(offer, took=_WRITING_TAKES)

    def accept(self, call: Call, life: Life) -> Returned:
        assert self._assigning_since is not None  # noqa: S101 (nobody accepts what was not offered)
        self.rep, self.accepted_after = self.offers[-1], call.at - self._assigning_since
        return Returned(Assigned(status="accepted", person_id=self.rep, offers=len(self.offers)))

    def _reps_in_turn(self) -> list[str]:
        count = self._behaviour.count_of(REPS)
        return [f"rep-{(self._number - 1 + turn) % count + 1}" for turn in range(count)]

    def _look_after_queue(self, rep: str | None, call: Call, life: Life) -> None:
        """A lead that a rep may have waits for the office to open; one that all had, for a manager."""
        if rep is not None:
            opens = OFFICE.next_working(call.at) or call.at + _NEVER
            life.at(opens, lambda: self._tell_offered(opens, life))
            return
        give = self._behaviour.colleague(MANAGERS).get("give")
        if give is None or not give.probability:
            raise CannotRun(
                "every rep has had the lead, and no manager may give it to one: add give to people in the behaviour"
            )
        manager = next(iter(self._people([Asked(role=MANAGERS)])))
        given = None if self._giving else self._choice(("give",), manager, MANAGERS, "queue", call.at)
        if given is not None:
            self._giving = True
            life.at(given[1], lambda: self._give(given[1], life))

    def _give(self, at: datetime, life: Life) -> None:
        self._given = self._reps_in_turn()[0]
        self._tell_offered(at, life)

    def _tell_offered(self, at: datetime, life: Life) -> None:
        life.hears(Happening.of(f"{self._number}/{LEAD_OFFERED}/{at.isoformat()}", LEAD_OFFERED))

    # -- Who answers, and when --------------------------------------------------------------------------------------

    def _question(self, identity: str, subject: str, stage: int = 0) -> _Question:
        return self._questions.setdefault((identity, stage), _Question(identity, subject, stage))

    def _people(self, asks: Iterable[Asked]) -> dict[str, str | None]:
        """Who is meant, each with the role as which."""
        found: dict[str, str | None] = {}
        for asked in asks:
            if asked.person_id is not None:
                found.setdefault(asked.person_id, None)
            elif asked.lead_owner and self.rep is not None:
                found[self.rep] = REPS
            else:
                role = asked.role or MANAGERS
                found |= {f"{role}-{at}": role for at in range(1, self._behaviour.count_of(role) + 1)}
        return found

    def _let_answer(self, question: _Question, choices: tuple[Choice, ...], call: Call, life: Life) -> None:
        """Whoever is asked or reminded, and is not about to answer, may do so now."""
        for person_id, role in question.asked.items():
            if person_id in question.answering:
                continue
            answers = self._choice(choices, person_id, role, question.subject, call.at + _WRITING_TAKES)
            if answers is not None:
                question.answering.add(person_id)
                self._answer(question, person_id, *answers, life)

    def _answer(self, question: _Question, person_id: str, choice: str, at: datetime, life: Life) -> None:
        answer = Answer(
            id=f"{self._number}/{question.id}/{question.stage}/{person_id}",
            question_id=question.id,
            stage=question.stage,
            person_id=person_id,
            choice=Choice(choice),
            given_at=at,
        )
        life.at(at, lambda: life.answers(answer))

    def _choice(
        self, choices: Iterable[str], person_id: str, role: str | None, subject: str, since: datetime
    ) -> tuple[str, datetime] | None:
        """What somebody does about a subject, and when; None: nothing, until they are asked again."""
        self._times[person_id, subject] += 1
        key = (self._number, "asks", person_id, subject, self._times[person_id, subject])
        chances = self._behaviour.colleague(role)
        share, reached = draw(self._seed, *key), 0.0
        for choice in choices:
            chance = chances.get(choice)
            if chance is None or chance.probability is None or chance.after is None:
                continue
            reached += chance.probability
            if share < reached:
                return choice, _working_moment(since, chance.after.at(draw(self._seed, *key, "after")))
        return None


def _working_moment(since: datetime, duration: timedelta) -> datetime:
    return OFFICE.after_working(since, duration) or since + _NEVER
