"""Schedules of the API on a real Temporal server: made, fired, paused, changed and deleted as their rows say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select
from temporalio.client import Client, ScheduleHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from domain.recurrence import Timetable
from domain.recurring_jobs import JobKind, RecurringBroadcast, RecurringBulkEnrollment
from domain.segments import Segment
from runtime.dispatch import Dispatcher
from runtime.recurring import keep_recurring, standings, tell_schedule, temporal_schedule_id
from runtime.runs import TemporalUnavailable
from runtime.sweep import Sweep
from store.database import Database
from store.list_tables import BroadcastRow, BulkEnrollmentRow, ScheduleRow, SegmentRow
from store.schedules import (
    Definition,
    Made,
    NameTaken,
    add_schedule,
    change_schedule,
    delete_schedule,
    make_job,
    mark_told,
    pause_schedule,
)
from store.segments import create_segment
from store.tables import now
from tests.api.caller import client_of_nobody
from tests.clearing import delete_schedules
from tests.waiting import until
from worker.scheduling import scheduling
from workflows.discovery import workflow_runner
from workflows.onboarding import Onboarding
from workflows.schedules.fire_schedule import FireScheduleWorkflow

FLOWS = {"onboarding": Onboarding.about}
NINE = datetime(2026, 12, 1, 9, tzinfo=UTC)
SANTIAGO = ZoneInfo("America/Santiago")


@pytest.fixture
async def client(temporal: WorkflowEnvironment) -> AsyncIterator[Client]:
    yield temporal.client
    await delete_schedules(temporal.client)


@pytest.fixture
async def segment(database: Database) -> SegmentRow:
    everybody = {"kind": "contact", "field": "score", "at_least": 0}
    async with database.write() as session:
        return await create_segment(session, "everybody", "", Segment.model_validate(everybody))


def weekly(segment: SegmentRow, name: str = "weekly", **timetable: Any) -> Definition:
    job = RecurringBulkEnrollment.model_validate({"flow": "onboarding", "source": {"segment_id": segment.id}})
    given = {"recurrence": {"at": "09:00", "days": ["monday"]}, **timetable}
    return Definition(name, JobKind.BULK_ENROLLMENT, job, Timetable.model_validate(given))


async def kept(database: Database, definition: Definition) -> ScheduleRow:
    async with database.write() as session:
        return await add_schedule(session, definition)


async def row_of(database: Database, row: ScheduleRow) -> ScheduleRow:
    async with database.read() as session:
        return await session.get_one(ScheduleRow, row.id)


async def changed(database: Database, row: ScheduleRow, definition: Definition) -> ScheduleRow:
    async with database.write() as session:
        known = await session.get_one(ScheduleRow, row.id)
        await change_schedule(session, known, definition)
    return known


async def paused(database: Database, row: ScheduleRow, *, paused: bool, note: str | None) -> ScheduleRow:
    async with database.write() as session:
        known = await session.get_one(ScheduleRow, row.id)
        await pause_schedule(session, known, paused=paused, note=note)
    return known


async def jobs(database: Database) -> list[BulkEnrollmentRow]:
    async with database.read() as session:
        return list(await session.exec(select(BulkEnrollmentRow)))


async def fired(database: Database, row: ScheduleRow, at: datetime) -> Made:
    async with database.write() as session:
        return await make_job(session, row.id, at, FLOWS)


def in_temporal(client: Client, row: ScheduleRow) -> ScheduleHandle:
    return client.get_schedule_handle(temporal_schedule_id(row.id))


async def state(client: Client, row: ScheduleRow) -> tuple[bool, str | None]:
    found = (await in_temporal(client, row).describe()).schedule.state
    return found.paused, found.note


async def test_it_comes_at_the_same_time_of_day_on_both_sides_of_a_clock_change(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    # In Chile the clocks go back on 2027-04-04, from UTC-3 to UTC-4.
    definition = weekly(segment, time_zone="America/Santiago", starts_at="2027-03-25T00:00:00Z")
    row = await kept(database, definition)
    await tell_schedule(row, client, database)
    times = (await standings([row], client))[row.id].next_times
    assert [time.astimezone(SANTIAGO).strftime("%a %d %H:%M") for time in times[:3]] == [
        "Mon 29 09:00",
        "Mon 05 09:00",
        "Mon 12 09:00",
    ]
    assert [time.hour for time in times[:3]] == [12, 13, 13]


@pytest.mark.parametrize(
    ("recurrence", "expected"),
    [
        ({"at": "06:30", "day_of_month": 31}, ["2027-01-31 06:30", "2027-03-31 06:30"]),
        ({"at": "06:30", "days": ["sunday", "saturday"]}, ["2027-01-02 06:30", "2027-01-03 06:30", "2027-01-09 06:30"]),
        ({"every": "PT36H"}, ["2027-01-01 01:00", "2027-01-02 13:00", "2027-01-04 01:00"]),
        ({"cron": "15 9 * * sun"}, ["2027-01-03 09:15", "2027-01-10 09:15"]),
        ({"cron": "0 0 1 jan,feb *"}, ["2027-02-01 00:00", "2028-01-01 00:00"]),
    ],
)
async def test_each_way_to_come_again_is_told_as_it_is_meant(
    client: Client, database: Database, segment: SegmentRow, recurrence: dict[str, Any], expected: list[str]
) -> None:
    row = await kept(database, weekly(segment, recurrence=recurrence, starts_at="2027-01-01T01:00:00Z"))
    await tell_schedule(row, client, database)
    times = (await standings([row], client))[row.id].next_times
    assert [f"{time:%Y-%m-%d %H:%M}" for time in times[: len(expected)]] == expected


async def test_when_it_fires_the_job_is_made_once_and_begun_and_its_history_can_be_replayed(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    row = await kept(database, weekly(segment))
    async with scheduling(client, database, FLOWS):
        await until(partial(_known, client, row))  # a worker that starts makes what is not there
        await in_temporal(client, row).trigger()
        await until(partial(_made, database))
    (job,) = await jobs(database)
    assert (job.flow, job.schedule_id, job.source) == ("onboarding", row.id, {"segment_id": segment.id})
    assert job.begun_at is not None
    described = await client.get_workflow_handle(f"bulk:{job.id}").describe()
    assert described.workflow_type == "bulk_enrollment"
    (at,) = (await standings([row], client))[row.id].past_times
    assert job.idempotency_key == f"schedule:{row.id}:{at:%Y-%m-%dT%H:%M:%SZ}"

    (run,) = [each async for each in client.list_workflows("WorkflowType = 'fire_schedule'")]
    history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    replayer = Replayer(
        workflows=[FireScheduleWorkflow], workflow_runner=workflow_runner(), data_converter=client.data_converter
    )
    await replayer.replay_workflow(WorkflowHistory(run.id, history.events))


async def test_a_time_makes_one_job_and_the_next_none_until_that_is_over(
    database: Database, segment: SegmentRow
) -> None:
    row = await kept(database, weekly(segment))
    made = [(await fired(database, row, NINE)).job for _ in range(2)]
    assert made[0] is not None
    assert made[1] is not None
    assert made[0].id == made[1].id
    left_out = await fired(database, row, NINE + timedelta(days=7))
    assert left_out == Made(None, f"bulk enrollment {made[0].id} is not over")
    async with database.write() as session:
        (await session.get_one(BulkEnrollmentRow, made[0].id)).ended_at = now()
    assert (await fired(database, row, NINE + timedelta(days=14))).job is not None
    assert len(await jobs(database)) == 2


async def test_a_schedule_of_broadcasts_makes_broadcasts_and_one_of_a_flow_that_is_gone_nothing(
    database: Database, segment: SegmentRow
) -> None:
    order = {"name": "News", "message": "product-update", "source": {"segment_id": segment.id}, "holdout": 0.1}
    news = RecurringBroadcast.model_validate(order)
    definition = weekly(segment, "news")._replace(kind=JobKind.BROADCAST, job=news)
    row = await kept(database, definition)
    made = [(await fired(database, row, NINE)).job for _ in range(2)]
    assert isinstance(made[0], BroadcastRow)
    assert (made[0].message, made[0].definition["holdout"], made[0].schedule_id) == ("product-update", 0.1, row.id)
    assert made[1] is not None
    assert made[1].id == made[0].id
    other = await kept(database, weekly(segment))
    async with database.write() as session:
        assert await make_job(session, other.id, NINE, {}) == Made(None, "the code has no flow onboarding")


async def test_a_pause_by_an_operator_in_temporal_survives_deploys_and_changes(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    row = await kept(database, weekly(segment))
    await tell_schedule(row, client, database)
    await in_temporal(client, row).pause(note="not during the holidays")
    await keep_recurring(client, database)
    row = await changed(database, row, weekly(segment, recurrence={"at": "10:00"}))
    await tell_schedule(row, client, database)
    assert await state(client, row) == (True, "not during the holidays")
    assert (await standings([row], client))[row.id].next_times == []
    (calendar,) = (await in_temporal(client, row).describe()).schedule.spec.calendars
    assert [hour.start for hour in calendar.hour] == [10]


async def test_a_pause_by_the_api_and_its_end_hold_whatever_was_done_in_temporal(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    row = await kept(database, weekly(segment))
    await tell_schedule(row, client, database)
    for wanted in (True, True, False):
        row = await paused(database, row, paused=wanted, note="by us" if wanted else None)
        await tell_schedule(row, client, database)
        assert await state(client, row) == (wanted, "by us" if wanted else None)
        await (in_temporal(client, row).unpause() if wanted else in_temporal(client, row).pause())
    row = await row_of(database, row)
    assert (row.pause_to_tell, row.told_at is not None) == (False, True)


async def test_what_temporal_was_not_told_of_is_told_by_the_sweep_a_deletion_too(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    row = await paused(database, await kept(database, weekly(segment)), paused=True, note="later")
    sweep = Sweep(Dispatcher(database, client, FLOWS))

    async def swept() -> int:
        return (await sweep.run(grace=timedelta(seconds=-1), closed_since=now()))["schedules_told"]

    assert await swept() == 1
    assert await swept() == 0
    assert await state(client, row) == (True, "later")
    async with database.write() as session:
        await delete_schedule(session, await session.get_one(ScheduleRow, row.id))
    assert (await fired(database, row, NINE)).left_out == "the schedule was deleted"
    again = await kept(database, weekly(segment))  # its name is free
    assert await swept() == 2
    assert list(await standings([row, again], client)) == [again.id]
    async with database.read() as session:
        assert await session.get(ScheduleRow, row.id) is None


async def test_a_change_while_temporal_was_told_of_the_one_before_is_told_again(
    database: Database, segment: SegmentRow
) -> None:
    first = await kept(database, weekly(segment))
    second = await changed(database, first, weekly(segment, recurrence={"at": "10:00"}))
    async with database.write() as session:
        await mark_told(session, second)
    assert (await row_of(database, first)).told_at is not None
    async with database.write() as session:
        await mark_told(session, first.model_copy(update={"updated_at": first.updated_at - timedelta(seconds=1)}))
    assert (await row_of(database, first)).told_at is None


async def test_a_schedule_that_was_deleted_in_temporal_is_made_again_by_a_worker_that_starts(
    client: Client, database: Database, segment: SegmentRow
) -> None:
    row = await kept(database, weekly(segment))
    await tell_schedule(row, client, database)
    await in_temporal(client, row).delete()
    assert await standings([row], client) == {}
    await keep_recurring(client, database)
    assert list(await standings([row], client)) == [row.id]


async def test_while_temporal_is_away_nothing_is_known_of_schedules_and_telling_is_left_for_later(
    database: Database, segment: SegmentRow, unused_port: Any
) -> None:
    row = await kept(database, weekly(segment))
    nobody = await client_of_nobody(unused_port())
    assert await standings([row], nobody) == {}
    with pytest.raises(TemporalUnavailable):
        await tell_schedule(row, nobody, database)
    assert (await row_of(database, row)).told_at is None


async def test_two_schedules_have_not_the_same_name(database: Database, segment: SegmentRow) -> None:
    row = await kept(database, weekly(segment))
    with pytest.raises(NameTaken):
        await kept(database, weekly(segment))
    assert (await changed(database, row, weekly(segment))).updated_at == row.updated_at


async def _known(client: Client, row: ScheduleRow) -> bool:
    return bool(await standings([row], client))


async def _made(database: Database) -> bool:
    return any(job.begun_at for job in await jobs(database))
