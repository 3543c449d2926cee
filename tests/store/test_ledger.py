from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from domain.circuit import Send
from domain.flows import Exit, Outcome
from domain.messages import MessageStatus, Receipt
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.ledger import Verdict, doubt_abandoned, settle
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, now

RECEIPT = Receipt(provider="outbox", provider_message_id="p-1")


@pytest.fixture
async def enrollment(database: Database, ada: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow="onboarding", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))


async def sending(database: Database, enrollment: EnrollmentRow, handovers: int = 1) -> MessageRow:
    row = MessageRow(
        flow=enrollment.flow,
        enrollment_id=enrollment.id,
        contact_id=enrollment.contact_id,
        step="welcome",
        status=MessageStatus.SENDING,
        handovers=handovers,
    )
    async with database.write() as session:
        session.add(row)
    return row


async def judge(database: Database, row: MessageRow, status: MessageStatus, handover: int = 1) -> str:
    receipt = RECEIPT if status is MessageStatus.SENT else None
    verdict = Verdict(
        message_id=row.id,
        handover=handover,
        provider="sendgrid",
        permission=Send(generation=0),
        status=status,
        receipt=receipt,
    )
    async with database.write() as session:
        return (await settle(session, verdict)).status


async def test_an_enrollments_step_has_one_row(database: Database, enrollment: EnrollmentRow) -> None:
    await sending(database, enrollment)
    with pytest.raises(IntegrityError):
        await sending(database, enrollment)


async def test_a_receipt_settles_a_message_for_good(database: Database, enrollment: EnrollmentRow) -> None:
    row = await sending(database, enrollment)
    assert await judge(database, row, MessageStatus.SENT) == "sent"
    for late in (MessageStatus.READY, MessageStatus.UNCONFIRMED, MessageStatus.REJECTED):
        assert await judge(database, row, late) == "sent"
    async with database.read() as session:
        settled = await session.get_one(MessageRow, row.id)
    assert settled.provider_message_id == "p-1"
    assert settled.sent_at is not None


async def test_a_late_receipt_settles_a_doubt(database: Database, enrollment: EnrollmentRow) -> None:
    row = await sending(database, enrollment)
    assert await judge(database, row, MessageStatus.UNCONFIRMED) == "unconfirmed"
    assert await judge(database, row, MessageStatus.READY) == "unconfirmed"
    assert await judge(database, row, MessageStatus.SENT) == "sent"


async def test_a_refusal_gives_back_its_own_handover_only(database: Database, enrollment: EnrollmentRow) -> None:
    row = await sending(database, enrollment, handovers=2)
    assert await judge(database, row, MessageStatus.READY, handover=1) == "sending"
    assert await judge(database, row, MessageStatus.READY, handover=2) == "ready"


async def test_a_handover_that_nobody_will_report_on_is_listed_as_a_doubt(
    database: Database, enrollment: EnrollmentRow
) -> None:
    row = await sending(database, enrollment)

    async def doubted(untouched_since: datetime) -> int:
        async with database.write() as session:
            return await doubt_abandoned(session, at_most=10, untouched_since=untouched_since)

    later = now() + timedelta(minutes=1)
    assert await doubted(later) == 0, "the next attempt of an active enrollment decides itself"
    async with database.write() as session:
        await record_outcome(session, enrollment.id, Outcome(exit=Exit.CANCELLED, step="welcome"))
    assert await doubted(now() - timedelta(minutes=1)) == 0
    assert await doubted(later) == 1
    async with database.read() as session:
        assert (await session.get_one(MessageRow, row.id)).status == "unconfirmed"
