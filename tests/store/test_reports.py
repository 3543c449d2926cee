"""Reports of a small flow whose numbers are counted by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import pytest
from sqlalchemy import event
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contacts import ContactProfile
from domain.flows import Exit
from domain.message_counts import by_name, message_counts, step_counts
from domain.messages import MessageStatus
from domain.reports import QuestionCounts, Times, exits, versions
from integrations.sendgrid.events import read_events
from store.contacts import upsert_contact
from store.database import Database
from store.deliveries import in_chunks, keep_deliveries
from store.holds import Scope, hold
from store.ledger_tables import MessageRow
from store.people_tables import ApprovalRow, AssignmentRow, TaskRow
from store.question_reports import question_counts
from store.reports import (
    Cohort,
    broadcast_tallies,
    count_held,
    enrollment_tallies,
    goal_times,
    in_order,
    message_tallies,
    reason_tallies,
)
from store.tables import EnrollmentRow, day_of, month_of, new_id
from tests.integrations.sendgrid_webhook import webhook_event

FLOW = "nurturing"
EVERYBODY = Cohort(FLOW)
OLD, NEW = "0123456789ab", "ba9876543210"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_numbers = count()
RowT = TypeVar("RowT", bound=SQLModel)


class Past:
    """Writes down what happened, and leaves the rest as a contact without a past has it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def enrolled(
        self, entered: datetime = NOON, *, flow: str = FLOW, after: timedelta | None = None, **more: Any
    ) -> EnrollmentRow:
        """A contact of their own. `after` so long they left by the `exit`."""
        async with self.database.write() as session:
            profile = ContactProfile(email=f"contact-{next(_numbers)}@example.com")
            contact = (await upsert_contact(session, profile, {}, "test")).contact
            row = EnrollmentRow(flow=flow, contact_id=contact.id, created_at=entered, **more)
            if after is not None:
                row.status, row.ended_at = "ended", entered + after
            session.add(row)
        return row

    async def message(
        self, enrollment: EnrollmentRow, step: str, status: MessageStatus, *, after: timedelta = HOUR, **more: Any
    ) -> MessageRow:
        given = {
            "entered_on": day_of(enrollment.created_at),
            "month": month_of(enrollment.created_at),
            "build": enrollment.build,
            "message": step,
            **more,
        }
        return await self.kept(
            MessageRow(
                flow=enrollment.flow,
                enrollment_id=enrollment.id,
                contact_id=enrollment.contact_id,
                step=step,
                status=status,
                created_at=enrollment.created_at + after,
                **given,
            )
        )

    async def kept(self, row: RowT) -> RowT:
        async with self.database.write() as session:
            session.add(row)
        return row


@pytest.fixture
def past(database: Database) -> Past:
    return Past(database)


async def asked(database: Database, cohort: Cohort = EVERYBODY, at: datetime = NOON) -> list[QuestionCounts]:
    async with database.read() as session:
        return await question_counts(session, cohort, at)


async def test_exits_are_counted_for_those_who_entered_in_the_time_and_on_the_build(
    database: Database, past: Past
) -> None:
    midnight = datetime(2026, 11, 1, tzinfo=UTC)
    for entered, build, exit_ in (
        (midnight - timedelta(microseconds=1), OLD, Exit.GOAL),
        (midnight, OLD, Exit.GOAL),
        (midnight, NEW, Exit.UNSUBSCRIBED),
        (midnight + timedelta(days=30) - timedelta(microseconds=1), NEW, Exit.GOAL),
        (midnight + timedelta(days=30), NEW, Exit.COMPLETED),
    ):
        await past.enrolled(entered, build=build, exit=exit_, last_step="tip", after=HOUR)
    await past.enrolled(midnight + HOUR)
    await past.enrolled(midnight, flow="onboarding", exit=Exit.GOAL, after=HOUR)

    async def told(cohort: Cohort, open_since: datetime = midnight) -> tuple[dict[str | None, int], int]:
        async with database.read() as session:
            tallies = await enrollment_tallies(session, cohort, open_since)
        counts: dict[str | None, int] = {each.exit: each.count for each in exits(tallies)}
        active = sum(tally.number for tally in tallies if tally.exit is None)
        return counts | ({None: active} if active else {}), sum(tally.open for tally in tallies)

    november = Cohort(FLOW, date(2026, 11, 1), date(2026, 12, 1))
    assert await told(EVERYBODY) == ({"goal": 3, "unsubscribed": 1, "completed": 1, None: 1}, 1)
    assert await told(november) == ({"goal": 2, "unsubscribed": 1, None: 1}, 1)
    assert await told(november, midnight + 2 * HOUR) == ({"goal": 2, "unsubscribed": 1, None: 1}, 0)
    assert await told(Cohort(FLOW, build=NEW)) == ({"goal": 1, "unsubscribed": 1, "completed": 1}, 0)
    assert await told(Cohort(FLOW, date(2026, 11, 2), date(2026, 12, 1), NEW)) == ({"goal": 1}, 0)
    assert await told(Cohort(FLOW, date(2027, 1, 1))) == ({}, 0)
    async with database.read() as session:
        found = versions(await enrollment_tallies(session, EVERYBODY, midnight))
    assert [(each.version, each.enrolled, each.goal) for each in found] == [(NEW, 3, 1), (OLD, 2, 2), (None, 1, 0)]


async def test_messages_are_counted_by_step_whatever_they_came_to(database: Database, past: Past) -> None:
    one = await past.enrolled(build=OLD)
    for number, status in enumerate(MessageStatus, 1):
        await past.message(one, f"tip-{number}", status)
        other = await past.enrolled(NOON - timedelta(days=40), build=NEW)
        await past.message(other, "tip", status, message=f"tip-{number % 2}")
    # Nobody in the flow got these.
    await past.message(one, "ask", MessageStatus.SENT, person_id=new_id(), entered_on=None)
    await past.message(await past.enrolled(flow="onboarding"), "tip", MessageStatus.SENT)

    async def told(cohort: Cohort) -> Any:
        async with database.read() as session:
            return message_counts(await message_tallies(session, cohort))

    whole = await told(EVERYBODY)
    each = ("deferred", "unconfirmed", "skipped", "rejected", "not_told", "dropped", "bounced", "complained")
    assert {name: getattr(whole, name) for name in each} == dict.fromkeys(each, 2)
    assert (whole.reached, whole.under_way, whole.sent, whole.delivered) == (26, 4, 14, 8)
    old = await told(Cohort(FLOW, build=OLD))
    assert old.reached == 13
    assert await told(Cohort(FLOW, day_of(NOON))) == old
    assert await told(Cohort(FLOW, day_of(NOON), day_of(NOON) + timedelta(days=1), OLD)) == old
    assert (await told(Cohort(FLOW, before=day_of(NOON)))).reached == 13
    assert (await told(Cohort(FLOW, date(2026, 10, 14), date(2026, 10, 15)))).reached == 13
    assert (await told(Cohort(FLOW, before=date(2026, 10, 14)))).reached == 0
    async with database.read() as session:
        (tip,) = step_counts(["tip"], await message_tallies(session, EVERYBODY), [])
    assert (tip.reached, [(named.name, named.reached) for named in tip.templates]) == (13, [("tip-0", 6), ("tip-1", 7)])


async def test_reasons_are_those_of_messages_that_were_not_sent(database: Database, past: Past) -> None:
    for hour in range(3):
        enrollment = await past.enrolled(build=NEW if hour else OLD)
        reason = f"sendgrid is out of order since 2026-11-23 0{hour}:15 UTC: a task is given in its place"
        await past.message(enrollment, "tip", MessageStatus.SKIPPED, reason=reason)
        await past.message(enrollment, "welcome", MessageStatus.DEFERRED, reason="quiet hours")
        await past.message(enrollment, "offer", MessageStatus.BOUNCED, reason=f"mailbox {hour} is full")

    async def told(cohort: Cohort) -> list[tuple[str, str, int]]:
        async with database.read() as session:
            steps = step_counts(["tip", "welcome", "offer"], [], await reason_tallies(session, cohort))
        return [(step.step, why.reason, why.count) for step in steps for why in step.reasons]

    out_of_order = "sendgrid is out of order since … … UTC: a task is given in its place"
    assert await told(EVERYBODY) == [("tip", out_of_order, 3), ("welcome", "quiet hours", 3)]
    assert await told(Cohort(FLOW, build=NEW)) == [("tip", out_of_order, 2), ("welcome", "quiet hours", 2)]
    assert await told(Cohort(FLOW, before=day_of(NOON))) == []


async def test_opens_and_clicks_of_machines_are_told_apart(database: Database, past: Past) -> None:
    enrollment = await past.enrolled()
    read, scanned, both, skipped = [
        await past.message(enrollment, step, status)
        for step, status in (
            ("read", MessageStatus.SENT),
            ("scanned", MessageStatus.SENT),
            ("both", MessageStatus.SENT),
            ("skipped", MessageStatus.SKIPPED),
        )
    ]
    told = [webhook_event("delivered", row.id, NOON) for row in (read, scanned, both)]
    told += [webhook_event("open", row.id, NOON + HOUR) for row in (read, both)]
    told += [
        webhook_event("click", row.id, NOON + timedelta(seconds=2)) for row in (scanned, both)
    ]  # nobody is so fast
    told += [webhook_event("click", row.id, NOON + HOUR) for row in (both, skipped)]
    # In whatever requests they come, and however the settings count machines.
    for number, each in enumerate(reversed(told)):
        for chunk in in_chunks(read_events(json.dumps([each]).encode(), NOON)):
            async with database.write() as session:
                await keep_deliveries(session, chunk, {}, count_automated=bool(number % 2))
    async with database.read() as session:
        counts = message_counts(await message_tallies(session, EVERYBODY))
    assert (counts.opened.people, counts.opened.machines_only) == (2, 1)
    assert (counts.clicked.people, counts.clicked.machines_only) == (1, 1)
    assert (counts.delivered, counts.skipped) == (3, 1)


async def test_variants_of_a_broadcast_are_counted_apart(database: Database, past: Past) -> None:
    broadcast = new_id()
    for variant, status, clicked in (("a", "clicked", True), ("a", "sent", False), ("b", "bounced", False)):
        contact_id = (await past.enrolled()).contact_id
        row = MessageRow(
            flow="broadcast",
            broadcast_id=broadcast,
            contact_id=contact_id,
            step="offer",
            variant=variant,
            status=MessageStatus(status),
            clicked=clicked,
        )
        await past.kept(row)
        await past.kept(MessageRow(**row.model_dump(exclude={"id", "broadcast_id"}), broadcast_id=new_id()))
    async with database.read() as session:
        a, b = by_name(await broadcast_tallies(session, broadcast))
        assert await message_tallies(session, Cohort("broadcast")) == []
    assert (a.name, a.reached, a.delivered, a.clicked.people) == ("a", 2, 1, 1)
    assert (b.name, b.reached, b.bounced, b.clicked.people) == ("b", 1, 1, 0)


async def test_steps_stand_in_the_order_in_which_contacts_come_to_them(database: Database, past: Past) -> None:
    for number in range(20):
        enrollment = await past.enrolled(NOON + number * timedelta(days=20))
        came = [("a-tip", 50), ("welcome", 1), ("offer", 30 + 5 * number)]
        for step, hours in came[: 3 if number < 3 else 1]:
            await past.message(enrollment, step, MessageStatus.SENT, after=hours * HOUR)
    async with database.read() as session:
        assert await in_order(session, EVERYBODY, ["a-tip", "offer", "welcome"]) == ["welcome", "offer", "a-tip"]
        assert await in_order(session, EVERYBODY, []) == []


async def test_time_to_the_goal_is_a_median_and_nine_tenths(database: Database, past: Past) -> None:
    for hours in range(1, 11):
        await past.enrolled(NOON - timedelta(days=hours), exit=Exit.GOAL, after=hours * HOUR)
    await past.enrolled(exit=Exit.COMPLETED, after=100 * HOUR)
    await past.enrolled()
    async with database.read() as session:
        assert await goal_times(session, EVERYBODY, 8 * HOUR) == (Times(count=10, median=5 * HOUR, p90=9 * HOUR), 2)
        of_two = Cohort(FLOW, day_of(NOON) - timedelta(days=2), day_of(NOON))
        assert await goal_times(session, of_two, HOUR) == (Times(count=2, median=HOUR, p90=2 * HOUR), 1)
        assert await goal_times(session, Cohort("onboarding"), HOUR) == (Times(), 0)


async def test_who_is_held_is_counted_once_whatever_holds_them(database: Database, past: Past) -> None:
    rows = [await past.enrolled() for _ in range(5)]
    gone = await past.enrolled(exit=Exit.COMPLETED, after=HOUR)
    elsewhere = await past.enrolled(flow="onboarding")
    async with database.write() as session:
        for row in (rows[0], rows[1], gone, elsewhere):
            await hold(session, Scope.ENROLLMENT, row.id)
        for row in (rows[1], rows[2]):
            await hold(session, Scope.CONTACT, row.contact_id)
    async with database.write() as session:
        assert await count_held(session, EVERYBODY) == 3
        assert await count_held(session, Cohort(FLOW, before=day_of(NOON))) == 0
        await hold(session, Scope.FLOW, FLOW)
        assert await count_held(session, EVERYBODY) == 5
        assert await count_held(session, Cohort("onboarding")) == 1


async def test_what_people_were_asked_is_counted_with_how_soon_they_answered(database: Database, past: Past) -> None:
    def asked_at(enrollment: EnrollmentRow, step: str, status: str, hours: int | None) -> dict[str, Any]:
        return {
            "enrollment_id": enrollment.id,
            "contact_id": enrollment.contact_id,
            "flow": enrollment.flow,
            "step": step,
            "status": status,
            "created_at": NOON,
            "closed_at": NOON + hours * HOUR if hours is not None else None,
        }

    for status, hours, build in (
        ("approved", 1, OLD),
        ("rejected", 2, OLD),
        ("approved", 10, NEW),
        ("withdrawn", 99, NEW),
        ("pending", None, NEW),
    ):
        enrollment = await past.enrolled(build=build)
        approval = asked_at(enrollment, "approve", status, hours)
        await past.kept(ApprovalRow(**approval, subject="", content_hash="x", expires_at=NOON + 5 * HOUR))
    for status, hours, due in (("done", 4, 1), ("open", None, 1), ("open", None, 9), ("overdue", 3, 1)):
        task = asked_at(await past.enrolled(), "call", status, hours)
        await past.kept(TaskRow(**task, subject="", due_at=NOON + due * HOUR))
    enrollment = await past.enrolled()
    for number, (status, person_id, hours) in enumerate(
        (("declined", "p", 1), ("drained", None, 2), ("lapsed", "q", 3), ("accepted", "p", 5), ("queued", None, None))
    ):
        lead = asked_at(enrollment, "assign", status, hours)
        await past.kept(AssignmentRow(**lead, number=number, person_id=person_id))
    approve, assign, call = await asked(database, at=NOON + 6 * HOUR)
    assert (approve.kind, approve.step, approve.asked, approve.open, approve.overdue) == (
        "approval",
        "approve",
        5,
        1,
        1,
    )
    assert approve.outcomes == {"approved": 2, "rejected": 1, "withdrawn": 1}
    assert approve.answered == Times(count=3, median=2 * HOUR, p90=10 * HOUR)
    assert (call.kind, call.asked, call.open, call.overdue) == ("task", 4, 2, 1)
    assert (call.outcomes, call.answered) == ({"done": 1, "overdue": 1}, Times(count=1, median=4 * HOUR, p90=4 * HOUR))
    assert (assign.kind, assign.asked, assign.open, assign.queued) == ("lead", 3, 0, 1)
    assert assign.outcomes == {"declined": 1, "lapsed": 1, "accepted": 1}
    assert assign.answered == Times(count=2, median=HOUR, p90=5 * HOUR)
    (old,) = await asked(database, Cohort(FLOW, build=OLD))
    assert (old.asked, old.answered.median) == (2, HOUR)
    assert await asked(database, Cohort(FLOW, before=day_of(NOON))) == []
    for question in (approve, call, assign):
        assert question.asked == question.open + sum(question.outcomes.values())


async def test_counting_a_ledger_reads_no_row_of_it(database: Database, past: Past) -> None:
    await past.message(await past.enrolled(), "tip", MessageStatus.SENT)
    async with database.read() as session:
        connection = await session.connection()
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:  # which would rather scan a table of one row
            await connection.exec_driver_sql("SET enable_seqscan = off")
            await connection.exec_driver_sql("SET enable_bitmapscan = off")
        november = Cohort(FLOW, date(2026, 11, 1), date(2026, 12, 1), OLD)
        plans = [
            await _plan(connection, counting, cohort, session)
            for counting in (message_tallies, reason_tallies)
            for cohort in (EVERYBODY, november)
        ]
    for plan in plans:
        if sqlite:
            assert "COVERING INDEX ix_messages_" in plan
            assert "TEMP B-TREE" not in plan
        else:
            assert "Index Only Scan" in plan
            assert "Seq Scan" not in plan
            assert not any("Index Scan" in line for line in plan.splitlines())


async def _plan(connection: Any, counting: Any, cohort: Cohort, session: AsyncSession) -> str:
    """How the database would run the one statement of a count."""
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        said.append((statement, parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    await counting(session, cohort)
    event.remove(connection.sync_connection, "before_cursor_execute", note)
    ((statement, parameters),) = said
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    found = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
    return "\n".join(str(row[-1]) for row in found)
