from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.lead_rules import Strategy
from store import assignments
from store.assignments import NotAManager, NotInQueue, UnknownPerson, mark_told, not_told, told_since
from store.database import Database
from store.enrollments import request_cancel
from store.holds import Scope, hold, resume
from store.lead_queue import page_of_queue
from store.people_tables import AssignmentRow
from store.tables import new_id, now
from tests.store.sales import MONDAY, SUNDAY, Sales


@pytest.fixture
def sales(database: Database) -> Sales:
    return Sales(database)


async def to_be_told(sales: Sales, *flows: str) -> list[str]:
    async with sales.database.read() as session:
        return [row.enrollment_id for row in await not_told(session, flows or ["onboarding"], 10)]


async def test_the_queue_drains_first_in_first_out(sales: Sales) -> None:
    await sales.rep("ana", capacity=3)
    leads = await sales.leads(5)
    for lead in leads:
        await sales.queue(lead)
    assert await sales.drain(SUNDAY) == []
    assert await sales.drain() == [lead.id for lead in leads[:3]]
    assert await sales.drain() == []
    await sales.end(leads[1])
    assert await sales.drain() == [leads[3].id]
    assert await sales.statuses(leads[3]) == ["drained", "offered"]
    assert await sales.statuses(leads[4]) == ["queued"]


async def test_a_new_lead_overtakes_nobody_who_waits(sales: Sales) -> None:
    ana = await sales.rep("ana", capacity=2)
    first, second, new = await sales.leads(3)
    await sales.queue(first)
    await sales.queue(second)
    assert (await sales.offer(new)).status == "queued"
    for lead in (first, second):
        assert (await sales.rows(lead))[-1].person_id == ana


async def test_a_lead_that_nobody_can_take_holds_up_no_younger_one(sales: Sales) -> None:
    spanish = await sales.rep("ana", languages=["es"], capacity=1)
    english = await sales.rep("bo", languages=["en"], capacity=5)
    first, second = await sales.leads(2, locale="es")
    third, new = await sales.leads(2, locale="en")
    for lead in (first, second, third):
        await sales.queue(lead)
    assert (await sales.offer(new)).person_id == english
    assert await sales.loads() == {spanish: 1, english: 2}
    assert await sales.statuses(second) == ["queued"]


async def test_a_lead_that_came_back_to_the_queue_keeps_its_place(sales: Sales) -> None:
    await sales.rep("ana", capacity=1)
    first, second = await sales.leads(2)
    for lead in (first, second, first):
        await sales.queue(lead)
    assert await sales.drain() == [first.id]


async def test_more_than_one_transaction_gives_away_is_left_and_the_new_one_waits_behind(
    sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assignments, "DRAINED_AT_ONCE", 2)
    await sales.rep("ana")
    leads = await sales.leads(3)
    for lead in leads:
        await sales.queue(lead)
    await sales.rules(Strategy.ROUND_ROBIN)
    new = await sales.offer(await sales.lead())
    assert (new.status, new.rules_version) == ("queued", 1)
    assert [reason["verdict"] for reason in new.reasons] == ["in_turn"]
    assert await sales.drain(limit=2) == [leads[2].id, new.enrollment_id]


async def test_leads_that_are_held_or_leaving_stay_where_they_are(sales: Sales) -> None:
    await sales.rep("ana")
    held, leaving, contact_held, free = await sales.leads(4)
    for lead in (held, leaving, contact_held, free):
        await sales.queue(lead)
    async with sales.database.write() as session:
        await hold(session, Scope.ENROLLMENT, held.id)
        await hold(session, Scope.CONTACT, contact_held.contact_id)
        await request_cancel(session, leaving.id)
    assert await sales.drain() == [free.id]
    async with sales.database.write() as session:
        await resume(session, Scope.ENROLLMENT, held.id)
    assert await sales.drain() == [held.id]


async def test_leads_that_end_while_the_queue_drains_leave_nothing_open(sales: Sales) -> None:
    await sales.rep("ana", capacity=20)
    leads = await sales.leads(30)
    for lead in leads:
        await sales.queue(lead)
    ending = leads[::2]
    await asyncio.gather(*(sales.end(lead) for lead in ending), *(sales.drain(limit=5) for _ in range(6)))
    await sales.drain()
    for lead in ending:
        assert set(await sales.statuses(lead)) <= {"drained", "withdrawn"}
    assert (await sales.loads()).total() == len(leads) - len(ending)


async def test_runs_are_told_once_of_what_came_out_of_the_queue(sales: Sales) -> None:
    await sales.rep("ana")
    began = now()
    first, second, ended = await sales.leads(3)
    for lead in (first, second, ended):
        await sales.queue(lead)
    await sales.offer(await sales.lead(), at=MONDAY)
    await sales.end(ended)
    assert await to_be_told(sales) == [first.id, second.id]
    assert await to_be_told(sales, "another-flow") == []
    async with sales.database.write() as session:
        await mark_told(session, (await sales.rows(first))[-1].id)
    # A run that comes by itself knows too.
    await sales.offer(second)
    assert await to_be_told(sales) == []
    async with sales.database.read() as session:
        assert [row.number for row in await told_since(session, first.id, began)] == [2]
        assert await told_since(session, first.id, now()) == []
    # An offer that was made to begin with is not out of the queue.
    direct = await sales.lead()
    await sales.offer(direct)
    async with sales.database.read() as session:
        assert await told_since(session, direct.id, began) == []


async def test_a_manager_gives_a_lead_by_hand_whatever_the_rules_say(sales: Sales) -> None:
    boss = await sales.rep("boss", roles=["sales_manager"])
    ana = await sales.rep("ana", capacity=0)
    lead = await sales.lead()
    queued = await sales.queue(lead)
    await sales.rules(Strategy.ROUND_ROBIN)
    given = await sales.give_by_hand(queued, ana, boss)
    assert (given.person_id, given.status, given.number) == (ana, "accepted", 2)
    assert (queued.rules_version, given.rules_version) == (0, 1)
    (reason,) = given.reasons
    assert (reason["verdict"], reason["person"], reason["by"]) == ("by_hand", ana, boss)
    assert await sales.statuses(lead) == ["drained", "accepted"]
    assert await sales.loads() == {ana: 1}
    assert await to_be_told(sales) == [lead.id]
    assert (await sales.give_by_hand(queued, ana, boss)).id == given.id
    assert (await sales.offer(lead)).id == given.id
    with pytest.raises(NotInQueue):
        await sales.give_by_hand(queued, boss, boss)


async def test_what_is_not_in_the_queue_cannot_be_given_by_hand(sales: Sales) -> None:
    ana = await sales.rep("ana", roles=["sales", "sales_manager"])
    gone = await sales.rep("gone", active=False)
    lead, ended = await sales.leads(2)
    of_ended = await sales.queue(ended)
    await sales.end(ended)
    of_nobody = AssignmentRow(enrollment_id=lead.id, flow=lead.flow, step="?", number=1, status="queued")
    for row in (of_ended, of_nobody, await sales.offer(await sales.lead())):
        with pytest.raises(NotInQueue):
            await sales.give_by_hand(row, ana, ana)
    queued = await sales.queue(lead)
    for nobody in (gone, new_id()):
        with pytest.raises(UnknownPerson):
            await sales.give_by_hand(queued, nobody, ana)
    assert await sales.statuses(lead) == ["queued"]


@pytest.mark.parametrize("known", [{"roles": ["sales"]}, {"roles": ["sales_manager"], "active": False}])
async def test_nobody_but_a_manager_gives_a_lead_by_hand(sales: Sales, known: dict[str, Any]) -> None:
    ana = await sales.rep("ana", **known)
    lead = await sales.lead()
    queued = await sales.queue(lead)
    for by in (ana, new_id()):
        with pytest.raises(NotAManager):
            await sales.give_by_hand(queued, ana, by)
    assert await sales.statuses(lead) == ["queued"]


async def test_a_lead_is_given_once_when_the_queue_drains_at_the_same_time(sales: Sales) -> None:
    ana = await sales.rep("ana", roles=["sales", "sales_manager"])
    leads = await sales.leads(10)
    queued = [await sales.queue(lead) for lead in leads]
    await asyncio.gather(
        *(sales.give_by_hand(row, ana, ana) for row in queued),
        *(sales.drain(limit=2) for _ in range(5)),
        return_exceptions=True,
    )
    for lead in leads:
        assert len(await sales.rows(lead)) == 2
    assert await sales.loads() == {ana: 10}


async def test_the_queue_is_listed_oldest_first_a_page_at_a_time(sales: Sales) -> None:
    rows = [await sales.queue(lead) for lead in await sales.leads(3)]

    async def page(after: str | None) -> list[str]:
        async with sales.database.read() as session:
            return [row.id for row in await page_of_queue(session, limit=2, after=after)]

    assert await page(None) == [rows[0].id, rows[1].id]
    assert await page(rows[1].id) == [rows[2].id]
