from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from domain.lead_rules import LeadConditions, LeadRule, Strategy
from store.assignments import accept, begin_response_time, current_offer
from store.database import Database
from store.enrollments import Leaving, request_cancel
from store.lead_choosing import lead_of
from store.tables import ContactRow
from tests.store.sales import HOLDING, STEP, SUNDAY, Sales

AT_ONCE = 100


@pytest.fixture
def sales(database: Database) -> Sales:
    return Sales(database)


async def test_a_hundred_leads_at_once_go_round_exactly(sales: Sales) -> None:
    reps = [await sales.rep(name) for name in ("ana", "bo", "cai", "dov")]
    await sales.rules(Strategy.ROUND_ROBIN)
    await sales.offer_all(await sales.leads(AT_ONCE))
    given = [row.person_id for row in await sales.rows()]
    assert given == [reps[turn % 4] for turn in range(AT_ONCE)]


async def test_a_hundred_leads_at_once_keep_weights_within_one_at_any_moment(sales: Sales) -> None:
    weights = {await sales.rep(f"rep-{weight}", weight=weight): weight for weight in (1, 2, 5)}
    await sales.rules(Strategy.WEIGHTED)
    await sales.offer_all(await sales.leads(AT_ONCE))
    given: Counter[str | None] = Counter()
    for turn, row in enumerate(await sales.rows(), 1):
        given[row.person_id] += 1
        assert all(abs(given[id_] - turn * weight / 8) < 1 for id_, weight in weights.items())
    assert given.total() == AT_ONCE


async def test_a_hundred_leads_at_once_fill_everybody_alike(sales: Sales) -> None:
    capacities = {await sales.rep(f"rep-{capacity}", capacity=capacity): capacity for capacity in (20, 40, 60, 80)}
    await sales.rules(Strategy.LEAST_LOADED)
    await sales.offer_all(await sales.leads(AT_ONCE))
    assert await sales.loads() == {id_: capacity / 2 for id_, capacity in capacities.items()}


async def test_nobody_gets_more_than_they_have_room_for_and_the_others_wait(sales: Sales) -> None:
    ana, bo = await sales.rep("ana", capacity=3), await sales.rep("bo", capacity=4)
    leads = await sales.leads(20)
    await sales.offer_all(leads)
    assert await sales.loads() == {ana: 3, bo: 4}
    assert Counter(row.status for row in await sales.rows()) == {"offered": 7, "queued": 13}


async def test_a_lead_that_ends_gives_its_room_back(sales: Sales) -> None:
    ana = await sales.rep("ana", capacity=1)
    first, second = await sales.leads(2)
    await sales.offer(first)
    assert (await sales.offer(second)).status == "queued"
    await sales.end(first)
    assert await sales.statuses(first) == ["withdrawn"]
    assert await sales.drain() == [second.id]
    assert await sales.loads() == {ana: 1}
    await sales.end(second)
    assert await sales.statuses(second) == ["drained", "withdrawn"]
    assert not await sales.loads()


async def test_a_lead_goes_from_one_to_the_next_and_never_to_somebody_who_had_it(sales: Sales) -> None:
    reps = [await sales.rep(name) for name in ("ana", "bo", "cai")]
    lead = await sales.lead()
    offer = await sales.offer(lead)
    for declined in (True, False, True):
        offer = await sales.offer(lead, before=offer.number, declined=declined)
    rows = await sales.rows(lead)
    assert [row.person_id for row in rows] == [*reps, None]
    assert [row.status for row in rows] == ["declined", "lapsed", "declined", "queued"]
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert all(row.closed_at and row.released_at for row in rows[:3])
    assert {reason["because"] for reason in rows[3].reasons if "person" in reason} == {"had_it"}
    # Who comes to the team is somebody new.
    dov = await sales.rep("dov")
    assert await sales.drain() == [lead.id]
    assert (await sales.rows(lead))[-1].person_id == dov


async def test_a_decision_that_stands_is_answered_again(sales: Sales) -> None:
    await sales.rep("ana")
    lead = await sales.lead()
    offers = await asyncio.gather(*(sales.offer(lead) for _ in range(5)))
    assert len({offer.id for offer in offers}) == 1
    await asyncio.gather(*(sales.offer(lead, before=1) for _ in range(5)))
    assert await sales.statuses(lead) == ["lapsed", "queued"]
    await sales.drain(SUNDAY)
    again = await sales.offer(lead, before=1, declined=True)
    assert (again.number, await sales.statuses(lead)) == (2, ["lapsed", "queued"])


async def test_an_offer_explains_itself(sales: Sales) -> None:
    away = await sales.rep("ana", working_hours={})
    bo = await sales.rep("bo")
    chile = LeadRule(name="chile", when=LeadConditions(countries=("CL",)), team="andes", strategy=Strategy.ROUND_ROBIN)
    await sales.rules(chile, Strategy.ROUND_ROBIN)
    offer = await sales.offer(await sales.lead(country="AR"))
    assert (offer.person_id, offer.rule, offer.rules_version) == (bo, "sales", 1)
    told = [(reason["rule"], reason["verdict"], reason.get("person")) for reason in offer.reasons]
    assert told == [
        ("chile", "not_matched", None),
        ("sales", "matched", None),
        ("sales", "passed_over", away),
        ("sales", "chosen", bo),
    ]


async def test_before_there_are_rules_the_owner_gets_the_lead_or_else_anybody_in_sales(sales: Sales) -> None:
    await sales.rep("ana")
    bo = await sales.rep("bo")
    lead = await sales.lead()
    async with sales.database.write() as session:
        (await session.get_one(ContactRow, lead.contact_id)).owner_id = bo
    offer = await sales.offer(lead)
    assert (offer.person_id, offer.rules_version) == (bo, 0)


async def test_who_is_not_active_gets_nothing(sales: Sales) -> None:
    await sales.rep("ana", active=False)
    assert (await sales.offer(await sales.lead())).status == "queued"


async def test_an_enrollment_that_leaves_gets_no_offer(sales: Sales) -> None:
    await sales.rep("ana")
    ended, cancelled = await sales.leads(2)
    await sales.end(ended)
    async with sales.database.write() as session:
        await request_cancel(session, cancelled.id)
    for lead in (ended, cancelled):
        with pytest.raises(Leaving):
            await sales.offer(lead)
    assert await sales.rows() == []


async def test_time_to_respond_is_the_reps_working_time(sales: Sales) -> None:
    await sales.rep("ana", time_zone="America/Santiago")  # in UTC, 12:00 to 21:00
    friday = datetime(2026, 11, 20, 19, tzinfo=UTC)
    lead = await sales.lead()
    async with sales.database.write() as session:
        offer = await current_offer(session, lead.id, STEP, at=friday)
        await begin_response_time(session, offer, timedelta(hours=4), friday)
    (stored,) = await sales.rows(lead)
    assert stored.respond_by == datetime(2026, 11, 23, 14, tzinfo=UTC)
    assert stored.told_at == friday


async def test_an_accepted_offer_keeps_its_room_and_reasons(sales: Sales) -> None:
    ana = await sales.rep("ana")
    await sales.rep("bo")
    await sales.rules(Strategy.ROUND_ROBIN)
    lead = await sales.lead()
    await sales.offer(lead)
    await sales.offer(lead, before=1)
    for _ in range(2):
        async with sales.database.write() as session:
            accepted, offers = await accept(session, lead.id, STEP)
        assert (accepted.status, accepted.number, offers) == ("accepted", 2, 2)
    lapsed, accepted = await sales.rows(lead)
    assert (lapsed.person_id, lapsed.status) == (ana, "lapsed")
    assert lapsed.reasons
    assert accepted.closed_at
    assert await sales.loads() == {accepted.person_id: 1}


@pytest.mark.parametrize(
    ("attributes", "product", "size"),
    [
        ({"product": "crm", "company_size": 250}, "crm", 250),
        ({"product": "", "company_size": "250"}, None, 250),
        ({"product": ["crm"], "company_size": 250.0}, None, 250),
        ({"company_size": True}, None, None),
        ({"company_size": "9" * 5_000}, None, None),
        ({"company_size": {"min": 1}}, None, None),
        ({}, None, None),
    ],
)
def test_what_is_not_told_in_a_way_that_rules_understand_is_not_known(
    attributes: dict[str, Any], product: str | None, size: int | None
) -> None:
    lead = lead_of(ContactRow(email="a@example.com", locale="es-CL", time_zone="UTC", attributes=attributes))
    assert (lead.product, lead.company_size, lead.language) == (product, size, "es")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_at_once_room_and_order_and_memory_are_kept(sales: Sales, seed: int) -> None:
    """Leads come, are declined, lapse, end and leave the queue, many at the same time."""
    random = Random(seed)  # noqa: S311 (nothing is kept secret by it)
    reps = [await sales.rep(f"rep-{number}", capacity=random.randint(1, 2)) for number in range(4)]
    await sales.rules(random.choice([Strategy.ROUND_ROBIN, Strategy.WEIGHTED, Strategy.LEAST_LOADED]))
    leads = await sales.leads(25)
    ended: set[str] = set()

    async def something(lead: Any) -> None:
        rows = await sales.rows(lead)
        what = random.random()
        if what < 0.15:
            ended.add(lead.id)
            await sales.end(lead)
        elif what < 0.3:
            await sales.drain()
        else:
            try:
                over = rows and rows[-1].status == "offered" and what < 0.6
                await sales.offer(lead, before=rows[-1].number if over else None, declined=what < 0.45)
            except Leaving:
                assert lead.id in ended

    for _ in range(4):
        await asyncio.gather(*(something(random.choice(leads)) for _ in range(20)))
        loads = await sales.loads()
        assert all(loads[rep] <= (sales.capacity[rep] or 0) for rep in reps)
        waiting = [row.enrollment_id for row in await sales.rows() if row.status == "queued"]
        drained = await sales.drain()
        assert drained == [id_ for id_ in waiting if id_ in drained]
    assert any(row.status == "drained" for row in await sales.rows())
    for lead in leads:
        rows = await sales.rows(lead)
        had = [row.person_id for row in rows if row.person_id]
        assert len(had) == len(set(had))
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        open_rows = [row for row in rows if row.status in (*HOLDING, "queued")]
        assert len(open_rows) <= (lead.id not in ended)
