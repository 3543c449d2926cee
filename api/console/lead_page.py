"""The page by which a rep takes a lead that is offered to them, or leaves it to somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fastapi.responses import HTMLResponse

from api.answer_view import AnswerView, answer_view
from api.answering import give_answer
from api.console.answer_form import Form
from api.console.answer_history import Line, of_other
from api.console.asking import DeadLink, Reply, active, flow_fact, is_held, render
from api.console.reader import Reader
from api.wiring import Services
from domain.people import Person
from domain.questions import Choice
from store.answers import taken_answers
from store.assignments import given_by
from store.people import person_by_id
from store.people_tables import AssignmentRow
from store.tables import ContactRow

_STATES = {"offered": "ask", "accepted": Choice.ACCEPT, "declined": Choice.DECLINE}


@dataclass(frozen=True)
class LeadPage:
    services: Services
    offer: AssignmentRow
    rep: Person

    @classmethod
    async def opened(cls, services: Services, token: str) -> Self:
        assignment_id, person_id = services.links.assignment_and_rep(token) or ("", "")
        async with services.database.read() as session:
            offer = await session.get(AssignmentRow, assignment_id)
            rep = active(await person_by_id(session, person_id))
        if offer is None or offer.person_id != rep.id:
            raise DeadLink("bad")
        return cls(services, offer, rep)

    async def answer(self, form: Form) -> None:
        await give_answer(self.services, self.offer, form.answer(self.rep, Choice.ACCEPT, Choice.DECLINE))

    async def show(self, reply: Reply) -> HTMLResponse:
        reader = Reader(self.rep)
        async with self.services.database.read() as session:
            offer = await session.get_one(AssignmentRow, self.offer.id)
            contact = await session.get_one(ContactRow, offer.contact_id)
            answer = next(iter(await taken_answers(session, [offer.id])), None)
            manager = await person_by_id(session, given_by(offer) or "")
            held = await is_held(session, offer)
        state = _STATES.get(offer.status, offer.status)
        given = answer_view(answer) if answer else None
        return render(
            self.services,
            "answer_lead.html",
            reader,
            reply,
            state,
            kicker=reader.say("lead"),
            heading=reader.say(f"lead_{state}"),
            subject="",
            about=self._about(state, offer, held, reader),
            facts=[
                *reader.lead(contact, address=state == Choice.ACCEPT),
                flow_fact(self.services, reader, offer.flow),
            ],
            history=self._history(offer, manager, given, reader),
        )

    def _history(
        self, offer: AssignmentRow, manager: Person | None, answer: AnswerView | None, reader: Reader
    ) -> list[Line]:
        """Of one that a manager gave by hand there is nothing more to tell: nobody has to accept it."""
        if given_by(offer) is not None:
            name = manager.name if manager else reader.say("somebody_else")
            return [Line(offer.created_at, reader.say("told_by_hand", name=name))]
        offered = Line(offer.created_at, reader.say("told_offered"))
        return of_other(offered, answer, offer.status, offer.closed_at, {self.rep.id: self.rep.name}, reader)

    def _about(self, state: str, offer: AssignmentRow, held: bool, reader: Reader) -> list[str]:
        if state != "ask":
            return [reader.say(f"lead_{state}_about")]
        return [reader.deadline("answer_until", offer.respond_by, held)] if offer.respond_by else []
