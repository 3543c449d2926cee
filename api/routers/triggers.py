"""Triggers: what enrolls contacts in a flow by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, model_validator
from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.asked_people import require_people_to_ask
from api.content import require_json
from api.flow_settings import checked_settings
from api.openapi import exactly_one
from api.paging import Page
from api.problems import ProblemError, answers, invalid_request, not_found
from api.routers.flows import flow_named
from api.wiring import Wired
from domain.event_names import EventName
from domain.limits import Duration, Id, JsonObject
from domain.triggers import Reenroll, Times, Trigger, require_one_occasion
from store.list_tables import SegmentRow, TriggerRow, WatchedSegmentRow
from store.trigger_rows import (
    MAX_OF_A_FLOW,
    TooManyTriggers,
    UnknownSegment,
    add_trigger,
    change_trigger,
    delete_trigger,
    triggers_of,
)
from store.triggers import declared
from workflows.discovery import FlowClass

router = APIRouter(prefix="/v1", tags=["triggers"])

REENROLL = """\
whether it enrolls whoever was in the flow before: `as_flow`, as the flow says; `never`; or so long after their last
enrollment ended, as `P30D`, whatever the flow says
"""


class TriggerRequest(BaseModel):
    """Either `event`, which may have to come several `times` `within` a time, or `segment_id`, which is entered."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": exactly_one("event", "segment_id"),
            "examples": [
                {"event": "signed_up"},
                {"event": "clicked", "times": 3, "within": "P7D", "reenroll": "P30D"},
                {"segment_id": "0193f0c2-9d10-7c42-8b1f-5e1f6a2e11c4", "reenroll": "never", "active": False},
            ],
        },
    )

    event: EventName | None = Field(
        default=None, description="any but those after which contacts leave, such as unsubscribed"
    )
    times: Times = 1
    within: Duration | None = Field(default=None, description="goes with `times`, from 2 on")
    segment_id: Id | None = None
    reenroll: Reenroll = Field(default="as_flow", description=REENROLL)
    settings: JsonObject = Field(
        default_factory=dict, description="overrides of the flow's settings, for those whom it enrolls"
    )
    active: StrictBool = Field(default=True, description="false: it enrolls nobody")

    @model_validator(mode="after")
    def _one_occasion(self) -> TriggerRequest:
        require_one_occasion(self.event, self.segment_id, self.times, self.within)
        return self

    async def trigger(self, session: AsyncSession, flow: FlowClass) -> Trigger:
        """Raises: ProblemError 422 for settings that the flow has not, or that name nobody who could be asked."""
        settings = checked_settings(flow, self.settings)
        await require_people_to_ask(session, settings)
        return Trigger(
            event=self.event,
            times=self.times,
            within=self.within,
            segment=self.segment_id,
            reenroll=self.reenroll,
            settings=settings.model_dump(mode="json", exclude_unset=True),
        )


class TriggerView(BaseModel):
    id: str = Field(description="of a declared one: the flow and a digest of what it declares")
    flow: str = Field(examples=["onboarding"])
    declared: bool = Field(description="the flow's code declares it: it is changed there, and never off")
    event: str | None = Field(description="null: it watches a segment", examples=["clicked"])
    times: int = Field(examples=[3])
    within: Duration | None = Field(examples=["P7D"])
    segment_id: str | None = Field(description="null: it waits for an event, or there is no segment of this name")
    segment: str | None = Field(description="the segment's name")
    watching_since: datetime | None = Field(
        description="of a segment: whoever has entered it since then is enrolled; null: its members are not known yet"
    )
    reenroll: Reenroll = Field(description=REENROLL)
    settings: dict[str, JsonValue]
    active: bool
    created_at: datetime | None = Field(description="null: it is declared")
    updated_at: datetime | None


class _Segment(NamedTuple):
    id: str | None
    name: str | None
    watching_since: datetime | None


def _too_many() -> ProblemError:
    return ProblemError(
        409,
        "too-many-triggers",
        "The flow has as many triggers as it may have",
        f"{MAX_OF_A_FLOW} are there beside those of its code: delete one that is not needed any more",
    )


def _no_trigger() -> ProblemError:
    return not_found("trigger with this id that an operator added: those of a flow's code are changed there")


@router.post(
    "/flows/{flow}/triggers",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": {"Location": {"description": "the trigger's address", "schema": {"type": "string"}}}},
        **answers(400, 404, _too_many(), 415, 422),
    },
)
async def create_trigger(flow: str, request: TriggerRequest, services: Wired, response: Response) -> TriggerView:
    """Have contacts enrolled in a flow when something happens, from now on: who is in the segment now is not."""
    known = flow_named(flow, services)
    try:
        async with services.database.write() as session:
            trigger = await request.trigger(session, known)
            row = await add_trigger(session, flow, trigger, active=request.active)
            (view,) = await _views(session, [row])
    except TooManyTriggers:
        raise _too_many() from None
    except UnknownSegment:
        raise _unknown_segment() from None
    response.headers["Location"] = f"/v1/triggers/{row.id}"
    return view


@router.get("/flows/{flow}/triggers", responses=answers(404, 422))
async def list_triggers(flow: str, services: Wired) -> Page[TriggerView]:
    """All triggers of a flow: those that its code declares, then those that operators added, newest first."""
    known = flow_named(flow, services)
    async with services.database.read() as session:
        declared_ones = await _declared_views(session, flow, known)
        added = await _views(session, await triggers_of(session, flow))
    return Page(items=[*declared_ones, *added], next_cursor=None)


@router.get("/triggers/{trigger_id}", responses=answers(_no_trigger(), 422))
async def read_trigger(trigger_id: UUID, services: Wired) -> TriggerView:
    """One trigger that an operator added."""
    async with services.database.read() as session:
        (view,) = await _views(session, [await _found(session, trigger_id)])
    return view


@router.put(
    "/triggers/{trigger_id}",
    dependencies=[Depends(require_json)],
    responses=answers(400, _no_trigger(), 415, 422),
)
async def replace_trigger(trigger_id: UUID, request: TriggerRequest, services: Wired) -> TriggerView:
    """Change a trigger that an operator added: all of it, as given here. Whom it has enrolled stays where they are."""
    try:
        async with services.database.write() as session:
            row = await _found(session, trigger_id, locked=True)
            trigger = await request.trigger(session, flow_named(row.flow, services))
            await change_trigger(session, services.dispatcher.flows, row, trigger, active=request.active)
            (view,) = await _views(session, [row])
    except UnknownSegment:
        raise _unknown_segment() from None
    return view


@router.delete("/triggers/{trigger_id}", status_code=204, responses=answers(_no_trigger(), 422))
async def remove_trigger(trigger_id: UUID, services: Wired) -> None:
    """Delete a trigger that an operator added. Whom it has enrolled stays where they are."""
    async with services.database.write() as session:
        row = await _found(session, trigger_id, locked=True)
        await delete_trigger(session, services.dispatcher.flows, row)


async def _found(session: AsyncSession, trigger_id: UUID, *, locked: bool = False) -> TriggerRow:
    row = await session.get(TriggerRow, str(trigger_id), with_for_update=locked)
    if row is None:
        raise _no_trigger()
    return row


async def _views(session: AsyncSession, rows: Sequence[TriggerRow]) -> list[TriggerView]:
    segments = await _segments(session, col(SegmentRow.id).in_({row.segment_id for row in rows}))
    by_id = {segment.id: segment for segment in segments}
    return [
        _view(
            Trigger.model_validate(row.definition),
            by_id.get(row.segment_id),
            id=row.id,
            flow=row.flow,
            declared=False,
            active=row.active,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


async def _declared_views(session: AsyncSession, name: str, flow: FlowClass) -> list[TriggerView]:
    rules = list(declared({name: flow.about}))
    names = {rule.trigger.segment for rule in rules if rule.trigger.segment}
    by_name = {segment.name: segment for segment in await _segments(session, col(SegmentRow.name).in_(names))}
    return [
        _view(
            rule.trigger,
            by_name.get(rule.trigger.segment, _Segment(None, rule.trigger.segment, None)),
            id=rule.id,
            flow=name,
            declared=True,
            active=True,
            created_at=None,
            updated_at=None,
        )
        for rule in rules
    ]


async def _segments(session: AsyncSession, which: ColumnElement[bool]) -> list[_Segment]:
    """Those that there are, with since when they are watched."""
    row, watched = SegmentRow, WatchedSegmentRow
    query = select(row.id, row.name, watched.watching_since)
    query = query.join(watched, col(watched.segment_id) == row.id, isouter=True).where(which)
    return [_Segment(*found) for found in await session.exec(query)]


def _view(trigger: Trigger, segment: _Segment | None, **known: Any) -> TriggerView:
    return TriggerView(
        event=trigger.event,
        times=trigger.times,
        within=trigger.within,
        segment_id=segment.id if segment else None,
        segment=segment.name if segment else None,
        watching_since=segment.watching_since if segment else None,
        reenroll=trigger.reenroll,
        settings=trigger.settings,
        **known,
    )


def _unknown_segment() -> ProblemError:
    message = "expected the id of a segment: GET /v1/segments lists them"
    return invalid_request([{"loc": ("body", "segment_id"), "msg": message}])
