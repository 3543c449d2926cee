"""`cauce doctor`: what is reachable and what is not, and how to mend each."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import NamedTuple

from rich import box
from rich.table import Column, Table
from rich.text import Text

from cli.checks import Check, Fault, machine_checks, settings_checks, temporal_checks
from runtime.settings import SettingsError, load_settings

PATIENCE = timedelta(seconds=5)


class Finding(NamedTuple):
    """`mend` is empty if the check found nothing wrong."""

    what: str
    found: str
    mend: str = ""


async def examine() -> list[Finding]:
    """Look at everything, at the same time. Never raises, and never takes much longer than `PATIENCE`."""
    try:
        checks = [*machine_checks(), *settings_checks(load_settings()), *temporal_checks()]
        settings = Finding("settings", "valid")
    except SettingsError as error:
        checks = [*machine_checks(), *temporal_checks()]
        settings = Finding("settings", str(error), "set these variables right; then more can be looked at")
    return [settings, *await asyncio.gather(*(_look(check) for check in checks))]


def findings_table(findings: list[Finding]) -> Table:
    table = Table(*(Column(title, overflow="fold") for title in ("", "", "found", "how to mend it")), box=box.SIMPLE)
    for finding in findings:
        mark = Text("✗", "red") if finding.mend else Text("✓", "green")
        table.add_row(mark, finding.what, Text(finding.found), Text(finding.mend))
    return table


async def _look(check: Check) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return Finding(check.what, await check.look())
    except TimeoutError:
        return Finding(check.what, f"no answer within {PATIENCE.seconds} s", check.mend)
    except Fault as fault:
        return Finding(check.what, str(fault), fault.mend or check.mend)
    except Exception as error:  # a doctor names whatever is wrong, and goes on to the next
        return Finding(check.what, str(error) or type(error).__name__, check.mend)
