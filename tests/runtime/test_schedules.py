from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import time, timedelta
from functools import partial

import pytest
from temporalio.client import Client, ScheduleHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain.contacts import ContactProfile
from domain.flows import EnrollInactive, FlowType
from runtime.schedules import keep_schedules, schedule_id
from store.contacts import upsert_contact
from store.database import Database
from store.listings import page_of_enrollments
from store.tables import now
from tests.clearing import delete_schedules
from tests.waiting import until
from worker.scheduling import scheduling
from workflows.reactivation import Reactivation


def flows(name: str, *, at: time = time(6), at_most: int = 500) -> dict[str, FlowType]:
    enrolls = EnrollInactive(inactive_for=timedelta(days=90), at_most=at_most, at=at)
    return {name: Reactivation.about.model_copy(update={"enrolls": enrolls})}


@pytest.fixture
async def client(temporal: WorkflowEnvironment) -> AsyncIterator[Client]:
    yield temporal.client
    await delete_schedules(temporal.client)


def schedule(client: Client, name: str) -> ScheduleHandle:
    return client.get_schedule_handle(schedule_id(name))


async def test_a_pause_by_an_operator_survives_each_deploy(client: Client) -> None:
    await keep_schedules(client, flows("paused"))
    await schedule(client, "paused").pause(note="not during the holidays")
    await keep_schedules(client, flows("paused", at=time(9, 30)))
    kept = (await schedule(client, "paused").describe()).schedule
    assert (kept.state.paused, kept.state.note) == (True, "not during the holidays")
    (calendar,) = kept.spec.calendars
    assert ([hour.start for hour in calendar.hour], [minute.start for minute in calendar.minute]) == ([9], [30])


async def test_a_flow_without_a_schedule_gets_none(client: Client) -> None:
    await keep_schedules(client, {"quiet": Reactivation.about.model_copy(update={"enrolls": None})})
    with pytest.raises(RPCError, match="not found"):
        await schedule(client, "quiet").describe()


async def test_what_a_schedule_starts_enrolls_contacts_and_triggering_it_again_nobody(
    client: Client, database: Database
) -> None:
    async with database.write() as session:
        for number in range(3):
            profile = ContactProfile(email=f"quiet-{number}@example.com")
            (await upsert_contact(session, profile, {}, "test")).contact.created_at = now() - timedelta(days=100)

    async def enrolled() -> list[str]:
        async with database.read() as session:
            return [row.origin for row in await page_of_enrollments(session, limit=10, flow="daily")]

    async with scheduling(client, database, flows("daily")):
        daily = schedule(client, "daily")
        await until(partial(_exists, daily))
        for times in (1, 2):
            await daily.trigger()
            await until(partial(_has_run, daily, times))
            assert await enrolled() == ["schedule"] * 3


async def _exists(handle: ScheduleHandle) -> bool:
    try:
        return (await handle.describe()).id == handle.id
    except RPCError:
        return False


async def _has_run(handle: ScheduleHandle, times: int) -> bool:
    info = (await handle.describe()).info
    return len(info.recent_actions) == times and not info.running_actions
