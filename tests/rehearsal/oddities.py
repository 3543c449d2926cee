"""A flow that does what no flow should, or what no rehearsal knows: chosen by the settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow

Oddity = Literal["mistake", "clock", "endless", "call", "child", "unwritten"]


class OdditiesSettings(FlowSettings):
    oddity: Oddity


@workflow.defn(name="oddities")
class Oddities(Flow[OdditiesSettings]):
    about = FlowType(
        title="Odd",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="nobody",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked", "replied"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.wait("a-day", timedelta(days=1))
        match self.settings.oddity:
            case "mistake":
                raise KeyError("plan")
            case "clock":
                datetime.now()  # noqa: DTZ005
            case "endless":
                await workflow.wait_condition(lambda: False)
            case "call":
                await workflow.execute_activity(
                    "crm.update", activity_id="tell-the-crm", start_to_close_timeout=timedelta(seconds=9)
                )
            case "child":
                await workflow.execute_child_workflow("another", id="another")
            case "unwritten":
                await self.send("letter")
