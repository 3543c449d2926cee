"""Waiting where the contact is, being held, and answers that come at every moment."""

from __future__ import annotations

import asyncio
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.contacts import ContactProfile
from domain.questions import Answer, Choice, Taken, question_id
from rehearsal.enrolled import Journey
from rehearsal.journey import RAUL, ROSA, JourneyStarter
from runtime.temporal import STATE
from store.tables import new_id, now
from tests.flows.specimens.drip import Drip
from tests.flows.specimens.morning import DAYS, Morning
from tests.waiting import until

SALES = [ROSA, RAUL]
TOKYO = ContactProfile(email="sora@example.com", time_zone="Asia/Tokyo")


async def state(j: Journey) -> str | None:
    return (await j.description()).typed_search_attributes.get(STATE)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"])
async def test_a_letter_goes_out_on_a_chosen_morning_where_the_contact_is(journey: JourneyStarter, zone: str) -> None:
    contact = ContactProfile(email="sora@example.com", time_zone=zone)
    async with journey(Morning, contact=contact, people=SALES) as j:
        await j.until("letter")
        local = (await j.now()).astimezone(ZoneInfo(zone))
        assert local.replace(second=0, microsecond=0).time() == time(9, 30)
        assert local.weekday() in [day.number for day in DAYS]


async def test_a_morning_that_passed_during_a_hold_is_made_up_for_on_the_next(journey: JourneyStarter) -> None:
    async with journey(Morning, contact=TOKYO, people=SALES) as j:
        await j.hold()
        await j.travel(days=30, hours=7)
        assert j.inbox().steps == []
        await j.resume()
        assert j.inbox().steps == []
        await j.until("letter")
        local = (await j.now()).astimezone(ZoneInfo("Asia/Tokyo"))
        assert (local.hour, local.minute) == (9, 30)
        assert local.weekday() in [day.number for day in DAYS]


async def test_a_wait_that_is_held_has_as_much_left_when_it_is_resumed(journey: JourneyStarter) -> None:
    async with journey(Drip, pause=timedelta(days=10)) as j:
        await j.travel(days=4)
        await j.hold()
        await j.hold()
        assert (await j.progress()).held
        assert await state(j) == "held"
        await j.travel(days=100)
        assert j.inbox().steps == []
        await j.resume()
        assert await state(j) == "waiting"
        await j.travel(days=5, hours=23)
        assert j.inbox().steps == []
        await j.travel(hours=2)
        assert j.inbox().steps == ["tip"]


async def test_a_held_contact_leaves_like_any_other(journey: JourneyStarter) -> None:
    async with journey(Drip, pause=timedelta(days=10)) as j:
        await j.hold()
        await j.unsubscribe()
        assert (await j.outcome()).exit == "unsubscribed"


async def test_an_approval_that_is_held_expires_later_and_may_be_answered_meanwhile(journey: JourneyStarter) -> None:
    async with journey(Morning, contact=TOKYO, people=SALES) as j:
        await j.until("discount")
        (asked,) = await j.approvals()
        assert asked.expires_at is not None
        assert await state(j) == "awaiting_approval"
        await j.hold()
        await j.travel(days=20)
        await j.approve(by=ROSA)
        await j.resume()
        (later,) = await j.approvals()
        assert later.expires_at is not None
        assert timedelta(days=20) <= later.expires_at - asked.expires_at < timedelta(days=20, minutes=5)
        await j.travel(days=6)
        await j.approve(by=RAUL)
        assert (await j.outcome()).exit == "completed"
        assert (await j.approvals())[0].status == "approved"


async def test_of_two_answers_of_one_person_at_once_one_counts(journey: JourneyStarter) -> None:
    async with journey(Morning, contact=TOKYO, people=SALES) as j:
        await j.until("discount")
        (asked,) = await j.approvals()
        rosa = (await j.person(ROSA)).id

        async def answer(choice: Choice) -> Taken | str | None:
            given = Answer(
                id=new_id(),
                question_id=question_id(j.row.id, f"discount/{asked.content_hash}"),
                person_id=rosa,
                choice=choice,
                given_at=now(),
            )
            try:
                taken: Taken = await j.handle.execute_update("answer", given, id=given.id, result_type=Taken)
                return taken
            except WorkflowUpdateFailedError as error:
                return error.cause.type if isinstance(error.cause, ApplicationError) else None

        came = await asyncio.gather(*(answer(choice) for choice in (Choice.APPROVE, Choice.REJECT) * 3))
        assert sum(isinstance(each, Taken) for each in came) == 1
        assert {each for each in came if not isinstance(each, Taken)} <= {"AlreadyAnswered", "NotPending"}
        assert len(came) == 6


async def test_an_answer_that_is_quicker_than_the_asking_waits_for_it(journey: JourneyStarter) -> None:
    """It may come while the others are still being written to."""
    async with journey(Morning, contact=TOKYO, people=SALES) as j:
        await j.until("a-week")
        answers: list[asyncio.Task[Taken]] = []

        async def is_asked() -> bool:
            return bool(await j.approvals())

        async def answer_at_once() -> None:
            await until(is_asked)
            rows = await j.approvals()
            given = Answer(
                id=new_id(),
                question_id=question_id(j.row.id, f"discount/{rows[0].content_hash}"),
                person_id=(await j.person(ROSA)).id,
                choice=Choice.REJECT,
                given_at=now(),
            )
            update = j.handle.execute_update("answer", given, id=given.id, result_type=Taken)
            answers.append(asyncio.ensure_future(update))

        quick = asyncio.create_task(answer_at_once())
        await j.travel(days=7)
        await quick
        assert (await answers[0]).settled is Choice.REJECT
        assert (await j.outcome()).exit == "completed"
        assert (await j.approvals())[0].status == "rejected"
