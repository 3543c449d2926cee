from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.failures import CommandFailed
from cli.flow_histories import forget_version, record_flows, replay_flows
from rehearsal.recording import HISTORIES
from workflows.builds import build_id
from workflows.onboarding import Onboarding

VERSION = build_id(Onboarding)


async def test_what_is_recorded_replays_until_it_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await record_flows(["onboarding"], tmp_path)
    assert f"✓ onboarding: 13 histories in tests/histories/onboarding/{VERSION}" in capsys.readouterr().out
    assert await replay_flows(["onboarding"], tmp_path)
    assert "✓ onboarding: 13 replays" in capsys.readouterr().out

    waiting = tmp_path / HISTORIES / "onboarding" / VERSION / "waiting-time-to-try.json"
    history = json.loads(waiting.read_text())
    for event in history["events"]:
        attributes = event.get("activityTaskScheduledEventAttributes", {})
        if attributes.get("activityId") == "need-a-hand":
            attributes["activityId"] = "old-hand"
    waiting.write_text(json.dumps(history))
    assert not await replay_flows([], tmp_path)
    told = capsys.readouterr().out
    assert "where the history does step old-hand, the code does step need-a-hand" in told
    assert f"contacts on version {VERSION} who wait in time-to-try would be stuck" in told
    assert "✗ onboarding: " in told

    forget_version([], VERSION, tmp_path)
    assert await replay_flows([], tmp_path)
    assert "nothing is recorded: run cauce flows record onboarding" in capsys.readouterr().out


async def test_names_that_do_not_exist_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there is no flow winback"):
        await replay_flows(["winback"], tmp_path)
    with pytest.raises(CommandFailed, match="no version 0123456789ab is recorded in tests/histories"):
        forget_version(["onboarding"], "0123456789ab", tmp_path)
