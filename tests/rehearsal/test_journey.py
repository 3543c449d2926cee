"""The harness itself: time, what a contact does, what is left to look at, and what failures say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.contacts import ContactProfile
from domain.flows import Exit
from domain.messages import EmailMessage, ProviderUnavailable, Receipt
from rehearsal.enrolled import Journey
from rehearsal.journey import JourneyStarter
from rehearsal.journey import journey as begin
from rehearsal.stage import CannotRehearse
from rehearsal.travelling import Step
from tests.flows.specimen_templates import specimen_templates, with_specimens
from tests.flows.specimens.drip import Drip
from tests.flows.specimens.nurturing import Nurturing
from tests.flows.specimens.yearly import Yearly
from tests.rehearsal.failing import Failing
from workflows.onboarding import Onboarding


@pytest.fixture
def journey() -> JourneyStarter:
    return with_specimens(begin)


async def test_a_wait_is_over_after_just_its_time(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=2, hours=23, minutes=59, seconds=50)
        assert j.inbox().steps == ["welcome"]
        await j.travel(seconds=10)
        assert j.inbox().steps == ["welcome", "need-a-hand"]
        await j.travel(days=7)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip"]
        await j.travel(days=4)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip", "check-in"]


async def test_one_long_travel_is_like_many_short_ones(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=13, hours=23)
        assert j.inbox().steps == ["welcome", "need-a-hand", "training-tip"]
        began = (await j.description()).start_time
        assert abs(await j.now() - began - timedelta(days=13, hours=23)) < timedelta(minutes=1)


async def test_a_year_goes_by(journey: JourneyStarter) -> None:
    async with journey(Yearly) as j:
        for month in range(1, 13):
            await j.until(f"read-{month}")
            if month % 2:
                await j.open()
        assert (await j.outcome()).step == "year-over"
        assert len(j.inbox()) == 12
        assert [step for step in await j.steps() if step.name in ("read-1", "read-2")] == [
            Step("read-1", "yes"),
            Step("read-2", "no"),
        ]
        assert await j.now() - (await j.description()).start_time >= timedelta(days=365)


async def test_steps_tell_results_in_order_and_the_present_one_last(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        assert await j.steps() == [Step("guide", "sent"), Step("clicked", None)]
        await j.click()
        assert await j.steps() == [
            Step("guide", "sent"),
            Step("clicked", "yes"),
            Step("case-study", "sent"),
            Step("clicked-case-study", None),
        ]
        await j.cancel()
        assert [step.result for step in await j.steps()] == ["sent", "yes", "sent"]


async def test_an_email_can_be_read(journey: JourneyStarter) -> None:
    ada = ContactProfile(email="ada@example.com", first_name="Ada", last_name="Lovelace", locale="es-CL")
    async with journey(Onboarding, contact=ada) as j:
        (welcome,) = j.inbox()
        assert (welcome.step, welcome.to) == ("welcome", "Ada Lovelace <ada@example.com>")
        assert "Ada" in welcome.html
        assert "Ada" in welcome.text
        assert any("/unsubscribe/" in link for link in welcome.links)
        assert dict(welcome.headers)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("leave", "exit_"),
    [
        (Journey.unsubscribe, Exit.UNSUBSCRIBED),
        (Journey.bounce, Exit.BOUNCED),
        (Journey.complain, Exit.COMPLAINED),
        (Journey.cancel, Exit.CANCELLED),
        (Journey.reach_goal, Exit.GOAL),
    ],
)
async def test_every_way_out_has_a_verb(
    journey: JourneyStarter, leave: Callable[[Journey], Awaitable[None]], exit_: Exit
) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=1)
        await leave(j)
        await j.travel(days=60)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (exit_, "activated")
        assert j.inbox().steps == ["welcome"]


async def test_what_a_flow_does_not_listen_for_passes_by(journey: JourneyStarter) -> None:
    async with journey(Drip) as j:
        for do in (j.open, j.click, j.visit, j.reply):
            await do()
        await j.buy()
        assert (await j.outcome()).exit is Exit.GOAL


class Down:
    """A mailer whose provider is down for its first calls."""

    name = "down"
    idempotent = True

    def __init__(self, calls: int) -> None:
        self.left = calls

    def send(self, message: EmailMessage) -> Receipt:
        self.left -= 1
        if self.left >= 0:
            raise ProviderUnavailable("down", retry_after=timedelta(minutes=5))
        return Receipt(provider=self.name, provider_message_id=message.id)

    def close(self) -> None:
        """Nothing is held open."""


async def test_a_provider_that_is_down_costs_the_contact_time(journey: JourneyStarter) -> None:
    async with journey(Onboarding, mailer=Down(3)) as j:
        await j.travel(minutes=10)
        assert (await j.progress()).step == "welcome"
        await j.travel(minutes=10)
        assert await j.steps() == [Step("welcome", "sent"), Step("activated", None)]


async def test_a_failure_tells_where_the_contact_is_and_what_arrived(journey: JourneyStarter) -> None:
    with pytest.raises(ZeroDivisionError) as failure:  # noqa: PT012
        async with journey(Onboarding) as j:
            await j.travel(days=4)
            1 // len(j.inbox()[2:])
    (note,) = failure.value.__notes__
    assert "in onboarding, the contact is at time-to-try, waiting until " in note
    assert "went through: welcome: sent, activated: no, need-a-hand: sent" in note
    assert "inbox: welcome 'Welcome" in note


async def test_a_step_that_never_comes_is_told_with_the_end(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        with pytest.raises(AssertionError) as failure:
            await j.until("second-tip")
    assert "the journey ended and did not come to second-tip" in str(failure.value)
    assert "the journey ended: completed, at series-sent" in str(failure.value)


async def test_a_step_that_comes_too_late_is_told(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        with pytest.raises(AssertionError, match="did not come to check-in within 5 days"):
            await j.until("check-in", within=timedelta(days=5))
        await j.until("check-in")
        assert j.inbox().steps[-1] == "check-in"


async def test_a_bug_in_the_flow_is_told_at_once(journey: JourneyStarter) -> None:
    with pytest.raises(AssertionError, match="the flow's code raised: 'plan'"):
        async with journey(Failing, templates=specimen_templates()) as j:
            await j.travel(days=2)


async def test_a_flow_from_elsewhere_needs_templates() -> None:
    with pytest.raises(CannotRehearse, match=r"Drip is not of workflows/: pass templates=Templates.load\(folder\)"):
        async with begin(Drip):
            pass
