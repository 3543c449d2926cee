from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.flows import Exit, Outcome
from domain.messages import MessageStatus
from store.database import Database
from store.enrollments import (
    AlreadyActive,
    KeyReused,
    NotYetAgain,
    cancels_not_told,
    enroll,
    mark_started,
    not_started,
    record_outcome,
    request_cancel,
)
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, new_id, now

AT_ONCE = timedelta(0)
COMPLETED = Outcome(exit=Exit.COMPLETED, step="check-in")


async def enter(
    database: Database,
    contact: ContactRow,
    key: str | None = None,
    again: timedelta | None = AT_ONCE,
    request: str = "r",
) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(
            session,
            flow="onboarding",
            contact_id=contact.id,
            settings={},
            reenroll_after=again,
            idempotency_key=key,
            request_hash=request if key else None,
        )


async def end(database: Database, enrollment: EnrollmentRow, outcome: Outcome = COMPLETED) -> bool:
    async with database.write() as session:
        return await record_outcome(session, enrollment.id, outcome)


async def stored(database: Database, enrollment: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, enrollment.id)


async def test_a_contact_is_in_a_flow_once_at_a_time(database: Database, ada: ContactRow) -> None:
    first = await enter(database, ada)
    with pytest.raises(AlreadyActive) as refusal:
        await enter(database, ada)
    assert refusal.value.enrollment_id == first.id


async def test_of_many_concurrent_enrollments_one_wins(database: Database, ada: ContactRow) -> None:
    results = await asyncio.gather(*(enter(database, ada) for _ in range(10)), return_exceptions=True)
    won = [result for result in results if isinstance(result, EnrollmentRow)]
    assert len(won) == 1
    assert all(isinstance(result, EnrollmentRow | AlreadyActive) for result in results)


async def test_the_same_key_answers_the_same_enrollment_even_after_it_ended(
    database: Database, ada: ContactRow
) -> None:
    first = await enter(database, ada, key="k")
    assert (await enter(database, ada, key="k")).id == first.id
    await end(database, first)
    assert (await enter(database, ada, key="k")).id == first.id


async def test_concurrent_requests_with_one_key_make_one_enrollment(database: Database, ada: ContactRow) -> None:
    results = await asyncio.gather(*(enter(database, ada, key="k") for _ in range(10)))
    assert len({result.id for result in results}) == 1


async def test_a_key_is_good_for_one_request(database: Database, ada: ContactRow) -> None:
    await enter(database, ada, key="k", request="one")
    with pytest.raises(KeyReused):
        await enter(database, ada, key="k", request="another")


async def test_a_contact_may_enter_again_as_the_flow_rules(database: Database, ada: ContactRow) -> None:
    first = await enter(database, ada)
    await end(database, first)
    with pytest.raises(NotYetAgain) as never:
        await enter(database, ada, again=None)
    assert never.value.until is None
    with pytest.raises(NotYetAgain) as later:
        await enter(database, ada, again=timedelta(days=30))
    assert later.value.until is not None
    assert later.value.until > now() + timedelta(days=29)
    assert (await enter(database, ada, again=AT_ONCE)).id != first.id


async def test_the_first_outcome_stays(database: Database, ada: ContactRow) -> None:
    enrollment = await enter(database, ada)
    assert await end(database, enrollment, Outcome(exit=Exit.GOAL, step="welcome"))
    assert not await end(database, enrollment)
    ended = await stored(database, enrollment)
    assert (ended.status, ended.exit, ended.last_step) == ("ended", "goal", "welcome")
    assert ended.ended_at is not None


async def test_ending_withdraws_a_message_that_is_still_to_be_handed_over(database: Database, ada: ContactRow) -> None:
    enrollment = await enter(database, ada)
    async with database.write() as session:
        for step, status in (("tip", MessageStatus.READY), ("welcome", MessageStatus.SENT)):
            session.add(
                MessageRow(
                    flow=enrollment.flow,
                    id=step,
                    enrollment_id=enrollment.id,
                    contact_id=ada.id,
                    step=step,
                    status=status,
                )
            )
    await end(database, enrollment, Outcome(exit=Exit.UNSUBSCRIBED, step="tip"))
    async with database.read() as session:
        tip = await session.get_one(MessageRow, "tip")
        assert (tip.status, tip.reason) == ("skipped", "the enrollment ended: unsubscribed")
        assert (await session.get_one(MessageRow, "welcome")).status == "sent"


async def test_the_sweep_finds_what_temporal_was_not_told(database: Database, ada: ContactRow) -> None:
    enrollment = await enter(database, ada)
    later = now() + timedelta(seconds=1)

    async def found() -> tuple[list[str], list[str]]:
        async with database.read() as session:
            return (
                [row.id for row in await not_started(session, ["onboarding"], later, limit=10)],
                [row.id for row in await cancels_not_told(session, ["onboarding"], later, limit=10)],
            )

    assert await found() == ([enrollment.id], [])
    async with database.write() as session:
        await mark_started(session, [enrollment.id])
        await request_cancel(session, enrollment.id)
    assert await found() == ([], [enrollment.id])
    await end(database, enrollment, Outcome(exit=Exit.CANCELLED, step=None))
    assert await found() == ([], [])


async def test_cancelling_twice_or_too_late_changes_nothing(database: Database, ada: ContactRow) -> None:
    enrollment = await enter(database, ada)
    async with database.write() as session:
        first = await request_cancel(session, enrollment.id)
        assert first is not None
        asked_at = first.cancel_requested_at
    async with database.write() as session:
        again = await request_cancel(session, enrollment.id)
        assert again is not None
        assert again.cancel_requested_at == asked_at
        assert await request_cancel(session, "unknown") is None


async def test_the_first_start_stays_and_who_is_still_active_is_told(database: Database, ada: ContactRow) -> None:
    ended = await enter(database, ada)
    await end(database, ended)
    active = await enter(database, ada)
    async with database.write() as session:
        assert await mark_started(session, [active.id]) == {active.id}
    first = (await stored(database, active)).started_at
    async with database.write() as session:
        assert await mark_started(session, [ended.id, active.id, new_id()]) == {active.id}
    assert (await stored(database, active)).started_at == first
    assert (await stored(database, ended)).started_at is not None
