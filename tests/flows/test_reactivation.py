from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from api.answering import Refused
from domain.contacts import ContactProfile
from domain.flows import Exit
from domain.people import PersonProfile
from domain.questions import ApprovalPlan, Asked, Refusal, Stage
from rehearsal.enrolled import Journey
from rehearsal.journey import ADA, MARTA, JourneyStarter
from rehearsal.travelling import Step
from store.suppressions import suppressions_of
from workflows.reactivation import Reactivation

CONSENT = {"offers": True}
BORIS = PersonProfile(email="boris@example.com", name="Boris Lund", roles=["director"])
DAY = timedelta(days=1)


def worth(cents: int) -> ContactProfile:
    return ADA.model_copy(update={"attributes": {"lifetime_value_cents": cents}})


VIP = worth(500_000)


async def offered(j: Journey) -> str:
    """The subject of the offer."""
    return next(mail.subject for mail in j.inbox() if mail.step == "offer")


async def is_sunset(j: Journey) -> bool:
    async with j.database.read() as session:
        return "sunset" in await suppressions_of(session, ADA.email)


async def test_a_customer_who_stays_away_gets_three_messages_and_is_left_in_peace(journey: JourneyStarter) -> None:
    async with journey(Reactivation, consent=CONSENT) as j:
        await j.travel(days=4, hours=23)
        assert j.inbox().steps == ["we-miss-you"]
        await j.open()  # no sign of life: mail programs do it by themselves
        await j.travel(hours=1)
        assert j.inbox().steps == ["we-miss-you", "offer"]
        await j.travel(days=10, hours=23)
        assert j.inbox().steps == ["we-miss-you", "offer"]
        await j.travel(hours=1)
        assert j.inbox().steps == ["we-miss-you", "offer", "last-chance"]
        assert not await is_sunset(j)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "stayed-away")
        assert j.inbox().steps == ["we-miss-you", "offer", "last-chance"]
        assert await is_sunset(j)
        assert [entry.text for entry in await j.timeline() if entry.kind == "crm.sunset"] == [
            "Sunset: no marketing until the contact acts"
        ]


async def test_an_act_of_the_contact_lifts_the_sunset(journey: JourneyStarter) -> None:
    async with journey(Reactivation, consent=CONSENT) as j:
        await j.outcome()
        await j.open()
        assert await is_sunset(j)
        await j.visit()
        assert not await is_sunset(j)


# -- Signs of life ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "step"),
    [
        ("bought", "time-to-return"),
        ("visited", "time-to-return"),
        ("logged_in", "offer-stands"),
        ("clicked", "offer-stands"),
        ("replied", "offer-ends"),
    ],
)
async def test_a_sign_of_life_ends_it_at_once(journey: JourneyStarter, event: str, step: str) -> None:
    async with journey(Reactivation, consent=CONSENT) as j:
        await j.until(step)
        received = j.inbox().steps
        await j.happens(event)
        await j.travel(days=60)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, step)
        assert j.inbox().steps == received
        assert not await is_sunset(j)


async def test_the_settings_say_what_a_sign_of_life_is(journey: JourneyStarter) -> None:
    async with journey(Reactivation, consent=CONSENT, signs_of_life=("called_us",)) as j:
        await j.visit()
        await j.open()
        assert (await j.progress()).step == "time-to-return"
        await j.happens("called_us")
        assert (await j.outcome()).exit is Exit.GOAL


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
async def test_who_leaves_while_people_decide_gets_no_offer_and_nobody_is_asked_any_more(
    journey: JourneyStarter, leave: Callable[[Journey], Awaitable[None]], exit_: Exit
) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.until("approve-offer")
        await leave(j)
        await j.travel(days=60)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (exit_, "approve-offer")
        assert [approval.status for approval in await j.approvals()] == ["withdrawn"]
        assert (j.inbox().steps, len(j.letters())) == (["we-miss-you"], 1)


# -- The size of the offer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "offer"),
    [
        (ADA, "10% off"),
        (worth(49_999), "10% off"),
        (worth(50_000), "20% off"),
        (worth(199_999), "20% off"),
        (worth(200_000), "30% off"),
        (worth(200_000).model_copy(update={"locale": "es-CL"}), "Para ti: 30 % en tu próxima compra"),
    ],
    ids=["nothing-known", "small", "medium", "still-medium", "large", "in-spanish"],
)
async def test_the_more_a_customer_is_worth_the_larger_the_offer(
    journey: JourneyStarter, contact: ContactProfile, offer: str
) -> None:
    async with journey(Reactivation, contact=contact, consent=CONSENT, approval_over=30) as j:
        await j.until("offer")
        assert offer in await offered(j)
        assert await j.approvals() == []


async def test_an_offer_up_to_the_limit_needs_no_approval(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=worth(60_000), people=[MARTA], consent=CONSENT) as j:
        await j.until("offer")
        assert (await j.approvals(), len(j.letters())) == ([], 0)


# -- Approvals ------------------------------------------------------------------------------------------------------


async def test_a_large_offer_waits_for_a_manager_and_goes_out_once_approved(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.travel(days=5, hours=4)
        assert j.inbox().steps == ["we-miss-you"]
        (letter,) = j.letters(to=MARTA)
        assert letter.subject.startswith("Approval needed: An offer over the limit")
        assert "30" in letter.text
        assert any("/answer/approval/" in link for link in letter.links)
        await j.approve(comment="They are worth it")
        assert "30%" in await offered(j)
        assert Step("approve-offer", "approved") in await j.steps()
        assert [approval.status for approval in await j.approvals()] == ["approved"]


async def test_a_rejected_offer_becomes_the_small_one_at_once(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.until("approve-offer")
        await j.reject()
        assert "10%" in await offered(j)
        assert Step("approve-offer", "rejected") in await j.steps()


async def test_managers_are_reminded_each_day_and_after_three_the_small_offer_goes_out(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.until("approve-offer")
        await j.travel(days=2, hours=23)
        assert [subject.partition(":")[0] for subject in j.letters(to=MARTA).subjects] == [
            "Approval needed",
            "Still open",
            "Still open",
        ]
        assert j.inbox().steps == ["we-miss-you"]
        await j.travel(hours=1)
        assert "10%" in await offered(j)
        assert [approval.status for approval in await j.approvals()] == ["expired"]
        with pytest.raises(Refused) as late:
            await j.approve()
        assert late.value.refusal is Refusal.NOT_PENDING
        assert len(j.letters()) == 3


async def test_where_nobody_is_a_manager_the_small_offer_goes_out_in_the_end(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[BORIS], consent=CONSENT) as j:
        await j.until("offer")
        assert "10%" in await offered(j)
        assert (len(j.letters()), await j.now() > (await j.enrollment()).created_at + 8 * DAY) == (0, True)


async def test_a_manager_may_let_somebody_else_decide(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA, BORIS], consent=CONSENT) as j:
        await j.until("approve-offer")
        await j.delegate(BORIS)
        assert len(j.letters(to=BORIS)) == 1
        with pytest.raises(Refused):
            await j.approve(by=MARTA)
        await j.approve(by=BORIS)
        assert "30%" in await offered(j)


async def test_the_settings_may_escalate_to_others_who_may_decide_then(journey: JourneyStarter) -> None:
    plan = ApprovalPlan(
        stages=(Stage(asks=(Asked(role="sales_manager"),)),),
        remind_every=None,
        escalate_after=timedelta(hours=6),
        escalate_to=Asked(role="director"),
        expires_after=DAY,
    )
    async with journey(Reactivation, contact=VIP, people=[MARTA, BORIS], consent=CONSENT, approval=plan) as j:
        await j.until("approve-offer")
        await j.travel(hours=5)
        with pytest.raises(Refused) as early:
            await j.approve(by=BORIS)
        assert early.value.refusal is Refusal.NOT_ASKED
        await j.travel(hours=1)
        assert (len(j.letters(to=MARTA)), len(j.letters(to=BORIS))) == (1, 1)
        await j.approve(by=BORIS)
        assert "30%" in await offered(j)


async def test_the_settings_may_ask_for_everybodys_yes_in_two_rounds(journey: JourneyStarter) -> None:
    clara = MARTA.model_copy(update={"email": "clara@example.com", "name": "Clara Ruiz"})
    managers, directors = Asked(role="sales_manager"), Asked(role="director")
    plan = ApprovalPlan(stages=(Stage(asks=(managers,), needs="all"), Stage(asks=(directors,))))
    people = [MARTA, clara, BORIS]
    async with journey(Reactivation, contact=VIP, people=people, consent=CONSENT, approval=plan) as j:
        await j.until("approve-offer")
        await j.approve(by=MARTA)
        assert len(j.letters(to=BORIS)) == 0
        with pytest.raises(Refused) as twice:
            await j.reject(by=MARTA)
        assert twice.value.refusal is Refusal.ANSWERED
        await j.approve(by=clara)
        assert len(j.letters(to=BORIS)) == 1
        assert "offer" not in j.inbox().steps
        await j.reject(by=BORIS)
        assert "10%" in await offered(j)


async def test_a_customer_who_comes_back_while_people_decide_needs_no_offer(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.until("approve-offer")
        await j.visit()
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, "approve-offer")
        assert [approval.status for approval in await j.approvals()] == ["withdrawn"]
        with pytest.raises(Refused) as late:
            await j.approve()
        assert late.value.refusal is Refusal.NOT_PENDING


async def test_while_it_is_held_no_time_to_decide_is_lost(journey: JourneyStarter) -> None:
    async with journey(Reactivation, contact=VIP, people=[MARTA], consent=CONSENT) as j:
        await j.until("approve-offer")
        await j.travel(days=1)
        await j.hold()
        await j.travel(days=30)
        assert (j.inbox().steps, len(j.letters())) == (["we-miss-you"], 2)
        await j.resume()
        await j.travel(days=1, hours=23)
        assert (await j.progress()).step == "approve-offer"
        await j.approve()
        assert "30%" in await offered(j)


async def test_without_consent_to_offers_nothing_is_sent(journey: JourneyStarter) -> None:
    async with journey(Reactivation) as j:
        assert (await j.outcome()).step == "stayed-away"
        assert not j.inbox()
        assert {row.reason for row in await j.ledger()} == {"no consent to offers"}
