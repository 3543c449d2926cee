"""Gives every test the fixture `journey`. pytest finds it through the entry point of the installed package.

Nothing heavy is imported here: pytest loads this module in every project of the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rehearsal.journey import JourneyStarter


@pytest.fixture
def journey() -> JourneyStarter:
    """`async with journey(Onboarding, contact=ada) as j`: see docs/testing-flows.md."""
    from rehearsal.journey import journey as begin

    return begin
