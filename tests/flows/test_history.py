"""What an enrollment costs in Temporal, and that nothing personal is in it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from domain.contacts import ContactProfile
from rehearsal.journey import JourneysOn, JourneyStarter
from store.database import Database
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.drip import Drip
from workflows.onboarding import Onboarding


def kinds(history: WorkflowHistory) -> Counter[str]:
    return Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events)


async def test_a_drip_step_costs_one_timer_and_one_activity(temporal: WorkflowEnvironment, database: Database) -> None:
    """On the full server, whose histories are what people pay for: entry, wait, one email, end."""
    async with with_specimens(JourneysOn(temporal, database))(Drip, pause=timedelta(seconds=1)) as j:
        await j.handle.result()
        history = await j.handle.fetch_history()
    counted = kinds(history)
    assert (counted["TIMER_STARTED"], counted["ACTIVITY_TASK_SCHEDULED"], counted["MARKER_RECORDED"]) == (1, 1, 1)
    assert len(history.events) <= 18
    assert len(history.to_json()) <= 12_500


async def test_nothing_personal_enters_temporal(journey: JourneyStarter) -> None:
    private = ContactProfile(
        email="augusta.private@secretmail.example",
        first_name="Augusta-Verysecret",
        last_name="Kingsecret",
        company="Hidden Engines",
        region="Secretshire",
        locale="es-CL",
        attributes={"plan": "clandestine"},
    )
    async with journey(Onboarding, contact=private) as j:
        await j.travel(days=4)
        await j.happens("activated")
        await j.outcome()
        assert j.inbox().steps == ["welcome", "need-a-hand"]
        description = await j.description()
        dump = (await j.handle.fetch_history()).to_json() + str(description.raw_description)
    for word in ("augusta", "secret", "kingsecret", "hidden engines", "clandestine"):
        assert word not in dump.lower()
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", dump)
