"""Whom an approval or a task reaches when those who are meant are away, inactive, or not there at all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from temporalio.testing import ActivityEnvironment

from activities.approvals import ApprovalActivities, AskForApproval
from activities.handover import Handover
from activities.outgoing import Outgoing
from activities.people_mail import PeopleMail
from activities.tasks import OpenTask, TaskActivities
from domain.people import PersonProfile
from domain.questions import ApprovalPlan, Asked, NudgeKind, Stage
from emails.templates import Templates
from emails.words import Words
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox
from runtime.settings import Settings
from store.approvals import delegate
from store.database import Database
from store.people import update_person
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, PersonRow, TaskRow
from store.tables import ContactRow, EnrollmentRow, new_id
from tests.integrations.crm_contract import enrolled

OWNER = Asked(lead_owner=True)
BOSSES = Asked(role="boss")


class Desk:
    """The activities as a run calls them, the team, and the inboxes."""

    def __init__(self, database: Database, mail: PeopleMail, outbox: Path) -> None:
        self.database = database
        self._approvals = ApprovalActivities(database, mail, lambda request: f"https://example.com/{request}")
        self._tasks = TaskActivities(database, mail, lambda task, person: f"https://example.com/{task}/{person}")
        self._outbox = Outbox(outbox)

    async def person(self, name: str, *roles: str, **known: Any) -> str:
        row = PersonRow(email=f"{name}@example.com", name=name, roles=list(roles), locale="en", time_zone="UTC")
        async with self.database.write() as session:
            session.add(row.sqlmodel_update(known))
        return row.id

    async def away(self, person_id: str, delegate_id: str | None = None) -> None:
        absence = {"first_day": date(2000, 1, 1), "last_day": date(2100, 1, 1), "delegate": delegate_id}
        await self.change(person_id, absences=[absence])

    async def change(self, person_id: str, **known: Any) -> None:
        changes = PersonProfile.model_validate({"email": "x@example.com", "name": "x", **known})
        changes.model_fields_set.difference_update({"email", "name"})
        async with self.database.write() as session:
            await update_person(session, person_id, changes)

    async def owned_by(self, lead: EnrollmentRow, person_id: str | None) -> None:
        async with self.database.write() as session:
            (await session.get_one(ContactRow, lead.contact_id)).owner_id = person_id

    async def ask(self, lead: EnrollmentRow, asked: Asked, why: NudgeKind = NudgeKind.ASK, **plan: Any) -> list[str]:
        delegate_id = plan.pop("delegate_id", None)
        order = AskForApproval(
            delegate_id=delegate_id,
            enrollment_id=lead.id,
            step="approve",
            subject="An offer",
            facts={},
            content_hash="0",
            plan=ApprovalPlan(stages=(Stage(asks=(asked,)),), **plan),
            part=f"approve/{why}-{delegate_id}",
            why=why,
        )
        return (await ActivityEnvironment().run(self._approvals.ask, order)).asked

    async def requests(self) -> list[tuple[str, str | None, str, str | None]]:
        """Who is asked, as what, why, and who answers in their place."""
        async with self.database.read() as session:
            rows = await session.exec(select(ApprovalRequestRow).order_by(col(ApprovalRequestRow.id)))
            return [(row.person_id, row.role, row.reason, row.delegated_to) for row in rows]

    async def give_task(self, lead: EnrollmentRow, to: Asked, why: NudgeKind = NudgeKind.ASK) -> list[str]:
        order = OpenTask(
            enrollment_id=lead.id,
            step="call",
            subject="Call",
            to=to,
            due=timedelta(days=1),
            part=f"call/{why}",
            why=why,
        )
        return (await ActivityEnvironment().run(self._tasks.open, order)).asked

    async def task(self) -> TaskRow:
        async with self.database.read() as session:
            return (await session.exec(select(TaskRow))).one()

    async def give_away(self, lead: EnrollmentRow, person_id: str, delegate_id: str) -> list[str]:
        """Somebody gives their decision to somebody else, who is told before anybody notes it; answer who is asked."""
        async with self.database.write() as session:
            approval = (await session.exec(select(ApprovalRow))).one()
            answer = AnswerRow(question_id=approval.id, choice="delegate", person_id=person_id, delegate_id=delegate_id)
            session.add(answer)
        return await self.ask(lead, BOSSES, NudgeKind.DELEGATE, delegate_id=delegate_id)

    def in_place_of(self) -> list[str]:
        """What the newest email says of those whose decision its reader has."""
        newest = self._outbox.read(self._outbox.page(1)[0].message_id)
        return re.findall(r"In place of: (.*)", newest.text if newest else "")

    def recipients(self) -> list[str]:
        return [mail.to.partition("@")[0].rpartition("<")[2] for mail in reversed(self._outbox.page(50))]


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates.load()


@pytest.fixture
async def desk(database: Database, templates: Templates, tmp_path: Path) -> AsyncIterator[Desk]:
    with ThreadPoolExecutor(1) as threads:
        handover = Handover(database, Outgoing(OutboxMailer(tmp_path / "outbox")), threads)
        mail = PeopleMail(handover, templates, Words.load(), Settings().sender)
        yield Desk(database, mail, tmp_path / "outbox")


@pytest.fixture
async def lead(database: Database) -> EnrollmentRow:
    return await enrolled(database)


# -- Delegates of the absent ------------------------------------------------------------------------------------------


async def test_absent_delegates_are_followed_to_somebody_who_is_there(desk: Desk, lead: EnrollmentRow) -> None:
    ana, bo, cy = [await desk.person(name) for name in ("ana", "bo", "cy")]
    await desk.away(ana, bo)
    await desk.away(bo, cy)
    for _ in range(2):
        assert await desk.ask(lead, Asked(person_id=ana)) == [cy]
        assert await desk.requests() == [(ana, None, "asked", cy), (cy, None, "delegated", None)]
    assert desk.recipients() == ["cy"]


@pytest.mark.parametrize("why_not", ["inactive", "away herself", "had the contact enrolled", "delegates back"])
async def test_who_has_nobody_in_their_place_is_asked_all_the_same(
    desk: Desk, lead: EnrollmentRow, why_not: str
) -> None:
    ana, bo, cy = [await desk.person(name) for name in ("ana", "bo", "cy")]
    await desk.away(ana, bo)
    await desk.away(bo, cy)
    if why_not == "inactive":
        await desk.change(cy, active=False)
    elif why_not == "had the contact enrolled":
        async with desk.database.write() as session:
            (await session.get_one(EnrollmentRow, lead.id)).requested_by = cy
    else:
        await desk.away(cy, ana if why_not == "delegates back" else None)
    assert await desk.ask(lead, Asked(person_id=ana)) == [ana]
    assert await desk.requests() == [(ana, None, "asked", None)]
    assert desk.recipients() == ["ana"]


async def test_two_who_are_away_and_delegate_to_each_other_are_both_asked(desk: Desk, lead: EnrollmentRow) -> None:
    ana, bo = [await desk.person(name, "boss") for name in ("ana", "bo")]
    await desk.away(ana, bo)
    await desk.away(bo, ana)
    assert await desk.ask(lead, BOSSES) == [ana, bo]
    assert [delegated_to for *_, delegated_to in await desk.requests()] == [None, None]


async def test_the_first_absence_of_today_that_names_a_delegate_counts(desk: Desk, lead: EnrollmentRow) -> None:
    ana, bo = [await desk.person(name) for name in ("ana", "bo")]
    days = {"first_day": "2000-01-01", "last_day": "2100-01-01"}
    await desk.change(ana, absences=[days, {**days, "delegate": bo}])
    assert await desk.ask(lead, Asked(person_id=ana)) == [bo]


async def test_nobody_stands_in_for_who_has_given_the_decision_to_them(desk: Desk, lead: EnrollmentRow) -> None:
    """Otherwise each of two would have it from the other, and nobody could decide."""
    ana, bo = await desk.person("ana"), await desk.person("bo", "boss")
    escalating: dict[str, Any] = {"escalate_to": BOSSES, "escalate_after": timedelta(days=1)}
    assert await desk.ask(lead, Asked(person_id=ana), **escalating) == [ana]
    async with desk.database.write() as session:
        await delegate(session, (await session.exec(select(ApprovalRow))).one(), ana, bo)
    await desk.away(bo, ana)
    assert await desk.ask(lead, Asked(person_id=ana), NudgeKind.ESCALATE, **escalating) == [bo]
    assert [delegated_to for *_, delegated_to in await desk.requests()] == [bo, None]


async def test_a_delegate_reads_in_whose_place_they_are_asked(desk: Desk, lead: EnrollmentRow) -> None:
    bo, ana = [await desk.person(name, "boss") for name in ("bo", "ana")]
    cy, dov = [await desk.person(name) for name in ("cy", "dov")]
    await desk.away(ana, cy)
    await desk.ask(lead, BOSSES)
    assert desk.recipients() == ["bo", "cy"]
    assert desk.in_place_of() == ["ana"]
    await desk.give_away(lead, bo, dov)
    assert desk.recipients() == ["bo", "cy", "dov"]
    assert desk.in_place_of() == ["bo"]


@pytest.mark.parametrize("absent", [True, False])
async def test_who_is_asked_themselves_and_is_a_delegate_too_is_written_once(
    desk: Desk, lead: EnrollmentRow, absent: bool
) -> None:
    ana, bo = [await desk.person(name, "boss") for name in ("ana", "bo")]
    if absent:
        await desk.away(ana, bo)
    await desk.ask(lead, BOSSES)
    if not absent:
        assert await desk.give_away(lead, ana, bo) == [bo]
    assert desk.recipients() == (["bo"] if absent else ["ana", "bo"])
    assert desk.in_place_of() == (["ana"] if absent else [])


# -- Nobody is meant any more -----------------------------------------------------------------------------------------


async def nobody(desk: Desk, lead: EnrollmentRow) -> Asked:
    return OWNER


async def an_owner_who_left(desk: Desk, lead: EnrollmentRow) -> Asked:
    await desk.owned_by(lead, await desk.person("gone", active=False))
    return OWNER


async def somebody_who_left(desk: Desk, lead: EnrollmentRow) -> Asked:
    return Asked(person_id=await desk.person("gone", active=False))


async def somebody_unknown(desk: Desk, lead: EnrollmentRow) -> Asked:
    return Asked(person_id=new_id())


GONE = pytest.mark.parametrize("meant", [nobody, an_owner_who_left, somebody_who_left, somebody_unknown])


@GONE
async def test_the_task_of_nobody_is_for_any_sales_manager(desk: Desk, lead: EnrollmentRow, meant: Any) -> None:
    managers = [await desk.person(name, "sales_manager") for name in ("max", "mia")]
    await desk.person("rep", "sales")
    assert await desk.give_task(lead, await meant(desk, lead)) == managers
    task = await desk.task()
    assert (task.person_id, task.role) == (None, "sales_manager")
    assert desk.recipients() == ["max", "mia"]


@GONE
async def test_the_approval_of_nobody_is_asked_of_the_sales_managers(
    desk: Desk, lead: EnrollmentRow, meant: Any
) -> None:
    max_ = await desk.person("max", "sales_manager")
    assert await desk.ask(lead, await meant(desk, lead)) == [max_]
    assert await desk.requests() == [(max_, "sales_manager", "asked", None)]


async def test_the_task_of_a_rep_who_leaves_goes_to_the_managers_with_the_next_reminder(
    desk: Desk, lead: EnrollmentRow
) -> None:
    rep, boss = await desk.person("rep", "sales"), await desk.person("boss", "sales_manager")
    await desk.owned_by(lead, rep)
    assert await desk.give_task(lead, OWNER) == [rep]
    assert ((await desk.task()).person_id, (await desk.task()).role) == (rep, None)
    await desk.change(rep, active=False)
    assert await desk.give_task(lead, OWNER, NudgeKind.REMIND) == [boss]
    assert ((await desk.task()).person_id, (await desk.task()).role) == (None, "sales_manager")
    assert desk.recipients() == ["rep", "boss"]


async def test_a_task_for_a_role_is_for_nobody_else(desk: Desk, lead: EnrollmentRow) -> None:
    await desk.person("boss", "sales_manager")
    assert await desk.give_task(lead, Asked(role="marketing")) == []
    assert (await desk.task()).role == "marketing"
