"""Schedules of the API in Temporal: made and changed as their rows say, and left to operators as far as they can."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain.flows import SCHEDULES_TASK_QUEUE
from domain.recurrence import Timetable
from domain.working_time import Weekday
from runtime.broadcasting import tell_broadcast
from runtime.bulk_enrolling import begin_bulk_enrollment
from runtime.in_turns import in_turns
from runtime.runs import RunGone, TemporalRefused, TemporalUnavailable, reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store.database import Database
from store.list_tables import BroadcastRow, BulkEnrollmentRow, ScheduleRow
from store.schedules import all_schedules, mark_told, timetable_of

WORKFLOW = "fire_schedule"
CATCH_UP = timedelta(hours=1)
"""After an outage of Temporal: times that were missed by more are left out."""
_PATIENCE = timedelta(seconds=2)
"""With a question that somebody waits for."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANY_DAY = [ScheduleRange(1, 31)]


class Standing(NamedTuple):
    """A schedule as Temporal has it. Times are in UTC; of past ones the ten latest, the latest first."""

    paused: bool
    note: str | None
    next_times: list[datetime]
    past_times: list[datetime]


def temporal_schedule_id(schedule_id: str) -> str:
    return f"cauce-schedule-{schedule_id}"


async def tell_schedule(row: ScheduleRow, client: Client, database: Database) -> bool:
    """Make, change or delete the schedule in Temporal; answer True. Twice changes nothing.

    Whether it is paused there, and the note, stay as they are unless the row was paused or resumed since it was told.
    Raises: TemporalUnavailable; TemporalRefused.
    """
    try:
        with reaching_temporal():
            await (
                _make(row, client)
                if row.deleted_at is None
                else _handle(client, row.id).delete(rpc_timeout=RPC_TIMEOUT)
            )
    except RunGone:
        if row.deleted_at is None:
            raise TemporalUnavailable("the schedule was deleted in Temporal while it was told") from None
    async with database.write() as session:
        await mark_told(session, row)
    return True


async def keep_recurring(client: Client, database: Database) -> None:
    """Make each schedule that Temporal has lost, and bring the others up to date: the code may say more than before.

    Raises: TemporalUnavailable.
    """
    async with database.read() as session:
        rows = await all_schedules(session)
    await in_turns(lambda row: tell_schedule(row, client, database), rows)


async def run_now(row: ScheduleRow, client: Client) -> None:
    """Have the schedule do once what it does at its times, paused or not. Raises: RunGone, TemporalUnavailable."""
    with reaching_temporal():
        await _handle(client, row.id).trigger(rpc_timeout=RPC_TIMEOUT)


async def begin_job(job: BulkEnrollmentRow | BroadcastRow, client: Client, database: Database) -> None:
    """Start what a schedule has made, as far as that can be done now; the sweep does it otherwise."""
    with suppress(TemporalUnavailable):
        if isinstance(job, BulkEnrollmentRow):
            await begin_bulk_enrollment(job, client, database)
        else:
            await tell_broadcast(job, client, database)


async def standings(rows: Sequence[ScheduleRow], client: Client) -> dict[str, Standing]:
    """Some schedules as Temporal has them, by id; without those that it does not know yet. Empty if it is away."""
    try:
        found = await in_turns(lambda row: _standing(row, client), rows)
    except TemporalUnavailable:
        return {}
    return {row.id: standing for row, standing in zip(rows, found, strict=True) if standing is not None}


def spec_of(timetable: Timetable) -> ScheduleSpec:
    """When it runs, as Temporal is told it."""
    recurrence = timetable.recurrence
    spec = ScheduleSpec(
        cron_expressions=[recurrence.cron] if recurrence.cron else [],
        start_at=timetable.starts_at,
        end_at=timetable.ends_at,
        jitter=timetable.jitter or None,
        time_zone_name=timetable.time_zone,
    )
    if recurrence.every is not None:
        begins = timetable.starts_at or _EPOCH
        spec.intervals = [ScheduleIntervalSpec(every=recurrence.every, offset=(begins - _EPOCH) % recurrence.every)]
    if recurrence.at is not None:
        spec.calendars = [
            ScheduleCalendarSpec(
                second=[ScheduleRange(recurrence.at.second)],
                minute=[ScheduleRange(recurrence.at.minute)],
                hour=[ScheduleRange(recurrence.at.hour)],
                day_of_month=[ScheduleRange(recurrence.day_of_month)] if recurrence.day_of_month else _ANY_DAY,
                day_of_week=[ScheduleRange(_from_sunday(day)) for day in recurrence.days or Weekday],
            )
        ]
    return spec


def _from_sunday(day: Weekday) -> int:
    return (day.number + 1) % 7


def _handle(client: Client, schedule_id: str) -> ScheduleHandle:
    return client.get_schedule_handle(temporal_schedule_id(schedule_id))


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            WORKFLOW,
            {"schedule_id": row.id},
            id=f"schedule:{row.id}",
            task_queue=SCHEDULES_TASK_QUEUE,
            static_summary=f"A {row.kind.replace('_', ' ')} by its schedule",
            static_details=f"GET /v1/schedules/{row.id}",
        ),
        spec=spec_of(timetable_of(row)),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
        state=ScheduleState(paused=row.paused, note=row.note),
    )


async def _make(row: ScheduleRow, client: Client) -> None:
    schedule = _schedule(row)
    try:
        await client.create_schedule(temporal_schedule_id(row.id), schedule, rpc_timeout=RPC_TIMEOUT)
    except ScheduleAlreadyRunningError:

        def brought_up_to_date(known: ScheduleUpdateInput) -> ScheduleUpdate:
            if not row.pause_to_tell:
                schedule.state = known.description.schedule.state
            return ScheduleUpdate(schedule)

        await _handle(client, row.id).update(brought_up_to_date, rpc_timeout=RPC_TIMEOUT)


async def _standing(row: ScheduleRow, client: Client) -> Standing | None:
    try:
        with reaching_temporal():
            described = await _handle(client, row.id).describe(rpc_timeout=_PATIENCE)
    except (RunGone, TemporalRefused):
        return None
    state, info = described.schedule.state, described.info
    return Standing(
        paused=state.paused,
        note=state.note,
        next_times=[] if state.paused else list(info.next_action_times),
        past_times=[action.scheduled_at for action in reversed(info.recent_actions)],
    )
