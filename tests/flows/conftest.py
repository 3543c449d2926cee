from __future__ import annotations

import pytest

from rehearsal.journey import JourneyStarter
from rehearsal.journey import journey as begin
from tests.flows.specimen_templates import with_specimens


@pytest.fixture
def journey() -> JourneyStarter:
    """The fixture of rehearsal.pytest_plugin, for the specimens too."""
    return with_specimens(begin)
