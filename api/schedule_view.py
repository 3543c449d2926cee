"""A schedule as the API shows it, as far as Temporal tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, Field, JsonValue

from api.wiring import Services
from domain.recurrence import Timetable
from domain.recurring_jobs import JobKind, job_key
from runtime.recurring import Standing, standings
from store.list_tables import ScheduleRow
from store.schedules import jobs_at, timetable_of


class PastRun(BaseModel):
    at: datetime
    job_id: str | None = Field(
        description="the bulk enrollment or broadcast that was made; null: none, as /v1/bulk-enrollments and "
        "/v1/broadcasts have none, or not yet"
    )


class ScheduleView(Timetable):
    id: str
    name: str
    kind: JobKind
    job: dict[str, JsonValue] = Field(description="what is asked for each time")
    paused: bool = Field(description="as Temporal has it, where operators may pause it too")
    note: str | None = Field(description="of whoever paused or resumed it")
    known_to_temporal: bool = Field(
        description="false: it does not answer, or was not told yet; then `paused` is what was asked for here"
    )
    next_runs: list[datetime] = Field(description="the next ten times, without jitter; none while it is paused")
    past_runs: list[PastRun] = Field(description="the latest ten, the latest first")
    created_at: datetime
    updated_at: datetime


async def schedule_views(services: Services, rows: Sequence[ScheduleRow]) -> list[ScheduleView]:
    known = await standings(rows, services.client)
    times = {at for standing in known.values() for at in standing.past_times}
    async with services.database.read() as session:
        made = await jobs_at(session, list(known), times)
    return [_view(row, known.get(row.id), made) for row in rows]


def _view(row: ScheduleRow, standing: Standing | None, made: Mapping[str, str]) -> ScheduleView:
    return ScheduleView(
        **timetable_of(row).model_dump(),
        id=row.id,
        name=row.name,
        kind=JobKind(row.kind),
        job=row.job,
        paused=standing.paused if standing else row.paused,
        note=standing.note if standing else row.note,
        known_to_temporal=standing is not None,
        next_runs=standing.next_times if standing else [],
        past_runs=[PastRun(at=at, job_id=made.get(job_key(row.id, at))) for at in standing.past_times]
        if standing
        else [],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
