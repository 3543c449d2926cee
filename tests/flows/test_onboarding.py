from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.contacts import ContactProfile
from domain.flows import Exit
from rehearsal.enrolled import Journey
from rehearsal.journey import ADA, JourneyStarter
from workflows.onboarding import Onboarding

BO = ContactProfile(email="bo@example.com", first_name="Bo", last_name="Ek", locale="es-CL")


async def test_a_customer_who_never_activates_gets_the_whole_series(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=2, hours=23)
        assert j.inbox().steps == ["welcome"]
        await j.travel(hours=2)
        assert j.inbox().steps == ["welcome", "need-a-hand"]
        await j.travel(days=7)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip"]
        await j.travel(days=3, hours=20)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip"]
        await j.travel(hours=3)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip", "check-in"]
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "series-sent")
        ended = await j.enrollment()
        assert (ended.status, ended.exit, ended.last_step) == ("ended", "completed", "series-sent")


async def test_a_customer_who_activates_gets_nothing_more(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(seconds=4)
        await j.happens("activated")
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, "activated")
        assert j.inbox().steps == ["welcome"]
        assert (await j.enrollment()).exit == "goal"


async def test_activation_in_the_second_week_ends_it_too(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=11)
        await j.happens("activated")
        assert (await j.outcome()).exit is Exit.GOAL
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip"]


async def test_unsubscribe_during_a_wait_ends_without_another_email(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=1)
        await j.happens("unsubscribed")
        await j.travel(days=60)
        assert j.inbox().steps == ["welcome"]
        assert (await j.outcome()).exit is Exit.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("leave", "exit_"),
    [
        (Journey.bounce, Exit.BOUNCED),
        (Journey.complain, Exit.COMPLAINED),
        (Journey.erase, Exit.ERASED),
        (Journey.cancel, Exit.CANCELLED),
    ],
)
async def test_leaving_during_a_wait_ends_without_another_email(
    journey: JourneyStarter, leave: Callable[[Journey], Awaitable[None]], exit_: Exit
) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=1)
        await leave(j)
        await j.travel(days=60)
        assert j.inbox().steps == ["welcome"]
        assert (await j.outcome()).exit is exit_


async def test_emails_speak_the_contacts_language(journey: JourneyStarter) -> None:
    async with journey(Onboarding, contact=BO) as j:
        await j.travel(days=4)
        spanish = j.inbox().subjects
    async with journey(Onboarding, contact=ADA) as j:
        await j.travel(days=4)
        english = j.inbox().subjects
    assert len(spanish) == len(english) == 2
    assert not set(spanish) & set(english)


async def test_times_can_be_set_for_one_enrollment(journey: JourneyStarter) -> None:
    quick = timedelta(seconds=5)
    async with journey(Onboarding, hand_after=quick, tip_after=quick, check_in_after=3 * quick) as j:
        await j.travel(seconds=20)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip", "check-in"]


async def test_a_customer_who_opted_out_of_onboarding_gets_no_email_and_the_reason_is_kept(
    journey: JourneyStarter,
) -> None:
    async with journey(Onboarding, consent={"onboarding": False}) as j:
        assert (await j.outcome()).exit is Exit.COMPLETED
        assert j.inbox().steps == []
        assert {(row.status, row.reason) for row in await j.ledger()} == {
            ("skipped", "contact opted out of onboarding")
        }
