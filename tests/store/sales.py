"""A sales team and its leads, as tests of assignments see them: each call is a transaction of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contacts import ContactProfile
from domain.flows import Exit, Outcome
from domain.lead_rules import LeadRule, LeadRules, Strategy
from domain.people import PersonProfile
from store.assignments import current_offer, drain, give_by_hand
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.lead_rules import replace_rules
from store.people import insert_person
from store.people_tables import AssignmentRow
from store.tables import EnrollmentRow, new_id

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 10, tzinfo=UTC)
STEP = "assign"
HOLDING = ("offered", "accepted")


class Sales:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.capacity: dict[str, int | None] = {}

    async def rep(self, name: str, **known: Any) -> str:
        """Somebody in sales, at work from Monday to Friday; their id."""
        profile = PersonProfile(email=f"{name}@example.com", name=name, **{"roles": ["sales"], **known})
        async with self.database.write() as session:
            person = await insert_person(session, profile)
        self.capacity[person.id] = profile.capacity
        return person.id

    async def rules(self, *rules: LeadRule | Strategy) -> None:
        """Put rules in force; a strategy alone is a rule for all of sales."""
        given = tuple(
            rule if isinstance(rule, LeadRule) else LeadRule(name="sales", role="sales", strategy=rule)
            for rule in rules
        )
        async with self.database.write() as session:
            await replace_rules(session, LeadRules(rules=given))

    async def lead(self, **known: Any) -> EnrollmentRow:
        """A contact of their own, in a flow that is about to assign them."""
        (lead,) = await self.leads(1, **known)
        return lead

    async def leads(self, count: int, **known: Any) -> list[EnrollmentRow]:
        async with self.database.write() as session:
            return [await self._lead(session, known) for _ in range(count)]

    async def _lead(self, session: AsyncSession, known: dict[str, Any]) -> EnrollmentRow:
        profile = ContactProfile(email=f"{new_id()}@example.com", **known)
        contact = (await upsert_contact(session, profile, {}, "test")).contact
        return await enroll(session, flow="onboarding", contact_id=contact.id, settings={}, reenroll_after=timedelta(0))

    async def offer(
        self, lead: EnrollmentRow, *, before: int | None = None, declined: bool = False, at: datetime = MONDAY
    ) -> AssignmentRow:
        async with self.database.write() as session:
            return await current_offer(session, lead.id, STEP, at=at, before=before, declined=declined)

    async def offer_all(self, leads: Iterable[EnrollmentRow], at: datetime = MONDAY) -> list[AssignmentRow]:
        """All at the same time."""
        return await asyncio.gather(*(self.offer(lead, at=at) for lead in leads))

    async def queue(self, lead: EnrollmentRow) -> AssignmentRow:
        """Put a lead into the queue: nobody works on Sunday."""
        row = await self.offer(lead, at=SUNDAY)
        assert row.status == "queued"
        return row

    async def drain(self, at: datetime = MONDAY, limit: int = 100) -> list[str]:
        """Ids of the enrollments whose leads came out of the queue, in order."""
        async with self.database.write() as session:
            return [row.enrollment_id for row in await drain(session, at, limit)]

    async def give_by_hand(self, queued: AssignmentRow, person_id: str, by: str) -> AssignmentRow:
        async with self.database.write() as session:
            return await give_by_hand(session, queued.id, person_id, by)

    async def end(self, lead: EnrollmentRow) -> None:
        async with self.database.write() as session:
            await record_outcome(session, lead.id, Outcome(exit=Exit.COMPLETED, step=None))

    async def rows(self, lead: EnrollmentRow | None = None) -> list[AssignmentRow]:
        """Decisions on a lead or on all, in the order in which they were made."""
        query = select(AssignmentRow).order_by(col(AssignmentRow.id))
        async with self.database.read() as session:
            rows = await session.exec(query.where(AssignmentRow.enrollment_id == lead.id) if lead else query)
            return list(rows)

    async def statuses(self, lead: EnrollmentRow) -> list[str]:
        return [row.status for row in await self.rows(lead)]

    async def loads(self) -> Counter[str]:
        """How many leads each rep works on."""
        rows = await self.rows()
        return Counter(row.person_id for row in rows if row.person_id and row.released_at is None)
