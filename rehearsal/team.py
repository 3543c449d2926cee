"""What people of the team do in a journey: they answer approvals, tasks and offers of leads, and hold enrollments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlmodel import col, select
from temporalio.client import Client

from api.answering import AskedRow, Given, give_answer
from api.passing_on import pass_on_offers
from domain.people import Person, PersonProfile, calendar_of
from domain.questions import Choice
from rehearsal.inbox import Inbox
from rehearsal.travelling import Travelling
from runtime.queue_draining import drain_queue
from store import holds
from store.approvals import requests_of_stage, who_answered
from store.assignments import give_by_hand, not_told
from store.enrollments import request_cancel
from store.holds import Change, Scope
from store.lead_queue import is_queue_empty
from store.people import active_people, insert_person, people_in_role, update_person
from store.people_tables import ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.tables import EnrollmentRow, now

RowT = TypeVar("RowT", ApprovalRow, TaskRow, AssignmentRow)
_OPEN = ("pending", "open", "offered", "queued")


class Team(Travelling):
    """Each verb reaches the enrollment as the API does it, and what the flow does about it is done when it returns.

    `by` is who acts; without it, whoever is asked first. `step` tells questions apart; without it the newest is meant,
    open ones first. Raises, where the answer does not count: Refused of `api.answering`, with its `refusal`.
    """

    @property
    def client(self) -> Client:
        return self.environment.client

    # -- What people do ---------------------------------------------------------------------------------------------

    async def approve(
        self, step: str | None = None, *, by: PersonProfile | None = None, comment: str | None = None
    ) -> None:
        await self._decide(Choice.APPROVE, step, by, comment)

    async def reject(
        self, step: str | None = None, *, by: PersonProfile | None = None, comment: str | None = None
    ) -> None:
        await self._decide(Choice.REJECT, step, by, comment)

    async def delegate(self, to: PersonProfile, step: str | None = None, *, by: PersonProfile | None = None) -> None:
        """Let somebody else decide."""
        await self._decide(Choice.DELEGATE, step, by, None, (await self.person(to)).id)

    async def complete(self, step: str | None = None, *, by: PersonProfile | None = None) -> None:
        """Do a task."""
        task = await self._newest(await self.tasks(), step)
        await self._answer(task, Given(await self._who(by, task), Choice.DONE))

    async def accept(self, *, by: PersonProfile | None = None) -> None:
        """Take a lead that is offered."""
        await self._respond(Choice.ACCEPT, by)

    async def decline(self, *, by: PersonProfile | None = None) -> None:
        """Leave a lead that is offered to somebody else."""
        await self._respond(Choice.DECLINE, by)

    async def hire(self, profile: PersonProfile) -> None:
        """Add somebody to the team."""
        async with self.database.write() as session:
            await insert_person(session, profile)
        await self.sweep()

    async def change(self, person: PersonProfile, **changes: Any) -> None:
        """Change what is known of somebody: `change(ROSA, absences=[])`."""
        present = await self.person(person)
        async with self.database.write() as session:
            changed = PersonProfile.model_validate({**present.model_dump(exclude={"id"}), **changes})
            await update_person(session, present.id, changed)
        if not changed.active:
            await pass_on_offers(self, present)
        await self.sweep()

    async def give(self, to: PersonProfile, *, by: PersonProfile) -> None:
        """Give a lead of the queue to somebody by hand."""
        queued = await self._newest([row for row in await self.offers() if row.person_id is None], None)
        rep, manager = await self.person(to), await self.person(by)
        async with self.database.write() as session:
            given = await give_by_hand(session, queued.id, rep.id, manager.id)
        await self.dispatcher.tell_offered(given)
        await self.settle_if_skipping()

    async def hold(self) -> None:
        """Hold the enrollment: it begins nothing, and its waits stop counting."""
        await self._change_hold(holds.hold)

    async def resume(self) -> None:
        await self._change_hold(holds.resume)

    async def cancel(self) -> None:
        """Take the contact out of the flow."""
        async with self.database.write() as session:
            row = await request_cancel(session, self.row.id)
        assert row is not None  # noqa: S101 (the row is this journey's own)
        await self.dispatcher.cancel(row)
        await self.settle_if_skipping()

    # -- What is left of it -----------------------------------------------------------------------------------------

    async def approvals(self) -> list[ApprovalRow]:
        """What people were asked to approve, the oldest first, each with its status."""
        return await self._all(ApprovalRow)

    async def tasks(self) -> list[TaskRow]:
        """What people were given to do, the oldest first, each with its status."""
        return await self._all(TaskRow)

    async def offers(self) -> list[AssignmentRow]:
        """What was decided on the lead, the oldest first: offered to whom, or queued, and why; each with its status."""
        return await self._all(AssignmentRow)

    def letters(self, to: PersonProfile | None = None) -> Inbox:
        """The emails to people of the team, or to one of them, the oldest first."""
        everybody = Inbox.of(self._outbox)
        return everybody.besides(self._address) if to is None else everybody.to(to.email)

    async def person(self, profile: PersonProfile) -> Person:
        """Somebody of the team as the database has them, known by their address."""
        found = next((person for person in await self.people() if person.email == profile.email), None)
        if found is None:
            await self._fail(f"{profile.name} is not in the team: add them to people=[…]")
        return found

    async def people(self) -> list[Person]:
        """The team as the database has it, in the order in which they came."""
        async with self.database.read() as session:
            rows = await session.exec(select(PersonRow).order_by(col(PersonRow.id)))
            return [Person.model_validate(row) for row in rows]

    async def handed_over_to(self) -> list[str]:
        """The flows that the enrollment handed the contact over to. Their workflows are not started here."""
        async with self.database.read() as session:
            query = select(EnrollmentRow.flow).where(EnrollmentRow.came_from == self.row.id)
            return list(await session.exec(query.order_by(col(EnrollmentRow.id))))

    async def whom(self, asked: AskedRow) -> list[str]:
        """The ids of those who may answer something, whoever has not done so yet first."""
        async with self.database.read() as session:
            if isinstance(asked, ApprovalRow):
                requests = await requests_of_stage(session, asked)
                answered = await who_answered(session, asked)
                return sorted((request.person_id for request in requests), key=lambda person_id: person_id in answered)
            if isinstance(asked, TaskRow) and asked.role is not None:
                return [person.id for person in await people_in_role(session, asked.role)]
        return [asked.person_id] if asked.person_id else []

    # -- Inside -----------------------------------------------------------------------------------------------------

    async def _decide(
        self,
        choice: Choice,
        step: str | None,
        by: PersonProfile | None,
        comment: str | None,
        delegate_id: str | None = None,
    ) -> None:
        approval = await self._newest(await self.approvals(), step)
        await self._answer(approval, Given(await self._who(by, approval), choice, comment, delegate_id))

    async def _respond(self, choice: Choice, by: PersonProfile | None) -> None:
        offer = await self._newest([row for row in await self.offers() if row.person_id is not None], None)
        await self._answer(offer, Given(await self._who(by, offer), choice))

    async def _answer(self, asked: AskedRow, given: Given) -> None:
        await give_answer(self, asked, given)
        await self.settle_if_skipping()

    async def _who(self, by: PersonProfile | None, asked: AskedRow) -> Person:
        if by is not None:
            return await self.person(by)
        ids = await self.whom(asked)
        if not ids:
            await self._fail("nobody is asked: give the journey people in that role, or say who acts")
        async with self.database.read() as session:
            return Person.model_validate(await session.get_one(PersonRow, ids[0]))

    async def sweep(self) -> None:
        await drain_queue(self.database)
        async with self.database.read() as session:
            offers = await not_told(session, [self.row.flow], limit=1)
        for offer in offers:
            await self.dispatcher.tell_offered(offer)
        await self.settle_if_skipping()

    async def _next_opening(self) -> datetime | None:
        present = now()
        async with self.database.read() as session:
            if await is_queue_empty(session):
                return None
            calendars = map(calendar_of, await active_people(session))
        openings = (calendar.next_working(present) for calendar in calendars if not calendar.is_working(present))
        return min((moment for moment in openings if moment is not None), default=None)

    async def _newest(self, rows: list[RowT], step: str | None) -> RowT:
        meant = [row for row in rows if step in (None, row.step)]
        if not meant:
            await self._fail(f"nobody is asked anything of this kind{f' in {step}' if step else ''}")
        return next((row for row in reversed(meant) if row.status in _OPEN), meant[-1])

    async def _all(self, table: type[RowT]) -> list[RowT]:
        async with self.database.read() as session:
            query = select(table).where(table.enrollment_id == self.row.id)
            return list(await session.exec(query.order_by(col(table.id))))

    async def _change_hold(self, change: Change) -> None:
        async with self.database.write() as session:
            await change(session, Scope.ENROLLMENT, self.row.id)
        await self.dispatcher.tell_hold(await self.enrollment())
        await self.settle_if_skipping()
