"""What was recorded of each flow, of every version that contacts may be on, goes on with the code at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.recording import HISTORIES
from rehearsal.replaying import Fate, Recorded, recorded_histories, replay
from workflows.discovery import discover_flows

FLOWS = discover_flows()
RECORDED = recorded_histories(Path(__file__).parents[2] / HISTORIES, FLOWS)


@pytest.mark.parametrize("recorded", RECORDED, ids=str)
async def test_a_contact_in_this_state_could_go_on(recorded: Recorded) -> None:
    verdict = await replay(recorded, FLOWS[recorded.flow])
    assert verdict.fate is not Fate.STUCK, verdict.told


@pytest.mark.parametrize("flow", FLOWS)
def test_every_flow_is_recorded(flow: str) -> None:
    names = {recorded.name for recorded in RECORDED if recorded.flow == flow}
    assert "finished" in names, f"nothing is recorded of {flow}: run cauce flows record {flow}"
