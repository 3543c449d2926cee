from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from domain.contacts import ContactProfile
from domain.flows import Exit, Outcome
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, mark_started, record_outcome
from store.holds import (
    Scope,
    began_held,
    begin_telling,
    doubt,
    held_among,
    held_wrongly_told,
    hold,
    is_held,
    mark_begun_held,
    mark_told,
    resume,
)
from store.people_tables import ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.tables import ContactRow, EnrollmentRow, now

FLOW = "nurturing"


async def contact(database: Database, email: str) -> ContactRow:
    async with database.write() as session:
        return (await upsert_contact(session, ContactProfile(email=email), {}, "test")).contact


async def entered(database: Database, who: ContactRow, flow: str = FLOW, *, started: bool = True) -> EnrollmentRow:
    async with database.write() as session:
        row = await enroll(session, flow=flow, contact_id=who.id, settings={}, reenroll_after=timedelta(0))
        if started:
            await mark_started(session, [row.id])
    return row


async def held(database: Database, scope: Scope, target: str) -> bool:
    async with database.write() as session:
        return await hold(session, scope, target)


async def resumed(database: Database, scope: Scope, target: str) -> bool:
    async with database.write() as session:
        return await resume(session, scope, target)


async def stands_held(database: Database, row: EnrollmentRow) -> bool:
    async with database.read() as session:
        return await is_held(session, row)


async def wrongly_told(database: Database, flow: str = FLOW, before: datetime | None = None) -> set[str]:
    async with database.read() as session:
        rows = await held_wrongly_told(session, flow, before or now() + timedelta(seconds=1), 100)
    return {row.id for row in rows}


async def tell(database: Database, row: EnrollmentRow) -> str | None:
    """Tell the enrollment's run, which answers; the key under which it was told, None if it knew."""
    async with database.write() as session:
        telling = await begin_telling(session, row.id)
    if telling is None:
        return None
    async with database.write() as session:
        await mark_told(session, telling)
    return telling.key


def target_of(row: EnrollmentRow, scope: Scope) -> str:
    return {Scope.ENROLLMENT: row.id, Scope.CONTACT: row.contact_id, Scope.FLOW: row.flow}[scope]


async def stored(database: Database, row: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, row.id)


@pytest.mark.parametrize("scope", Scope)
async def test_a_hold_of_the_enrollment_its_contact_or_its_flow_holds_it(
    database: Database, ada: ContactRow, scope: Scope
) -> None:
    row = await entered(database, ada)
    other = await entered(database, await contact(database, "bo@example.com"), "onboarding")
    assert await held(database, scope, target_of(row, scope))
    assert await stands_held(database, row)
    assert not await stands_held(database, other)
    async with database.read() as session:
        assert await held_among(session, [row, other]) == {row.id}
    assert await wrongly_told(database) == {row.id}
    assert await wrongly_told(database, "onboarding") == set()
    assert await resumed(database, scope, target_of(row, scope))
    assert not await stands_held(database, row)
    assert await wrongly_told(database) == set(), "its run was never told"


async def test_holding_and_resuming_twice_changes_nothing(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    assert not await resumed(database, Scope.ENROLLMENT, row.id)
    results = await asyncio.gather(*(held(database, Scope.ENROLLMENT, row.id) for _ in range(5)))
    assert sorted(results) == [False] * 4 + [True]
    assert await resumed(database, Scope.ENROLLMENT, row.id)
    assert not await resumed(database, Scope.ENROLLMENT, row.id)
    assert await held(database, Scope.ENROLLMENT, row.id), "it may be held again"


async def test_under_two_holds_it_goes_on_when_both_are_lifted(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    await held(database, Scope.FLOW, FLOW)
    await held(database, Scope.ENROLLMENT, row.id)
    assert await tell(database, row) is not None
    await resumed(database, Scope.FLOW, FLOW)
    assert await stands_held(database, row)
    assert await tell(database, row) is None
    assert await wrongly_told(database) == set()
    await resumed(database, Scope.ENROLLMENT, row.id)
    assert await wrongly_told(database) == {row.id}
    assert await tell(database, row) is not None
    assert (await stored(database, row)).held_since is None


async def test_a_repeated_telling_has_the_same_key_and_every_other_another(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    keys = []
    for _ in range(2):
        await held(database, Scope.CONTACT, ada.id)
        async with database.write() as session:
            unanswered = await begin_telling(session, row.id)
        keys.append(await tell(database, row))
        assert unanswered is not None
        assert unanswered.key == keys[-1]
        await resumed(database, Scope.CONTACT, ada.id)
        keys.append(await tell(database, row))
    assert None not in keys
    assert len(set(keys)) == 4


async def test_a_telling_without_an_answer_is_told_again_even_after_all_is_lifted(
    database: Database, ada: ContactRow
) -> None:
    row = await entered(database, ada)
    await held(database, Scope.FLOW, FLOW)
    async with database.write() as session:
        assert await begin_telling(session, row.id) is not None
    await resumed(database, Scope.FLOW, FLOW)
    assert await wrongly_told(database) == {row.id}
    key = await tell(database, row)
    assert key is not None
    assert key.startswith("resume")
    assert await wrongly_told(database) == set()


async def test_an_answer_that_was_overtaken_has_the_run_told_again(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    async with database.write() as session:
        slow = await begin_telling(session, row.id)
    await resumed(database, Scope.ENROLLMENT, row.id)
    first = await tell(database, row)
    assert slow is not None
    async with database.write() as session:
        await mark_told(session, slow)
    assert await wrongly_told(database) == {row.id}
    again = await tell(database, row)
    assert again is not None
    assert again != first, "under the same key the run would not hear it"
    assert await tell(database, row) is None


async def test_a_doubt_is_of_what_was_once_held_only(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    async with database.write() as session:
        await doubt(session, row)
    assert await wrongly_told(database) == set()
    await held(database, Scope.FLOW, FLOW)
    await resumed(database, Scope.FLOW, FLOW)
    async with database.write() as session:
        await doubt(session, row)
    assert await wrongly_told(database) == {row.id}


async def test_what_has_not_started_or_has_ended_is_not_told(database: Database, ada: ContactRow) -> None:
    waiting = await entered(database, ada, started=False)
    ended = await entered(database, await contact(database, "bo@example.com"))
    async with database.write() as session:
        await record_outcome(session, ended.id, Outcome(exit=Exit.GOAL, step=None))
    await held(database, Scope.FLOW, FLOW)
    assert await wrongly_told(database) == set()
    assert await tell(database, waiting) is await tell(database, ended) is None
    async with database.read() as session:
        assert await held_among(session, [waiting, await stored(database, ended)]) == {waiting.id}


async def test_what_was_started_held_knows_it(database: Database, ada: ContactRow) -> None:
    await held(database, Scope.FLOW, FLOW)
    row = await entered(database, ada)
    async with database.write() as session:
        await mark_begun_held(session, row.id)
    assert await wrongly_told(database) == set()
    await resumed(database, Scope.FLOW, FLOW)
    assert await wrongly_told(database) == {row.id}


async def test_how_it_began_stays_known(database: Database, ada: ContactRow) -> None:
    await held(database, Scope.FLOW, FLOW)
    during = await entered(database, ada)
    await resumed(database, Scope.FLOW, FLOW)
    after = await entered(database, await contact(database, "bo@example.com"))
    await held(database, Scope.FLOW, FLOW)
    async with database.read() as session:
        assert await began_held(session, during)
        assert not await began_held(session, after)


async def test_what_changed_a_moment_ago_is_left_to_who_is_telling_it(database: Database, ada: ContactRow) -> None:
    row = await entered(database, ada)
    earlier = now() - timedelta(minutes=1)
    await held(database, Scope.FLOW, FLOW)
    assert await wrongly_told(database, before=earlier) == set()
    await tell(database, row)
    await resumed(database, Scope.FLOW, FLOW)
    assert await wrongly_told(database, before=earlier) == set()


async def test_what_people_are_asked_gets_the_time_back_that_it_was_held(database: Database, ada: ContactRow) -> None:
    row, other = await entered(database, ada), await entered(database, await contact(database, "bo@example.com"))
    due = now() + timedelta(days=1)
    async with database.write() as session:
        session.add(PersonRow(email="rosa@example.com", name="Rosa", locale="es", time_zone="UTC"))
        session.add_all(_asked(row, due) + _asked(other, due))
    await held(database, Scope.ENROLLMENT, row.id)
    await tell(database, row)
    async with database.write() as session:
        (await session.get_one(EnrollmentRow, row.id)).held_since = now() - timedelta(hours=5)
    await resumed(database, Scope.ENROLLMENT, row.id)
    await tell(database, row)
    assert [round((moment - due) / timedelta(hours=1)) for moment in await _deadlines(database, row)] == [
        5,
        0,
        5,
        0,
        5,
        0,
    ]
    assert set(await _deadlines(database, other)) == {due}


def _asked(row: EnrollmentRow, due: datetime) -> list[ApprovalRow | TaskRow | AssignmentRow]:
    """One open and one closed of each kind."""
    of: dict[str, Any] = {"enrollment_id": row.id, "contact_id": row.contact_id, "flow": row.flow}
    approvals = [
        ApprovalRow(**of, step=status, subject="?", content_hash="", status=status, expires_at=due)
        for status in ("pending", "approved")
    ]
    tasks = [TaskRow(**of, step=status, subject="?", status=status, due_at=due) for status in ("open", "done")]
    offers = [
        AssignmentRow(**of, step="rep", number=number, status=status, respond_by=due)
        for number, status in enumerate(("offered", "declined"), 1)
    ]
    return [*approvals, *tasks, *offers]


async def _deadlines(database: Database, row: EnrollmentRow) -> list[datetime]:
    async with database.read() as session:
        approvals = select(ApprovalRow.expires_at).where(ApprovalRow.enrollment_id == row.id)
        tasks = select(TaskRow.due_at).where(TaskRow.enrollment_id == row.id)
        offers = select(AssignmentRow.respond_by).where(AssignmentRow.enrollment_id == row.id)
        found = [
            *await session.exec(approvals.order_by(col(ApprovalRow.id))),
            *await session.exec(tasks.order_by(col(TaskRow.id))),
            *await session.exec(offers.order_by(col(AssignmentRow.id))),
        ]
    return [moment for moment in found if moment is not None]
