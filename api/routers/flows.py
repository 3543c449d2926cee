"""The flows that the code has, and holding them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.paging import Page
from api.problems import answers, not_found
from api.telling import tell
from api.wiring import Services, Wired
from domain.flows import Goal
from store.holds import Change, Scope, held_wrongly_told, hold, open_holds, resume
from store.tables import now
from workflows.discovery import FlowClass

router = APIRouter(prefix="/v1/flows", tags=["flows"])

TOLD_DIRECTLY = 20
"""Runs that learn at once that their flow is held, or is not any more. The sweep tells the others."""


class FlowView(BaseModel):
    name: str = Field(examples=["onboarding"])
    title: str = Field(examples=["Onboarding: from welcome to first success"])
    goal: Goal = Field(examples=[{"event": "activated", "target": 0.4, "within": "P14D"}])
    owner: str = Field(description="the team that answers for it", examples=["customer success"])
    listens: list[str] = Field(description="events that its journey waits for, besides the goal")
    reenroll_after: timedelta | None = Field(
        description="since the last enrollment ended; null: a contact enters once only"
    )
    triggers: list[str] = Field(
        description="what enrolls contacts in it by itself, as its code declares: /v1/flows/{flow}/triggers has all"
    )
    held: bool = Field(description="none of its enrollments starts anything: hold and resume change it")
    settings_schema: dict[str, Any] = Field(description="JSON Schema of the settings that an enrollment may change")


@router.get("")
async def list_flows(services: Wired) -> Page[FlowView]:
    """Every flow, by name."""
    held = await _held(services, list(services.flows))
    return Page(items=[_view(name, flow, name in held) for name, flow in services.flows.items()], next_cursor=None)


@router.get("/{flow}", responses=answers(404, 422))
async def read_flow(flow: str, services: Wired) -> FlowView:
    """One flow."""
    known = flow_named(flow, services)
    return _view(flow, known, flow in await _held(services, [flow]))


@router.post("/{flow}/hold", status_code=202, responses=answers(404, 422))
async def hold_flow(flow: str, services: Wired) -> FlowView:
    """Hold a whole flow: nobody in it goes on, and who enters it stands at its beginning, until it is resumed.

    Exits still work. Runs learn of it one after the other, and send nothing from here on. Twice changes nothing.
    """
    return await _change(services, flow, hold)


@router.post("/{flow}/resume", status_code=202, responses=answers(404, 422))
async def resume_flow(flow: str, services: Wired) -> FlowView:
    """Lift the hold of a flow. Enrollments and contacts that are held by themselves stay held."""
    return await _change(services, flow, resume)


async def _change(services: Services, flow: str, change: Change) -> FlowView:
    known = flow_named(flow, services)
    async with services.database.write() as session:
        await change(session, Scope.FLOW, flow)
    async with services.database.read() as session:
        first = await held_wrongly_told(session, flow, now(), TOLD_DIRECTLY)
        held = await open_holds(session, Scope.FLOW, [flow])
    await tell(services.dispatcher.tell_holds(first), f"hold of flow {flow}")
    return _view(flow, known, bool(held))


def flow_named(name: str, services: Services) -> FlowClass:
    """Raises: ProblemError 404."""
    if name not in services.flows:
        raise not_found("flow of this name: GET /v1/flows lists those that there are")
    return services.flows[name]


async def _held(services: Services, flows: list[str]) -> frozenset[str]:
    async with services.database.read() as session:
        return await open_holds(session, Scope.FLOW, flows)


def _view(name: str, flow: FlowClass, held: bool) -> FlowView:
    return FlowView(
        name=name,
        title=flow.about.title,
        goal=flow.about.goal,
        owner=flow.about.owner,
        listens=sorted(flow.about.listens),
        reenroll_after=flow.about.reenroll_after,
        triggers=[trigger.in_words() for trigger in flow.about.triggers],
        held=held,
        settings_schema=flow.settings_model.model_json_schema(),
    )
