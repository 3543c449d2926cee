from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.contacts import ContactProfile
from domain.flows import Exit
from rehearsal.enrolled import Journey
from rehearsal.journey import ADA, JourneyStarter, Past
from rehearsal.travelling import Step
from workflows.nurturing import Nurturing

CONSENT = {"newsletter": True}
GARDENER = ADA.model_copy(update={"attributes": {"interest": "gardening"}})
GROWER = ADA.model_copy(update={"attributes": {"interest": "growth"}})
Act = Callable[[Journey], Awaitable[None]]


async def click_and_go_on(j: Journey) -> None:
    """The click answers the piece; the next one comes after the pause."""
    await j.click()
    await j.travel(days=2)


async def test_each_click_raises_the_score_and_the_third_hands_the_lead_to_sales(journey: JourneyStarter) -> None:
    async with journey(Nurturing, contact=GROWER, consent=CONSENT) as j:
        await j.travel(hours=3)
        await j.click()
        assert (await j.contact()).score == 20
        await j.travel(days=1, hours=23)
        assert j.inbox().steps == ["piece-1"]
        await j.travel(hours=1)
        assert j.inbox().steps == ["piece-1", "piece-2"]
        await click_and_go_on(j)
        await j.click()
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "qualified")
        assert j.inbox().steps == ["piece-1", "piece-2", "piece-3"]
        contact = await j.contact()
        assert (contact.score, contact.lifecycle_stage) == (60, "qualified")
        assert await j.handed_over_to() == ["lead_assignment"]


async def test_silence_brings_one_reminder_and_a_slower_pace_until_the_contact_rests(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT, pieces=2) as j:
        await j.travel(days=2, hours=23)
        assert j.inbox().steps == ["piece-1"]
        await j.travel(hours=1)
        assert j.inbox().steps == ["piece-1", "reminder-1"]
        await j.travel(days=4 + 9, hours=23)
        assert j.inbox().steps == ["piece-1", "reminder-1"]
        await j.travel(hours=1)
        assert j.inbox().steps == ["piece-1", "reminder-1", "piece-2"]
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "rested")
        assert j.inbox().steps == ["piece-1", "reminder-1", "piece-2", "reminder-2"]
        contact = await j.contact()
        assert (contact.score, contact.lifecycle_stage) == (0, "resting")
        assert await j.handed_over_to() == []


async def test_a_click_on_the_reminder_counts_and_the_pace_is_quick_again(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT) as j:
        await j.travel(days=5)
        await click_and_go_on(j)
        assert j.inbox().steps == ["piece-1", "reminder-1", "piece-2"]
        assert (await j.contact()).score == 20
        assert [step for step in await j.steps() if "click" in step.name] == [
            Step("click-1", "no"),
            Step("late-click-1", "yes"),
            Step("click-2", None),
        ]


async def test_clicks_that_do_not_add_up_let_the_contact_rest_after_the_last_piece(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT, pieces=2) as j:
        await click_and_go_on(j)
        await j.click()
        assert (await j.outcome()).step == "rested"
        contact = await j.contact()
        assert (contact.score, contact.lifecycle_stage) == (40, "resting")
        assert await j.handed_over_to() == []


async def test_clicks_after_the_second_chance_come_too_late_for_that_piece(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT) as j:
        await j.until("slow-pause-1")
        await j.click()
        await j.until("piece-2")
        assert (await j.contact()).score == 0
        assert (await j.progress()).step == "click-2"


async def test_opening_and_visiting_decide_nothing(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT) as j:
        await j.open()
        await j.visit()
        await j.travel(days=3)
        assert j.inbox().steps == ["piece-1", "reminder-1"]
        assert (await j.contact()).score == 0


@pytest.mark.parametrize(
    ("contact", "past", "subject"),
    [
        (ADA, [], "A short guide: where your week goes"),
        (GARDENER, [], "A short guide: where your week goes"),
        (GROWER, [], "A short guide: grow from what already works"),
        (GROWER, [("visited", {"interest": "teamwork"})], "A short guide: hand work over without losing it"),
        (GROWER, [("visited", {"interest": "gardening"})], "A short guide: grow from what already works"),
        (GROWER.model_copy(update={"locale": "es-CL"}), [], "Una guía corta: crecer desde lo que ya funciona"),
    ],
    ids=["nothing-known", "another-word", "attribute", "latest-event", "event-with-another-word", "in-spanish"],
)
async def test_the_first_piece_fits_what_is_known_of_the_interest(
    journey: JourneyStarter,
    contact: ContactProfile,
    past: Past,
    subject: str,
) -> None:
    async with journey(Nurturing, contact=contact, consent=CONSENT, past=past) as j:
        assert j.inbox().subjects == [subject]


@pytest.mark.parametrize("step", ["click-1", "pause-1", "late-click-1", "slow-pause-1", "click-3"])
async def test_who_asks_for_a_demo_goes_to_sales_at_once(journey: JourneyStarter, step: str) -> None:
    async with journey(Nurturing, consent=CONSENT) as j:
        if step == "pause-1":
            await j.click()
        await j.until(step)
        received = j.inbox().steps
        await j.happens("demo_requested")
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, step)
        assert j.inbox().steps == received
        assert await j.handed_over_to() == ["lead_assignment"]


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
async def test_who_leaves_gets_nothing_more_and_is_handed_to_nobody(
    journey: JourneyStarter, leave: Act, exit_: Exit
) -> None:
    async with journey(Nurturing, consent=CONSENT) as j:
        await j.until("late-click-1")
        await leave(j)
        await j.travel(days=60)
        assert (await j.outcome()).exit is exit_
        assert j.inbox().steps == ["piece-1", "reminder-1"]
        assert await j.handed_over_to() == []


async def test_settings_make_a_lead_ready_at_the_first_click(journey: JourneyStarter) -> None:
    async with journey(Nurturing, consent=CONSENT, qualifying_score=15, click_within=timedelta(hours=1)) as j:
        await j.click()
        assert (await j.outcome()).step == "qualified"
        assert j.inbox().steps == ["piece-1"]
        assert await j.handed_over_to() == ["lead_assignment"]


async def test_without_consent_nothing_is_sent_and_the_reason_is_kept(journey: JourneyStarter) -> None:
    async with journey(Nurturing, pieces=1) as j:
        assert (await j.outcome()).step == "rested"
        assert not j.inbox()
        assert {(row.status, row.reason) for row in await j.ledger()} == {("skipped", "no consent to newsletter")}
