"""`cauce flows check`: what it prints, and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import flows_check
from cli.flow_commands import app
from tests.inspection.project import FlowProject

SOUND = (Path(__file__).parent / "sound/the_least.py.txt").read_text()


def test_a_sound_flow_is_told_in_one_line(flow_project: FlowProject) -> None:
    flow_project.add("trial", SOUND)
    assert flows_check.check_flows([], flow_project.layout) == (["✓ trial: 1 step, 0 waits, 1 message"], True)


def test_faults_are_told_flow_by_flow_and_folders_of_none_at_last(flow_project: FlowProject) -> None:
    flow_project.add("trial", SOUND)
    flow_project.add("second", SOUND.replace('"trial"', '"second"').replace('        owner="marketing",\n', ""))
    flow_project.add_message("winback", "tip")
    lines, sound = flows_check.check_flows([], flow_project.layout)
    assert lines == [
        "workflows/second.py:15: about has no owner: add owner=… to FlowType",
        "✓ trial: 1 step, 0 waits, 1 message",
        "emails/winback:1: no flow is called winback: delete the folder, or rename it",
    ]
    assert not sound
    assert flows_check.check_flows(["trial", "trial"], flow_project.layout) == (lines[1:2], True)


@pytest.mark.parametrize("name", ["nosuch", "../trial"])
def test_a_fault_is_told_by_the_exit_status(name: str) -> None:
    result = CliRunner().invoke(app, ["check", name])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert result.output.startswith("workflows")


def test_this_command_checks_the_project_that_it_belongs_to() -> None:
    assert Path(__file__).is_relative_to(flows_check.HERE.tests)
