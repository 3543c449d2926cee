"""Pages of a bulk enrollment against `enroll`, one by one; what gates measure; what people change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlmodel import col, select

from domain.audiences import AudienceSource
from domain.bulk_enrollments import Figures, JobStatus, Pilot, Stage
from domain.flows import Exit, Outcome
from domain.messages import MessageStatus
from domain.suppressions import SuppressionReason
from store import holds
from store.bulk_enrollments import RefusedMember, Unfit, cancel, hold, insert_job, lock_job, page_of_refused, resume
from store.bulk_gates import figures_of, halt
from store.bulk_pages import enroll_next, not_started
from store.database import Database
from store.enrollments import AlreadyActive, NotYetAgain, enroll, record_outcome
from store.erasure_requests import request_erasure
from store.erasures import BeingErased
from store.ledger_tables import MessageRow
from store.list_tables import BulkEnrollmentRow
from store.suppressions import suppress
from store.tables import ContactRow, EnrollmentRow, month_of, new_id, now

FLOW = "spring"
AGAIN = timedelta(days=30)
REFUSALS = {AlreadyActive: "already_active", NotYetAgain: "not_yet_again", BeingErased: "being_erased"}


async def contacts(database: Database, count: int) -> list[ContactRow]:
    rows = [ContactRow(email=f"{new_id()}@example.com", locale="en") for _ in range(count)]
    async with database.write() as session:
        session.add_all(rows)
    return rows


async def asked_for(database: Database, rows: Sequence[ContactRow], **values: Any) -> BulkEnrollmentRow:
    new = BulkEnrollmentRow(flow=FLOW, source={}, per_second=1.0, status=JobStatus.PREPARING, **values)
    async with database.write() as session:
        job = await insert_job(session, new, AudienceSource(contact_ids=tuple(row.id for row in rows)))
    assert job is not None
    return job


async def turn(database: Database, job: BulkEnrollmentRow, limit: int = 100) -> list[EnrollmentRow] | None:
    async with database.write() as session:
        locked = await lock_job(session, job.id)
        assert locked is not None
        return await enroll_next(session, locked, reenroll_after=AGAIN, limit=limit)


async def stored(database: Database, job: BulkEnrollmentRow) -> BulkEnrollmentRow:
    async with database.read() as session:
        return await session.get_one(BulkEnrollmentRow, job.id)


async def refused(database: Database, job: BulkEnrollmentRow) -> dict[str, str]:
    async with database.read() as session:
        return {each.contact_id: each.reason for each in await page_of_refused(session, job.id, -1, 1_000)}


async def is_in_it(database: Database, *contacts: ContactRow) -> None:
    async with database.write() as session:
        for contact in contacts:
            await enroll(session, flow=FLOW, contact_id=contact.id, settings={}, reenroll_after=None)


async def test_a_page_decides_as_enroll_does_one_by_one(database: Database) -> None:
    rows, chance = await contacts(database, 40), Random(6)  # noqa: S311 (a die, no secret)
    past = [timedelta(days=days) for days in (1, 29, 31, 400)]
    job = await asked_for(database, rows)
    async with database.write() as session:
        for row in rows:
            for ago in sorted(chance.sample(past, chance.randrange(3)), reverse=True):
                flow, ended_at = chance.choice([FLOW, "other"]), now() - ago
                session.add(EnrollmentRow(flow=flow, contact_id=row.id, status="ended", ended_at=ended_at))
            if chance.random() < 0.3:
                session.add(EnrollmentRow(flow=chance.choice([FLOW, "other"]), contact_id=row.id))
        for row in chance.sample(rows, 5):
            await request_erasure(session, row.id, "api")
    one_by_one: dict[str, str] = {}
    async with database.write() as session:
        for row in rows:
            try:
                await enroll(session, flow=FLOW, contact_id=row.id, settings={}, reenroll_after=AGAIN)
            except (AlreadyActive, NotYetAgain, BeingErased) as refusal:
                one_by_one[row.id] = REFUSALS[type(refusal)]
        await session.rollback()
    enrolled: list[EnrollmentRow] = []
    while (page := await turn(database, job, limit=7)) is not None:
        enrolled += page
    assert await refused(database, job) == one_by_one
    assert {row.contact_id for row in enrolled} == {row.id for row in rows} - one_by_one.keys()
    assert set(one_by_one.values()) == set(REFUSALS.values())


async def test_what_is_enrolled_is_as_it_was_asked_for(database: Database) -> None:
    (ada,) = await contacts(database, 1)
    job = await asked_for(database, [ada], settings={"hand_after": "P2D"}, requested_by="rosa")
    await turn(database, job)
    async with database.read() as session:
        row = (await session.exec(select(EnrollmentRow))).one()
    assert (row.flow, row.contact_id, row.settings) == (FLOW, ada.id, {"hand_after": "P2D"})
    assert (row.origin, row.requested_by, row.bulk_id) == ("bulk", "rosa", job.id)
    assert row.idempotency_key == f"bulk:{job.id}:{ada.id}"
    assert row.started_at is None


async def test_a_suppressed_address_is_refused_with_its_gravest_reason(database: Database) -> None:
    ada, bob, eve = await contacts(database, 3)
    async with database.write() as session:
        for reason in (SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINT):
            await suppress(session, ada.email, reason, "test")
        await suppress(session, bob.email, SuppressionReason.SUNSET, "test")
    job = await asked_for(database, [ada, bob, eve])
    await turn(database, job)
    assert await refused(database, job) == {ada.id: "suppressed_complaint", bob.id: "suppressed_sunset"}
    assert (await stored(database, job)).refusals == {"suppressed_complaint": 1, "suppressed_sunset": 1}


async def test_who_asks_for_their_erasure_after_it_began_is_refused(database: Database) -> None:
    ada, bob = await contacts(database, 2)
    job = await asked_for(database, [ada, bob])
    async with database.write() as session:
        await request_erasure(session, ada.id, "api")
    await turn(database, job)
    assert await refused(database, job) == {ada.id: "being_erased"}


async def test_who_asks_for_their_erasure_in_this_very_moment_is_refused(database: Database) -> None:
    (ada,) = await contacts(database, 1)
    job = await asked_for(database, [ada])
    async with database.write() as session:
        await request_erasure(session, ada.id, "api")
        meanwhile = asyncio.create_task(turn(database, job))
        await asyncio.sleep(0.2)  # for it to come as far as it can
    assert await meanwhile == []
    assert await refused(database, job) == {ada.id: "being_erased"}


async def test_turns_go_on_where_the_last_one_ended_until_it_is_finished(database: Database) -> None:
    rows = await contacts(database, 7)
    await is_in_it(database, rows[0])
    job = await asked_for(database, rows)
    sizes = []
    while (enrolled := await turn(database, job, limit=3)) is not None:
        sizes.append(len(enrolled))
        at = await stored(database, job)
        assert at.enrolled + sum(at.refusals.values()) == at.position
    assert sum(sizes) == 6
    assert len(sizes) == 3
    done = await stored(database, job)
    assert (done.status, done.position, done.enrolled, done.refusals) == ("finished", 7, 6, {"already_active": 1})
    assert done.ended_at is not None


async def test_turns_at_once_enroll_each_contact_once(database: Database) -> None:
    job = await asked_for(database, await contacts(database, 20))
    pages = await asyncio.gather(*(turn(database, job, limit=5) for _ in range(6)))
    assert sorted(len(page) for page in pages if page is not None) == [5, 5, 5, 5]
    assert (await stored(database, job)).enrolled == 20


async def test_two_for_the_same_contacts_at_once_enroll_each_of_them_once(database: Database) -> None:
    rows = await contacts(database, 20)
    first, second = await asked_for(database, rows), await asked_for(database, rows[::-1])
    await asyncio.gather(turn(database, first), turn(database, second))
    one, other = await stored(database, first), await stored(database, second)
    assert one.enrolled + other.enrolled == 20
    assert one.refusals.get("already_active", 0) + other.refusals.get("already_active", 0) == 20


async def test_a_crash_in_the_middle_of_a_turn_leaves_nothing_of_it(database: Database) -> None:
    job = await asked_for(database, await contacts(database, 4))
    async with database.write() as session:
        locked = await lock_job(session, job.id)
        assert locked is not None
        await enroll_next(session, locked, reenroll_after=AGAIN, limit=2)
        await session.rollback()
    at = await stored(database, job)
    assert (at.position, at.enrolled) == (0, 0)
    async with database.read() as session:
        assert await not_started(session, job.id, 10) == []


async def test_a_stage_ends_before_the_next_one_begins(database: Database) -> None:
    pilot = Pilot(stages=(Stage(count=3), Stage(share=1.0)))
    job = await asked_for(database, await contacts(database, 5), pilot=pilot.model_dump(mode="json"))
    enrolled = await turn(database, job)
    assert enrolled is not None
    assert len(enrolled) == 3
    at = await stored(database, job)
    assert (at.status, at.stage, at.position) == ("at_gate", 0, 3)
    assert await turn(database, job) is None


async def test_one_that_does_not_run_enrolls_nobody(database: Database) -> None:
    job = await asked_for(database, await contacts(database, 2))
    for change in (hold, lambda job: halt(job, "test"), lambda job: cancel(job, "test")):
        async with database.write() as session:
            locked = await lock_job(session, job.id)
            assert locked is not None
            change(locked)
            session.add(locked)
        assert await turn(database, job) is None
    assert (await stored(database, job)).position == 0


async def test_while_its_flow_is_held_it_waits(database: Database) -> None:
    job = await asked_for(database, await contacts(database, 2))
    async with database.write() as session:
        await holds.hold(session, holds.Scope.FLOW, FLOW)
    assert await turn(database, job) is None
    async with database.write() as session:
        await holds.resume(session, holds.Scope.FLOW, FLOW)
    assert len(await turn(database, job) or []) == 2


async def test_refused_contacts_are_listed_page_by_page_in_their_order(database: Database) -> None:
    rows = await contacts(database, 6)
    await is_in_it(database, *rows[:5])
    job = await asked_for(database, rows)
    await turn(database, job)
    paged: list[RefusedMember] = []
    async with database.read() as session:
        while page := await page_of_refused(session, job.id, paged[-1].position if paged else -1, 2):
            paged += page
    assert {each.contact_id for each in paged} == {row.id for row in rows[:5]}
    assert [each.position for each in paged] == sorted(each.position for each in paged)


async def test_ids_of_contacts_stand_in_its_audience_alone(database: Database) -> None:
    (ada,) = await contacts(database, 1)
    job = await asked_for(database, [ada])
    assert ada.id not in str((await stored(database, job)).model_dump())


# -- What gates measure -----------------------------------------------------------------------------------------------


async def sent(database: Database, row: EnrollmentRow, *statuses: str, person_id: str | None = None) -> None:
    async with database.write() as session:
        session.add_all(
            MessageRow(
                id=new_id(),
                flow=FLOW,
                month=month_of(now()),
                enrollment_id=row.id,
                contact_id=row.contact_id,
                person_id=person_id,
                step=f"step-{new_id()}",
                status=MessageStatus(status),
            )
            for status in statuses
        )


async def ended(database: Database, row: EnrollmentRow, exit_: Exit) -> None:
    async with database.write() as session:
        await record_outcome(session, row.id, Outcome(exit=exit_, step="welcome"))


async def test_figures_are_of_its_own_enrollments_and_of_mail_to_contacts(database: Database) -> None:
    job, other = [await asked_for(database, await contacts(database, 8)) for _ in range(2)]
    rows, others = await turn(database, job), await turn(database, other)
    assert rows is not None
    assert others is not None
    await sent(database, rows[0], "delivered", "clicked", "skipped", "rejected", "unconfirmed", "sending", "ready")
    await sent(database, rows[1], "complained", "sent")
    await ended(database, rows[1], Exit.COMPLAINED)
    await sent(database, rows[2], "delivered")
    await ended(database, rows[2], Exit.COMPLAINED)
    await sent(database, rows[3], "bounced")
    await ended(database, rows[3], Exit.BOUNCED)
    await ended(database, rows[4], Exit.BOUNCED)
    await ended(database, rows[5], Exit.GOAL)
    await ended(database, rows[7], Exit.COMPLAINED)
    await sent(database, rows[6], "delivered", "complained", person_id="rosa")
    await sent(database, others[0], "complained", "bounced")
    await ended(database, others[1], Exit.GOAL)
    async with database.read() as session:
        assert await figures_of(session, job.id) == Figures(enrolled=8, goals=1, sent=6, complaints=3, bounces=2)
        assert await figures_of(session, new_id()) == Figures()


# -- What people change -----------------------------------------------------------------------------------------------


def job_at(status: JobStatus) -> BulkEnrollmentRow:
    return BulkEnrollmentRow(flow=FLOW, source={}, per_second=1.0, status=status, size=5)


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (hold, {"preparing", "running", "at_gate", "awaiting_approval", "held"}),
        (resume, {"preparing", "running", "at_gate", "awaiting_approval", "held"}),
        (lambda job: resume(job, "rosa", "a reason"), set(JobStatus) - {"cancelled", "finished"}),
        (lambda job: cancel(job, "a reason"), set(JobStatus) - {"finished"}),
    ],
    ids=["hold", "resume", "resume by a person", "cancel"],
)
def test_what_can_be_done_where(change: Callable[[BulkEnrollmentRow], None], allowed: set[str]) -> None:
    for status in JobStatus:
        job = job_at(status)
        if status not in allowed:
            with pytest.raises(Unfit):
                change(job)
            assert job.status == status
        else:
            change(job)
            again = job.model_copy()
            change(again)
            assert again.model_dump() == job.model_dump(), "twice changes nothing"


async def test_only_enrollments_that_no_run_was_started_for_are_left_to_start(database: Database) -> None:
    job = await asked_for(database, await contacts(database, 3))
    rows = await turn(database, job)
    assert rows is not None
    async with database.write() as session:
        found = await session.exec(select(EnrollmentRow).where(col(EnrollmentRow.id) == rows[0].id))
        found.one().started_at = now()
    await ended(database, rows[1], Exit.CANCELLED)
    async with database.read() as session:
        assert [row.id for row in await not_started(session, job.id, 10)] == [rows[2].id]
