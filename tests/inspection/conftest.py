"""A project of one flow, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inspection.project import FlowProject


@pytest.fixture
def flow_project(tmp_path: Path) -> FlowProject:
    return FlowProject(tmp_path)
