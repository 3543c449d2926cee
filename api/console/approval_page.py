"""The page by which somebody decides an approval, in the stage in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fastapi.responses import HTMLResponse
from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.answering import UnfitDelegate, give_answer
from api.approval_view import ApprovalView, AskedView, approval_views
from api.console.answer_form import Faulty, Form
from api.console.answer_history import in_place_of, of_approval
from api.console.asking import DeadLink, Reply, active, flow_fact, is_held, render
from api.console.reader import Reader
from api.wiring import Services
from domain.people import Person
from domain.questions import Choice
from store.answers import delegates_for
from store.people import people_by_ids, person_by_id
from store.people_tables import ApprovalRequestRow, ApprovalRow
from store.tables import ContactRow


@dataclass(frozen=True)
class ApprovalPage:
    services: Services
    approval: ApprovalRow
    request: ApprovalRequestRow
    person: Person

    @classmethod
    async def opened(cls, services: Services, token: str) -> Self:
        request_id = services.links.request_of_approval(token)
        async with services.database.read() as session:
            request = await session.get(ApprovalRequestRow, request_id) if request_id else None
            if request is None:
                raise DeadLink("bad")
            person = active(await person_by_id(session, request.person_id))
            approval = await session.get_one(ApprovalRow, request.approval_id)
        return cls(services, approval, request, person)

    async def answer(self, form: Form) -> None:
        given = form.answer(self.person, Choice.APPROVE, Choice.REJECT, Choice.DELEGATE, stage=self.request.stage)
        if form.content_hash != self.approval.content_hash:
            raise Faulty("fault_changed", 409)
        try:
            await give_answer(self.services, self.approval, given)
        except UnfitDelegate:
            raise Faulty("fault_person") from None

    async def show(self, reply: Reply) -> HTMLResponse:
        reader = Reader(self.person)
        async with self.services.database.read() as session:
            approval = await session.get_one(ApprovalRow, self.approval.id)
            (view,) = await approval_views(session, [approval])
            contact = await session.get_one(ContactRow, approval.contact_id)
            changed = approval.status == "withdrawn" and await self._is_asked_otherwise(session, approval)
            newer = await self._newer(session, approval) if changed else None
            state = self._state(view, changed)
            delegates = await self._delegates(session, approval) if state == "ask" else []
            names = await _names(session, view)
            held = await is_held(session, approval)
        mine, words = self._mine(view), self.services.words
        return render(
            self.services,
            "answer_approval.html",
            reader,
            reply,
            state,
            kicker=reader.say("approval"),
            heading=reader.say(f"approval_{state}", name=names.get(mine.delegated_to or "")),
            subject=words.say(approval.flow, view.subject, reader.language),
            about=self._about(state, view, held, reader),
            newer_url=self.services.links.approval_url(newer.id) if newer else None,
            view=view,
            facts=[
                *reader.facts(view.facts, lambda name: words.say(approval.flow, name, reader.language)),
                *reader.contact(contact),
                flow_fact(self.services, reader, approval.flow),
            ],
            delegates=delegates,
            needs=self._needs(view, reader),
            people=[self._row(asked, view, names, reader) for asked in view.asked],
            history=of_approval(view, names, reader),
        )

    def _mine(self, view: ApprovalView) -> AskedView:
        return next(
            asked for asked in view.asked if asked.person_id == self.person.id and asked.stage == self.request.stage + 1
        )

    def _state(self, view: ApprovalView, changed: bool) -> str:
        mine = self._mine(view)
        if mine.answer is not None:
            return mine.answer.choice
        if changed:
            return "changed"
        if view.status != "pending":
            return view.status
        if mine.delegated_to is not None:
            return Choice.DELEGATE
        return "ask" if view.stage.number == mine.stage else "passed"

    def _about(self, state: str, view: ApprovalView, held: bool, reader: Reader) -> list[str]:
        lines = []
        if state in ("withdrawn", "changed", "passed"):
            lines.append(reader.say(f"approval_{state}_about"))
        if state == "ask" and view.expires_at is not None:
            lines.append(reader.deadline("answer_until", view.expires_at, held))
        elif view.status == "pending" and state != "passed":
            lines.append(reader.say("approval_pending_about"))
        elif view.closed_at is not None:
            moment = reader.at(view.closed_at)
            own = state in (Choice.APPROVE, Choice.REJECT, Choice.DELEGATE)
            lines.append(
                f"{reader.say(f'told_{view.status}')}: {moment}." if own else reader.say("answer_on", moment=moment)
            )
        return lines

    async def _is_asked_otherwise(self, session: AsyncSession, approval: ApprovalRow) -> bool:
        """Whether the step asks for something else now."""
        query = select(ApprovalRow.id).where(_of_step(approval), ApprovalRow.status != "withdrawn")
        return (await session.exec(query)).first() is not None

    async def _newer(self, session: AsyncSession, approval: ApprovalRow) -> ApprovalRequestRow | None:
        """What this person is asked in place of an approval that was withdrawn."""
        query = (
            select(ApprovalRequestRow)
            .join(ApprovalRow, col(ApprovalRow.id) == ApprovalRequestRow.approval_id)
            .where(_of_step(approval), ApprovalRow.status == "pending", ApprovalRequestRow.stage == ApprovalRow.stage)
            .where(ApprovalRequestRow.person_id == self.person.id)
        )
        return (await session.exec(query)).first()

    async def _delegates(self, session: AsyncSession, approval: ApprovalRow) -> list[tuple[str, list[Person]]]:
        """Whom the decision may be given to: first those in the same role."""
        reader = Reader(self.person)
        everybody = await delegates_for(session, approval, self.person.id)
        same = [person for person in everybody if self.request.role in person.roles]
        others = [person for person in everybody if person not in same]
        label = "everybody_else" if same else "everybody"
        groups = [(reader.say("same_role"), same), (reader.say(label), others)]
        return [(label, people) for label, people in groups if people]

    def _needs(self, view: ApprovalView, reader: Reader) -> str:
        stage = view.stage
        which = [reader.say("stage_of", number=stage.number, of=stage.of)] if stage.of > 1 else []
        return " ".join([*which, reader.say(f"needs_{stage.needs}")])

    def _row(self, asked: AskedView, view: ApprovalView, names: Mapping[str, str], reader: Reader) -> dict[str, str]:
        """One line of the table of people."""
        as_what = [reader.role(asked.role) if asked.role else reader.say("by_name")]
        if asked.reason == "escalated":
            as_what.append(reader.say("as_escalated"))
        elif asked.reason == "delegated":
            as_what = [reader.say("as_delegated", name=in_place_of(asked, view, reader))]
        if view.stage.of > 1:
            as_what.append(reader.say("in_stage", number=asked.stage))
        answered = asked.answer.choice if asked.answer else Choice.DELEGATE if asked.delegated_to else None
        to = names.get(asked.delegated_to or "")
        return {
            "name": f"{asked.name} ({reader.say('you')})" if asked.person_id == self.person.id else asked.name,
            "asked_as": ", ".join(as_what),
            "answer": reader.say(f"was_{answered}", name=to) if answered else reader.say("no_answer"),
        }


def _of_step(approval: ApprovalRow) -> ColumnElement[bool]:
    return (col(ApprovalRow.enrollment_id) == approval.enrollment_id) & (col(ApprovalRow.step) == approval.step)


async def _names(session: AsyncSession, view: ApprovalView) -> dict[str, str]:
    """Of everybody whom an approval names, by id."""
    named = {id_ for asked in view.asked for id_ in (asked.person_id, asked.delegated_to) if id_}
    named |= {asked.answer.delegate_id for asked in view.asked if asked.answer and asked.answer.delegate_id}
    return {person.id: person.name for person in await people_by_ids(session, named)}
