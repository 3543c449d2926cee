"""The flows that the code has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.paging import Page
from api.problems import answers, not_found
from api.wiring import Services, Wired
from domain.flows import Goal
from workflows.discovery import FlowClass

router = APIRouter(prefix="/v1/flows", tags=["flows"])


class FlowView(BaseModel):
    name: str = Field(examples=["onboarding"])
    title: str = Field(examples=["Onboarding: from welcome to first success"])
    goal: Goal = Field(examples=[{"event": "activated", "target": 0.4, "within": "P14D"}])
    owner: str = Field(description="the team that answers for it", examples=["customer success"])
    listens: list[str] = Field(description="events that its journey waits for, besides the goal")
    reenroll_after: timedelta | None = Field(
        description="since the last enrollment ended; null: a contact enters once only"
    )
    settings_schema: dict[str, Any] = Field(description="JSON Schema of the settings that an enrollment may change")


@router.get("")
async def list_flows(services: Wired) -> Page[FlowView]:
    """Every flow, by name."""
    return Page(items=[_view(name, flow) for name, flow in services.flows.items()], next_cursor=None)


@router.get("/{flow}", responses=answers(404, 422))
async def read_flow(flow: str, services: Wired) -> FlowView:
    """One flow."""
    return _view(flow, flow_named(flow, services))


def flow_named(name: str, services: Services) -> FlowClass:
    """Raises: ProblemError 404."""
    if name not in services.flows:
        raise not_found("flow of this name: GET /v1/flows lists those that there are")
    return services.flows[name]


def _view(name: str, flow: FlowClass) -> FlowView:
    return FlowView(
        name=name,
        title=flow.about.title,
        goal=flow.about.goal,
        owner=flow.about.owner,
        listens=sorted(flow.about.listens),
        reenroll_after=flow.about.reenroll_after,
        settings_schema=flow.settings_model.model_json_schema(),
    )
