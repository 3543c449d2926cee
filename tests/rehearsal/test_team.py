"""The harness where people take part: whose time it is, who acts, and what is left to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.answering import Refused
from domain.people import PersonProfile
from domain.working_time import Weekday
from rehearsal.journey import ADA, JourneyStarter
from rehearsal.stage import shipped_templates
from rehearsal.travelling import Step
from store.tables import now
from tests.rehearsal.fair import Fair

FINN = PersonProfile(email="finn@example.com", name="Finn Ojala", roles=["finance"])
OLGA = PersonProfile(email="olga@example.com", name="Olga Petrova", roles=["office"])
TEAM = [FINN, OLGA]
SOON = timedelta(seconds=5)


async def test_a_journey_begins_on_a_monday_and_all_code_goes_by_its_clock(journey: JourneyStarter) -> None:
    async with journey(Fair, people=TEAM, templates=shipped_templates()) as j:
        began = await j.now()
        assert (began.weekday(), began.hour, began.minute) == (Weekday.MONDAY.number, 9, 0)
        await j.until("budget")
        assert abs(now() - await j.now()) < SOON
        (approval,) = await j.approvals()
        assert approval.expires_at is not None
        assert abs(approval.expires_at - await j.now() - timedelta(days=2)) < SOON
    assert abs(now() - datetime.now(UTC)) < SOON


async def test_local_time_is_where_the_contact_is(journey: JourneyStarter) -> None:
    tokyo = ADA.model_copy(update={"time_zone": "Asia/Tokyo"})
    async with journey(Fair, contact=tokyo, people=TEAM, templates=shipped_templates()) as j:
        await j.travel(hours=15, minutes=29)
        assert (await j.progress()).step == "morning"
        await j.travel(minutes=1)
        assert (await j.progress()).step == "budget"


async def test_steps_are_whole_and_letters_to_people_are_not_in_the_inbox(journey: JourneyStarter) -> None:
    async with journey(Fair, people=TEAM, templates=shipped_templates()) as j:
        await j.until("budget")
        assert await j.steps() == [Step("morning", "done"), Step("budget", None)]
        assert (len(j.inbox()), len(j.letters()), len(j.letters(to=FINN)), len(j.letters(to=OLGA))) == (0, 1, 1, 0)
        await j.approve()
        await j.complete()
        assert await j.steps() == [
            Step("morning", "done"),
            Step("budget", "approved"),
            Step("ticket", "done"),
            Step("on", "enrolled, onboarding"),
        ]
        assert await j.handed_over_to() == ["onboarding"]
        assert [task.status for task in await j.tasks()] == ["done"]


async def test_what_does_not_count_is_told_to_whoever_acts(journey: JourneyStarter) -> None:
    async with journey(Fair, people=TEAM, templates=shipped_templates()) as j:
        with pytest.raises(AssertionError, match="nobody is asked anything of this kind"):
            await j.approve()
        await j.until("budget")
        with pytest.raises(Refused):
            await j.approve(by=OLGA)
        with pytest.raises(AssertionError, match="Bo is not in the team"):
            await j.approve(by=PersonProfile(email="bo@example.com", name="Bo"))


async def test_without_anybody_in_a_role_nobody_answers_and_it_is_told(journey: JourneyStarter) -> None:
    async with journey(Fair, templates=shipped_templates()) as j:
        await j.until("budget")
        with pytest.raises(AssertionError, match="nobody is asked: give the journey people in that role"):
            await j.approve()
        assert (await j.outcome()).step == "no-ticket"


async def test_a_hold_stops_the_clock_of_every_wait(journey: JourneyStarter) -> None:
    async with journey(Fair, people=TEAM, templates=shipped_templates()) as j:
        await j.until("budget")
        await j.travel(days=1)
        await j.hold()
        await j.travel(days=100)
        assert "held" in await j.story()
        assert await j.steps() == [Step("morning", "done"), Step("budget", None)]
        await j.resume()
        await j.travel(hours=23)
        assert (await j.progress()).step == "budget"
        await j.travel(hours=1)
        assert (await j.outcome()).step == "no-ticket"


async def test_the_timeline_tells_people_and_contact_alike(journey: JourneyStarter) -> None:
    async with journey(Fair, people=TEAM, templates=shipped_templates(), past=[("visited", {})]) as j:
        await j.until("budget")
        await j.reject(comment="Too dear")
        kinds = [entry.kind for entry in reversed(await j.timeline())]
        assert [kind for kind in kinds if kind.startswith(("event", "approval", "answer", "enrollment"))] == [
            "event.visited",
            "enrollment.entered",
            "approval.asked",
            "answer.taken",
            "approval.rejected",
            "enrollment.ended",
        ]
