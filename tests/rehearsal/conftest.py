"""Recordings that several modules look at: each takes seconds, and is made once in each process that needs it."""

from __future__ import annotations

import pytest

from rehearsal.recording import record
from rehearsal.replaying import Recorded, recorded_histories
from rehearsal.stage import shipped_templates
from tests.flows.specimen_templates import specimen_templates
from tests.flows.specimens.nurturing import Nurturing
from tests.rehearsal.fair import Fair


@pytest.fixture(scope="session")
async def of_nurturing(tmp_path_factory: pytest.TempPathFactory) -> list[Recorded]:
    folder = tmp_path_factory.mktemp("nurturing")
    await record(Nurturing, folder, specimen_templates())
    return recorded_histories(folder, ["nurturing"])


@pytest.fixture(scope="session")
async def of_fair(tmp_path_factory: pytest.TempPathFactory) -> list[Recorded]:
    """Of a flow that asks people in roles of its own."""
    folder = tmp_path_factory.mktemp("fair")
    await record(Fair, folder, shipped_templates())
    return recorded_histories(folder, ["fair"])
