from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.consent import CONFIRMATION_FLOW, CONFIRMED_EVENT
from domain.contacts import ContactProfile
from domain.flows import Exit
from rehearsal.enrolled import Journey
from rehearsal.journey import JourneyStarter
from workflows.confirmation import Confirmation
from workflows.discovery import discover_flows

BO = ContactProfile(email="bo@example.com", first_name="Bo", locale="es-CL")


def test_the_api_enrolls_in_this_flow_and_tells_it_of_its_goal() -> None:
    assert discover_flows()[CONFIRMATION_FLOW].about.goal.event == CONFIRMED_EVENT
    assert Confirmation.about == discover_flows()[CONFIRMATION_FLOW].about


async def test_a_contact_who_never_confirms_is_reminded_once_and_then_left_in_peace(journey: JourneyStarter) -> None:
    async with journey(Confirmation, consent={"newsletter": False}) as j:
        assert j.inbox().steps == ["confirm"]
        await j.travel(days=2, hours=23)
        assert j.inbox().steps == ["confirm"]
        await j.travel(hours=2)
        assert j.inbox().steps == ["confirm", "reminder"]
        await j.travel(days=60)
        assert j.inbox().steps == ["confirm", "reminder"]
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "not-confirmed")


async def test_a_contact_who_confirms_is_not_reminded(journey: JourneyStarter) -> None:
    async with journey(Confirmation) as j:
        await j.travel(days=1)
        await j.happens("subscription_confirmed")
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, "time-to-confirm")
        assert j.inbox().steps == ["confirm"]


async def test_confirming_after_the_reminder_is_in_time(journey: JourneyStarter) -> None:
    async with journey(Confirmation) as j:
        await j.travel(days=9)
        await j.happens("subscription_confirmed")
        assert (await j.outcome()).exit is Exit.GOAL
        assert j.inbox().steps == ["confirm", "reminder"]


@pytest.mark.parametrize(
    ("leave", "exit_"),
    [
        (Journey.unsubscribe, Exit.UNSUBSCRIBED),
        (Journey.bounce, Exit.BOUNCED),
        (Journey.complain, Exit.COMPLAINED),
        (Journey.erase, Exit.ERASED),
        (Journey.cancel, Exit.CANCELLED),
    ],
)
async def test_leaving_while_it_waits_ends_it_without_a_reminder(
    journey: JourneyStarter, leave: Callable[[Journey], Awaitable[None]], exit_: Exit
) -> None:
    async with journey(Confirmation) as j:
        await j.travel(days=1)
        await leave(j)
        await j.travel(days=60)
        assert j.inbox().steps == ["confirm"]
        assert (await j.outcome()).exit is exit_


async def test_the_mails_speak_the_contacts_language_and_lead_to_the_page(journey: JourneyStarter) -> None:
    async with journey(Confirmation, contact=BO) as j:
        await j.travel(days=4)
        confirm, reminder = j.inbox().messages
        assert confirm.subject == "Cauce: confirma tu suscripción"
        assert reminder.subject == "Cauce: tu suscripción sigue esperándote"
        for mail in (confirm, reminder):
            assert "http://127.0.0.1:8000/confirm/" in mail.text
            assert "List-Unsubscribe" not in dict(mail.headers)


async def test_the_times_can_be_set_for_one_enrollment(journey: JourneyStarter) -> None:
    quick = timedelta(seconds=5)
    async with journey(Confirmation, remind_after=quick, give_up_after=quick) as j:
        await j.travel(seconds=12)
        assert j.inbox().steps == ["confirm", "reminder"]
        assert (await j.outcome()).exit is Exit.COMPLETED
