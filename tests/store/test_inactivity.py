from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlmodel import col, select

from domain.contacts import ContactProfile
from domain.flows import Exit, Outcome
from domain.suppressions import SuppressionReason
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.holds import Scope, hold, resume
from store.inactivity import Page, enroll_page
from store.suppressions import suppress
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now

FLOW = "reactivation"
QUIET = timedelta(days=90)


async def contacts(database: Database, *names: str, age: timedelta = timedelta(days=365)) -> list[ContactRow]:
    async with database.write() as session:
        rows = []
        for name in names:
            row = (await upsert_contact(session, ContactProfile(email=f"{name}@example.com"), {}, "test")).contact
            row.created_at = now() - age
            session.add(row)
            rows.append(row)
        return rows


async def happened(database: Database, contact: ContactRow, name: str, ago: timedelta) -> None:
    async with database.write() as session:
        session.add(EventRow(id=new_id(), contact_id=contact.id, name=name, occurred_at=now() - ago))


async def page(database: Database, *, after: str = "", limit: int = 100, at_most: int = 100) -> Page:
    async with database.write() as session:
        return await enroll_page(
            session,
            FLOW,
            inactive_since=now() - QUIET,
            reenroll_after=timedelta(days=180),
            at_most=at_most,
            after=after,
            limit=limit,
        )


async def enrolled(database: Database) -> list[str]:
    async with database.read() as session:
        rows = await session.exec(
            select(EnrollmentRow.contact_id)
            .where(EnrollmentRow.origin == "schedule")
            .order_by(col(EnrollmentRow.contact_id))
        )
        return list(rows)


def ids(rows: Sequence[ContactRow]) -> list[str]:
    return sorted(row.id for row in rows)


async def end(database: Database, contact: ContactRow, ended_at: datetime) -> None:
    async with database.write() as session:
        row = await enroll(session, flow=FLOW, contact_id=contact.id, settings={}, reenroll_after=timedelta(0))
        await record_outcome(session, row.id, Outcome(exit=Exit.COMPLETED, step="x"))
        (await session.get_one(EnrollmentRow, row.id)).ended_at = ended_at


async def test_who_did_nothing_for_long_enough_is_enrolled(database: Database) -> None:
    quiet, forgotten, active, opener = await contacts(database, "quiet", "forgotten", "active", "opener")
    await contacts(database, "young", age=timedelta(days=10))
    await happened(database, forgotten, "bought", timedelta(days=91))
    await happened(database, active, "visited", timedelta(days=89))
    # Mail programs open messages by themselves: that is no act.
    await happened(database, opener, "opened", timedelta(days=1))
    assert await page(database) == Page(3, None)
    assert await enrolled(database) == ids([quiet, forgotten, opener])


async def test_whom_the_reenrollment_rule_excludes_is_left_in_peace(database: Database) -> None:
    inside, lately, long_ago = await contacts(database, "inside", "lately", "long-ago")
    async with database.write() as session:
        await enroll(session, flow=FLOW, contact_id=inside.id, settings={}, reenroll_after=timedelta(0))
    await end(database, lately, now() - timedelta(days=179))
    await end(database, long_ago, now() - timedelta(days=181))
    await page(database)
    assert await enrolled(database) == [long_ago.id]


@pytest.mark.parametrize("reason", list(SuppressionReason))
async def test_a_suppressed_address_is_passed_by(database: Database, reason: SuppressionReason) -> None:
    (ada,) = await contacts(database, "ada")
    async with database.write() as session:
        await suppress(session, ada.email, reason, "test")
    assert await page(database) == Page(0, None)


async def test_into_a_flow_that_is_held_nobody_is_enrolled(database: Database) -> None:
    (ada,) = await contacts(database, "ada")
    async with database.write() as session:
        await hold(session, Scope.FLOW, FLOW)
    assert await page(database) == Page(0, None)
    async with database.write() as session:
        await resume(session, Scope.FLOW, FLOW)
    await page(database)
    assert await enrolled(database) == [ada.id]


async def test_pages_go_through_all_and_each_contact_is_enrolled_once_however_often(database: Database) -> None:
    rows = await contacts(database, *(f"contact-{number}" for number in range(7)))
    after: str | None = ""
    sizes = []
    while after is not None:
        found = await page(database, after=after, limit=3)
        sizes.append(found.enrolled)
        after = found.next_after
    assert sizes == [3, 3, 1]
    assert await page(database) == Page(0, None)
    assert await enrolled(database) == ids(rows)


async def test_the_number_for_a_day_holds_over_all_runs_also_at_once(database: Database) -> None:
    await contacts(database, *(f"contact-{number}" for number in range(12)))
    await asyncio.gather(*(page(database, at_most=5, limit=3) for _ in range(4)))
    assert len(await enrolled(database)) == 5
    assert await page(database, at_most=5) == Page(0, None)
