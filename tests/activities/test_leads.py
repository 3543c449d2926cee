"""What reps and managers are told of a lead, and who owns it in the end, also when an attempt fails midway."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.leads import AcceptLead, LeadActivities, OfferLead
from domain.crm import AppliedChange, CrmChange, CrmUnavailable
from domain.messages import EmailMessage, ProviderUnavailable, Receipt
from domain.questions import Assigned, Offer
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox, OutboxMessage
from store.crm import DatabaseCrm
from store.database import Database
from store.people_tables import AnswerRow
from store.tables import ContactRow, EnrollmentRow
from tests.activities.crashing import HARD_EXIT
from tests.activities.lead_attempt import SLA, Attempt, CrashPoint, lead_activities, run
from tests.store.sales import MONDAY, STEP, SUNDAY, Sales

CRASHES: tuple[CrashPoint, ...] = get_args(CrashPoint)


class FlakyMailer(OutboxMailer):
    """Takes no mail while it is down."""

    down = False

    def send(self, message: EmailMessage) -> Receipt:
        if self.down:
            raise ProviderUnavailable("down")
        return super().send(message)


class FlakyCrm(DatabaseCrm):
    """Changes the contact, and then cannot tell others while it is down."""

    down = False

    async def apply(self, change: CrmChange) -> AppliedChange:
        applied = await super().apply(change)
        if self.down:
            raise CrmUnavailable("down")
        return applied


class Desk:
    """The activities as a run calls them, and what is in the inboxes."""

    def __init__(self, activities: LeadActivities, mailer: FlakyMailer, crm: FlakyCrm, outbox: Path) -> None:
        self.activities = activities
        self.mailer = mailer
        self.crm = crm
        self.now = MONDAY
        self._outbox = Outbox(outbox)

    async def offer(self, lead: EnrollmentRow, asking: int = 1, **order: Any) -> Offer:
        """`asking` counts the times that the run asks."""
        asked = OfferLead(enrollment_id=lead.id, step=STEP, part=f"{STEP}/offer-{asking}", respond_within=SLA, **order)
        return await ActivityEnvironment().run(self.activities.offer, asked)

    async def accept(self, lead: EnrollmentRow, *answers: str) -> Assigned:
        order = AcceptLead(enrollment_id=lead.id, step=STEP, answers=list(answers))
        return await ActivityEnvironment().run(self.activities.accept, order)

    def mails(self) -> list[OutboxMessage]:
        """Oldest first."""
        read = [self._outbox.read(summary.message_id) for summary in reversed(self._outbox.page(50))]
        return [mail for mail in read if mail]

    def recipients(self) -> list[str]:
        return [mail.to.partition("@")[0].rpartition("<")[2] for mail in self.mails()]


@pytest.fixture
def sales(database: Database) -> Sales:
    return Sales(database)


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    mailer, crm = FlakyMailer(tmp_path / "outbox"), FlakyCrm(database)
    times: list[Desk] = []
    async with lead_activities(database, mailer, lambda: times[0].now, crm) as activities:
        times.append(Desk(activities, mailer, crm, tmp_path / "outbox"))
        yield times[0]


async def owner(database: Database, lead: EnrollmentRow) -> str | None:
    async with database.read() as session:
        return (await session.get_one(ContactRow, lead.contact_id)).owner_id


async def test_a_rep_is_written_to_once_and_has_their_working_time_to_respond(sales: Sales, desk: Desk) -> None:
    ana = await sales.rep("ana", locale="es-CL")
    lead = await sales.lead(company="Babbage Engines", region="Valparaíso", country="CL")
    desk.now = datetime.fromisoformat("2026-11-20T16:00:00Z")  # on Friday, two hours before they leave
    offer = await desk.offer(lead)
    assert offer == Offer(number=1, person_id=ana, respond_within=timedelta(days=2, hours=19))
    assert await desk.offer(lead) == offer
    (mail,) = desk.mails()
    (row,) = await sales.rows(lead)
    assert mail.to == "ana <ana@example.com>"
    assert mail.subject == "Nuevo lead para ti: Babbage Engines (Valparaíso, CL)"
    assert f"https://example.com/lead/{row.id}/{ana}" in mail.text
    assert "23 de noviembre" in mail.text


async def test_time_to_respond_begins_when_the_rep_is_written_to(sales: Sales, desk: Desk) -> None:
    await sales.rep("ana")
    lead = await sales.lead()
    desk.mailer.down = True
    with pytest.raises(ApplicationError, match="down"):
        await desk.offer(lead)
    desk.mailer.down = False
    desk.now = MONDAY + timedelta(hours=1)
    assert (await desk.offer(lead)).respond_within == SLA
    (row,) = await sales.rows(lead)
    assert row.respond_by == MONDAY + timedelta(hours=1) + SLA
    desk.now = MONDAY + timedelta(hours=2)
    assert (await desk.offer(lead)).respond_within == SLA
    assert desk.recipients() == ["ana"]


async def test_who_declines_is_followed_by_the_next(sales: Sales, desk: Desk) -> None:
    await sales.rep("ana")
    bo = await sales.rep("bo")
    lead = await sales.lead()
    first = await desk.offer(lead)
    second = await desk.offer(lead, 2, number=first.number, declined=True)
    assert (second.number, second.person_id) == (2, bo)
    assert await sales.statuses(lead) == ["declined", "offered"]
    assert desk.recipients() == ["ana", "bo"]


async def test_managers_are_told_of_a_lead_that_nobody_can_take_and_again_when_it_still_waits(
    sales: Sales, desk: Desk
) -> None:
    managers = [await sales.rep(name, roles=["sales_manager"]) for name in ("max", "mia")]
    lead = await sales.lead()
    waiting = await desk.offer(lead)
    assert waiting == await desk.offer(lead) == Offer(number=1)
    assert desk.recipients() == ["max", "mia"]
    assert await desk.offer(lead, 2) == waiting
    assert desk.recipients() == ["max", "mia"] * 2
    (row,) = await sales.rows(lead)
    assert f"https://example.com/queue/{row.id}/{managers[0]}" in desk.mails()[0].text


async def test_a_lead_without_anybody_to_tell_waits_all_the_same(
    sales: Sales, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lead = await sales.lead()
    assert await desk.offer(lead) == Offer(number=1)
    assert "give somebody the role sales_manager" in caplog.text
    assert desk.mails() == []


async def test_a_lead_out_of_the_queue_is_offered_like_any_other(sales: Sales, desk: Desk) -> None:
    boss = await sales.rep("boss", roles=["sales", "sales_manager"])
    lead = await sales.lead()
    desk.now = SUNDAY
    assert (await desk.offer(lead)).person_id is None
    assert await sales.drain() == [lead.id]
    (_, row) = await sales.rows(lead)
    assert (row.respond_by, row.told_at) == (None, None)
    desk.now = MONDAY
    # Also at another attempt of the part that has told them, as the manager, of a lead without anybody.
    for asking in (1, 2):
        offer = await desk.offer(lead, asking)
        assert offer == Offer(number=2, person_id=boss, respond_within=SLA)
    subjects = [mail.subject.partition(":")[0] for mail in desk.mails()]
    assert subjects == ["Lead without an owner", "New lead for you", "New lead for you"]


async def test_who_is_given_a_lead_by_hand_owns_it_and_is_told(sales: Sales, desk: Desk) -> None:
    boss, ana = await sales.rep("boss", roles=["sales_manager"]), await sales.rep("ana", working_hours={})
    lead = await sales.lead()
    await desk.offer(lead)
    (queued,) = await sales.rows(lead)
    await sales.give_by_hand(queued, ana, boss)
    assert await desk.offer(lead, 2) == Offer(number=2, person_id=ana, accepted=True)
    assert await desk.accept(lead) == Assigned(status="accepted", person_id=ana, offers=1)
    assert await owner(sales.database, lead) == ana
    assert desk.mails()[-1].subject.startswith("A lead of yours: ")


async def test_who_accepts_becomes_the_owner_and_what_they_answered_counts(sales: Sales, desk: Desk) -> None:
    await sales.rep("ana")
    bo = await sales.rep("bo")
    lead = await sales.lead()
    await desk.offer(lead)
    offer = await desk.offer(lead, 2, number=1)
    (_, row) = await sales.rows(lead)
    answer = AnswerRow(question_id=row.id, person_id=bo, choice="accept")
    async with sales.database.write() as session:
        session.add(answer)
    desk.crm.down = True
    with pytest.raises(ApplicationError, match="down") as unavailable:
        await desk.accept(lead, answer.id)
    assert unavailable.value.type == "CrmUnavailable"
    desk.crm.down = False
    for _ in range(2):
        assert await desk.accept(lead, answer.id) == Assigned(status="accepted", person_id=bo, offers=2)
    assert await owner(sales.database, lead) == offer.person_id == bo
    assert await sales.statuses(lead) == ["lapsed", "accepted"]
    async with sales.database.read() as session:
        assert (await session.get_one(AnswerRow, answer.id)).status == "taken"


async def test_nobody_is_offered_the_lead_of_an_enrollment_that_leaves(sales: Sales, desk: Desk) -> None:
    await sales.rep("ana")
    lead = await sales.lead()
    await desk.offer(lead)
    await sales.end(lead)
    for attempt in (desk.offer(lead, 2, number=1), desk.accept(lead)):
        with pytest.raises(ApplicationError) as leaving:
            await attempt
        assert (leaving.value.type, leaving.value.non_retryable) == ("EnrollmentLeaving", False)
    assert await sales.statuses(lead) == ["withdrawn"]
    assert await owner(sales.database, lead) is None
    assert desk.recipients() == ["ana"]


def crashed(attempt: Attempt, crash: CrashPoint) -> bool:
    """Make one attempt in a process of its own, and say whether it exited hard."""
    argument = attempt.model_copy(update={"crash": crash}).model_dump_json()
    command = [sys.executable, "-m", "tests.activities.lead_attempt", argument]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == HARD_EXIT


@pytest.mark.parametrize("crash", CRASHES)
async def test_an_attempt_that_dies_is_followed_by_one_offer_and_one_mail(
    sales: Sales, sqlite_url: str, tmp_path: Path, crash: CrashPoint
) -> None:
    ana = await sales.rep("ana")
    await sales.rep("bo")
    lead = await sales.lead()
    attempt = Attempt(enrollment_id=lead.id, database_url=sqlite_url, outbox=tmp_path / "outbox")
    assert crashed(attempt, crash)
    for _ in range(2):
        assert await run(attempt) == Offer(number=1, person_id=ana, respond_within=SLA)
    assert await sales.statuses(lead) == ["offered"]
    assert [mail.to for mail in Outbox(attempt.outbox).page(10)] == ["ana <ana@example.com>"]
