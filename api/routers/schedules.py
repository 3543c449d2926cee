"""Schedules: bulk enrollments and broadcasts that come again and again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from api.content import require_json
from api.paging import Page, PageRequest, cursor_after
from api.problems import ProblemError, answers, invalid_request, not_found
from api.schedule_request import ScheduleRequest, definition_of, require_possible
from api.schedule_view import ScheduleView, schedule_views
from api.telling import tell
from api.wiring import Services, Wired
from domain.limits import Text
from runtime.recurring import run_now, tell_schedule
from runtime.runs import RunGone, TemporalUnavailable
from store.audiences import UnknownSource
from store.list_tables import ScheduleRow
from store.schedules import (
    NameTaken,
    add_schedule,
    change_schedule,
    delete_schedule,
    found_schedule,
    page_of_schedules,
    pause_schedule,
)

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])

_NO_SCHEDULE = not_found("schedule with this id")


class PauseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Text | None = Field(default=None, description="why; nothing personal", examples=["not during the holidays"])


def _name_taken() -> ProblemError:
    return ProblemError(
        409, "name-taken", "Another schedule has this name", "body.name: names tell schedules apart for people"
    )


def _not_now() -> ProblemError:
    return ProblemError(
        503,
        "temporal-unavailable",
        "Temporal does not answer",
        "nothing was started: try again later",
        headers={"Retry-After": "5"},
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": {"Location": {"description": "the schedule's address", "schema": {"type": "string"}}}},
        **answers(400, _name_taken(), 415, 422),
    },
)
async def create_schedule(request: ScheduleRequest, response: Response, services: Wired) -> ScheduleView:
    """Have a bulk enrollment or a broadcast made again and again. It is stored, and then made in Temporal.

    A time is left out while what was made before is not over.
    """
    row = await _kept(services, request)
    response.headers["Location"] = f"/v1/schedules/{row.id}"
    return await _told(services, row)


@router.get("", responses=answers(422))
async def list_schedules(query: Annotated[PageRequest, Query()], services: Wired) -> Page[ScheduleView]:
    """Schedules, newest first."""
    async with services.database.read() as session:
        rows = await page_of_schedules(session, limit=query.limit + 1, before=query.before())
    return Page(
        items=await schedule_views(services, rows[: query.limit]),
        next_cursor=cursor_after([row.id for row in rows], query.limit),
    )


@router.get("/{schedule_id}", responses=answers(_NO_SCHEDULE, 422))
async def read_schedule(schedule_id: UUID, services: Wired) -> ScheduleView:
    """One schedule: when it runs next, what it made, and whether somebody paused it, here or in Temporal."""
    async with services.database.read() as session:
        row = await _found(session, schedule_id)
    (view,) = await schedule_views(services, [row])
    return view


@router.put(
    "/{schedule_id}",
    dependencies=[Depends(require_json)],
    responses=answers(400, _NO_SCHEDULE, _name_taken(), 415, 422),
)
async def replace_schedule(schedule_id: UUID, request: ScheduleRequest, services: Wired) -> ScheduleView:
    """Change a schedule: all of it, as given here. Paused it stays paused; what it has made goes on as it was."""
    return await _told(services, await _kept(services, request, schedule_id))


@router.delete("/{schedule_id}", status_code=204, responses=answers(_NO_SCHEDULE, 422))
async def remove_schedule(schedule_id: UUID, services: Wired) -> None:
    """Delete a schedule. What it has made goes on: bulk enrollments and broadcasts are cancelled by themselves."""
    async with services.database.write() as session:
        row = await _found(session, schedule_id, locked=True)
        await delete_schedule(session, row)
    await _tell(services, row)


@router.post(
    "/{schedule_id}/pause",
    dependencies=[Depends(require_json)],
    responses=answers(400, _NO_SCHEDULE, 415, 422),
)
async def pause(schedule_id: UUID, request: PauseRequest, services: Wired) -> ScheduleView:
    """Make nothing by a schedule until it is resumed. Twice is as once."""
    return await _told(services, await _paused(services, schedule_id, paused=True, note=request.note))


@router.post("/{schedule_id}/resume", responses=answers(_NO_SCHEDULE, 422))
async def resume(schedule_id: UUID, services: Wired) -> ScheduleView:
    """Let a schedule go on, also one that was paused in Temporal. Times that have passed are not made up for."""
    return await _told(services, await _paused(services, schedule_id, paused=False, note=None))


@router.post("/{schedule_id}/run-now", status_code=202, responses=answers(_NO_SCHEDULE, 422, _not_now()))
async def run_schedule_now(schedule_id: UUID, services: Wired) -> ScheduleView:
    """Do once, now, what the schedule does at its times, paused or not."""
    async with services.database.read() as session:
        row = await _found(session, schedule_id)
    try:
        if row.told_at is None:
            await tell_schedule(row, services.client, services.database)
        await run_now(row, services.client)
    except (RunGone, TemporalUnavailable):
        raise _not_now() from None
    (view,) = await schedule_views(services, [row])
    return view


async def _kept(services: Services, request: ScheduleRequest, schedule_id: UUID | None = None) -> ScheduleRow:
    """The schedule as the request has it, new or in place of another. Raises: ProblemError."""
    try:
        async with services.database.write() as session:
            await require_possible(session, services, request)
            if schedule_id is None:
                return await add_schedule(session, definition_of(request))
            row = await _found(session, schedule_id, locked=True)
            await change_schedule(session, row, definition_of(request))
            return row
    except NameTaken:
        raise _name_taken() from None
    except UnknownSource as error:
        raise invalid_request([{"loc": ("body", "job", "source"), "msg": str(error)}]) from None


async def _paused(services: Services, schedule_id: UUID, *, paused: bool, note: str | None) -> ScheduleRow:
    async with services.database.write() as session:
        row = await _found(session, schedule_id, locked=True)
        await pause_schedule(session, row, paused=paused, note=note)
    return row


async def _found(session: AsyncSession, schedule_id: UUID, *, locked: bool = False) -> ScheduleRow:
    row = await found_schedule(session, str(schedule_id), locked=locked)
    if row is None:
        raise _NO_SCHEDULE
    return row


async def _tell(services: Services, row: ScheduleRow) -> None:
    await tell(tell_schedule(row, services.client, services.database), f"schedule {row.id}")


async def _told(services: Services, row: ScheduleRow) -> ScheduleView:
    if row.told_at is None:
        await _tell(services, row)
    (view,) = await schedule_views(services, [row])
    return view
