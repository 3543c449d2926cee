"""The page by which a manager gives a lead that nobody can take to a rep by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from fastapi.responses import HTMLResponse
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.answering import Refused
from api.console.answer_form import Faulty, Form
from api.console.answer_history import Line
from api.console.asking import DeadLink, Reply, active, flow_fact, render
from api.console.reader import Reader
from api.console.texts import TEXTS
from api.telling import tell
from api.wiring import Services
from domain.lead_rules import Mismatch
from domain.people import MANAGERS, Person
from domain.questions import Refusal
from store.assignments import NotAManager, NotInQueue, UnknownPerson, give_by_hand
from store.people import active_people, people_by_ids, person_by_id
from store.people_tables import AssignmentRow
from store.tables import ContactRow

_STATES = {"queued": "ask"}


@dataclass(frozen=True)
class QueuePage:
    services: Services
    queued: AssignmentRow
    manager: Person

    @classmethod
    async def opened(cls, services: Services, token: str) -> Self:
        assignment_id, person_id = services.links.assignment_and_manager(token) or ("", "")
        async with services.database.read() as session:
            queued = await session.get(AssignmentRow, assignment_id)
            manager = active(await person_by_id(session, person_id))
        if queued is None or queued.person_id is not None:
            raise DeadLink("bad")
        if MANAGERS not in manager.roles:
            raise DeadLink("not_manager")
        return cls(services, queued, manager)

    async def answer(self, form: Form) -> None:
        try:
            async with self.services.database.write() as session:
                given = await give_by_hand(session, self.queued.id, form.person(), self.manager.id)
        except NotAManager:
            raise DeadLink("not_manager") from None
        except NotInQueue:
            raise Refused(Refusal.NOT_PENDING) from None
        except UnknownPerson:
            raise Faulty("fault_person") from None
        await tell(self.services.dispatcher.tell_offered(given), f"assignment {given.id}")

    async def show(self, reply: Reply) -> HTMLResponse:
        reader = Reader(self.manager)
        async with self.services.database.read() as session:
            queued = await session.get_one(AssignmentRow, self.queued.id)
            contact = await session.get_one(ContactRow, queued.contact_id)
            state = _STATES.get(queued.status, queued.status)
            reps = await active_people(session) if state == "ask" else []
            concerned = {str(reason["person"]) for reason in queued.reasons if "person" in reason}
            names = {person.id: person.name for person in await people_by_ids(session, concerned)}
            given_to = await self._given_to(session, queued)
        return render(
            self.services,
            "answer_queue.html",
            reader,
            reply,
            state,
            kicker=reader.say("queue"),
            heading=reader.say(f"queue_{state}", name=given_to),
            subject="",
            about=self._about(state, queued, reader),
            facts=[*reader.lead(contact, address=False), flow_fact(self.services, reader, queued.flow)],
            reps=_groups(reps, concerned, reader),
            reasons=_explained(queued.reasons, names, reader) if state == "ask" else [],
            history=self._history(queued, given_to, reader),
        )

    def _about(self, state: str, queued: AssignmentRow, reader: Reader) -> list[str]:
        if state == "ask":
            return [reader.say("queue_ask_about")]
        lines = [reader.say("lead_withdrawn_about")] if state == "withdrawn" else []
        return [*lines, *([reader.say("answer_on", moment=reader.at(queued.closed_at))] if queued.closed_at else [])]

    def _history(self, queued: AssignmentRow, given_to: str, reader: Reader) -> list[Line]:
        lines = [Line(queued.created_at, reader.say("told_queued"))]
        if queued.closed_at is not None:
            lines.append(Line(queued.closed_at, reader.say(f"told_{queued.status}", name=given_to)))
        return lines

    async def _given_to(self, session: AsyncSession, queued: AssignmentRow) -> str:
        """Whoever the lead went to from the queue."""
        query = select(AssignmentRow).where(
            AssignmentRow.enrollment_id == queued.enrollment_id,
            AssignmentRow.step == queued.step,
            AssignmentRow.number == queued.number + 1,
        )
        following = (await session.exec(query)).first()
        rep = await person_by_id(session, following.person_id or "") if following else None
        return rep.name if rep else ""


def _groups(people: Sequence[Person], by_rules: set[str], reader: Reader) -> list[tuple[str, list[Person]]]:
    """Those for whom a rule is come first."""
    groups = [
        (reader.say("by_rules"), [person for person in people if person.id in by_rules]),
        (
            reader.say("everybody_else" if by_rules else "everybody"),
            [each for each in people if each.id not in by_rules],
        ),
    ]
    return [(label, members) for label, members in groups if members]


def _explained(reasons: Sequence[Mapping[str, Any]], names: Mapping[str, str], reader: Reader) -> list[dict[str, Any]]:
    """Each rule with what came of it, and why."""
    explained: list[dict[str, Any]] = []
    for reason in reasons:
        if "person" in reason:
            if explained:
                explained[-1]["people"].append((names.get(reason["person"], ""), _why(reason, reader)))
            continue
        explained.append(
            {
                "rule": reason.get("rule"),
                "text": reader.say(f"why_{reason['verdict']}"),
                "mismatches": [reader.mismatch(Mismatch(**each)) for each in reason.get("mismatches", ())],
                "people": [],
            }
        )
    return explained


def _why(reason: Mapping[str, Any], reader: Reader) -> str:
    known = f"why_{reason.get('because')}"
    why = reader.say(known) if known in TEXTS[reader.language] else str(reason.get("detail", ""))
    if reason.get("until"):
        back = reader.say("back_at", moment=reader.at(datetime.fromisoformat(str(reason["until"]))))
        return f"{why}, {back}"
    return why
