"""What came of flows."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.problems import answers
from api.report_view import FlowReport, flow_report
from api.routers.flows import flow_named
from api.wiring import Wired
from domain.limits import Day
from store.reports import Cohort
from store.tables import now

router = APIRouter(prefix="/v1/flows", tags=["flows"])


class ReportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Day | None = Field(
        default=None, alias="from", description="of those who entered on this day, in UTC, or later"
    )
    before: Day | None = Field(
        default=None,
        alias="to",
        description="of those who entered before this day, in UTC: from 2026-11-01 to 2026-12-01 is November",
    )
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = Field(
        default=None, description="of those who began on this build of the flow's code; the report names the builds"
    )

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.since is not None and self.before is not None and self.since >= self.before:
            raise ValueError("to: has to be a later day than from, which is the first of the days that count")
        return self


@router.get("/{flow}/report", responses=answers(404, 422))
async def report_flow(flow: str, query: Annotated[ReportRequest, Query()], services: Wired) -> FlowReport:
    """What came of those who entered a flow in some time: exits, the goal's rate, messages by step, people's answers.

    Whatever happened to them counts, whenever it happened. A message that machines alone opened or clicked is counted
    apart.
    """
    goal = flow_named(flow, services).about.goal
    cohort = Cohort(flow, since=query.since, before=query.before, build=query.version)
    async with services.database.read() as session:
        return await flow_report(session, goal, cohort, now())
