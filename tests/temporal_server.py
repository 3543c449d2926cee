"""Temporal's full server, in real time."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from runtime.encryption import data_converter
from runtime.temporal import SEARCH_ATTRIBUTES

SCRIPTS = Path(sysconfig.get_path("scripts"))


async def temporal_server(*more: str) -> WorkflowEnvironment:
    """One of the caller's own, to be entered with `async with await`. `more`: what its command is given beside."""
    return await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(SCRIPTS / "temporal"),
        search_attributes=SEARCH_ATTRIBUTES,
        data_converter=data_converter(()),
        dev_server_log_level="error",
        dev_server_extra_args=more,
    )
