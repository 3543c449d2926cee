"""What keeps a flow from being found, named with its mend."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from workflows.discovery import discover_flows

FLOW = """
from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.triggers import Trigger
from workflows.flow import Flow


@workflow.defn(name="{name}")
class Trial(Flow[FlowSettings]):
    about = FlowType(
        title="Try it out",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        triggers=(Trigger(event="signed_up", settings={settings}),),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("tip")
"""


@pytest.mark.parametrize(
    ("package", "name", "settings", "why"),
    [
        ("misnamed_flows", "test", "{}", "the flow is named 'test', its file 'trial'"),
        ("misset_flows", "trial", '{"plan": "team"}', "the trigger on signed_up sets .* does not take: plan"),
    ],
)
def test_a_flow_that_contradicts_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str, settings: str, why: str
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    source = FLOW.replace("{name}", name).replace("{settings}", settings)
    (tmp_path / package / "trial.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=why):
        discover_flows(importlib.import_module(package))
