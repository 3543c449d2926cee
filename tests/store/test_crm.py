from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.crm import AddScore, AppliedChange, Change, CrmChange, CrmRefused, NoLongerWanted, Sunset
from domain.flows import Exit, Outcome
from store.crm import DatabaseCrm
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.events import record_event
from store.suppressions import suppressions_of
from store.tables import ContactRow, CrmChangeRow, EnrollmentRow, EventRow, now
from tests.waiting import until


@pytest.fixture
async def enrollment(database: Database, ada: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow="reactivation", contact_id=ada.id, settings={}, reenroll_after=None)


def asked(enrollment: EnrollmentRow, change: Change, asked_at: datetime | None = None) -> CrmChange:
    return CrmChange(enrollment_id=enrollment.id, step="last", change=change, asked_at=asked_at or now())


def event(contact: ContactRow, name: str) -> EventRow:
    return EventRow(id=name, contact_id=contact.id, name=name, occurred_at=now())


async def happens(database: Database, contact: ContactRow, name: str) -> None:
    async with database.write() as session:
        await record_event(session, contact, event(contact, name))


async def test_a_contact_who_acts_when_the_flow_gives_them_up_is_not_sunset(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow
) -> None:
    asked_at = now()
    await happens(database, ada, "bought")
    with pytest.raises(CrmRefused, match="the contact acted"):
        await DatabaseCrm(database).apply(asked(enrollment, Sunset(), asked_at))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == frozenset()


@pytest.mark.parametrize(("name", "later"), [("bought", timedelta(minutes=1)), ("opened", timedelta(0))])
async def test_earlier_acts_and_what_is_none_do_not_keep_a_contact_from_it(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow, name: str, later: timedelta
) -> None:
    asked_at = now() + later
    await happens(database, ada, name)
    await DatabaseCrm(database).apply(asked(enrollment, Sunset(), asked_at))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {"sunset"}


async def apply_meanwhile(
    database: Database, change: CrmChange, first: Callable[[AsyncSession], Awaitable[object]]
) -> AppliedChange:
    """Apply a change that begins while another transaction has done its part and is not over."""
    async with database.write() as session:
        await first(session)
        applying = asyncio.create_task(DatabaseCrm(database).apply(change))
        if session.get_bind().dialect.name == "postgresql":
            await until(lambda: _somebody_waits(database))
    return await applying


async def _somebody_waits(database: Database) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with database.read() as session:
        return bool((await (await session.connection()).execute(text(query))).scalar_one())


async def test_an_act_that_is_just_being_recorded_comes_before_a_sunset(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow
) -> None:
    order = asked(enrollment, Sunset())
    with pytest.raises(CrmRefused, match="the contact acted"):
        await apply_meanwhile(database, order, lambda session: record_event(session, ada, event(ada, "bought")))


async def test_an_end_that_is_just_being_recorded_comes_before_a_change(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow
) -> None:
    outcome = Outcome(exit=Exit.GOAL, step="last")
    with pytest.raises(NoLongerWanted, match="the enrollment ended: goal"):
        await apply_meanwhile(
            database,
            asked(enrollment, AddScore(points=10)),
            lambda session: record_outcome(session, enrollment.id, outcome),
        )
    async with database.read() as session:
        assert (await session.get_one(ContactRow, ada.id)).score == 0


async def test_what_the_mirror_answered_first_stays(database: Database, enrollment: EnrollmentRow) -> None:
    crm = DatabaseCrm(database, mirrored=True)
    applied = await crm.apply(asked(enrollment, AddScore(points=10)))
    await crm.settle(applied.id)
    await crm.settle(applied.id, "the receiver answered 410")
    async with database.read() as session:
        row = await session.get_one(CrmChangeRow, applied.id)
    assert (row.mirror, row.mirror_refusal) == ("told", None)
