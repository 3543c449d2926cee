"""How a forecast of a deploy is shown: a row for each step that contacts stand at, or JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from rehearsal.forecast import Fate, Forecast

if TYPE_CHECKING:
    from cli.deploy import Situation

BETWEEN_STEPS = "(between steps)"


def forecast_table(situations: Sequence[Situation]) -> Table:
    table = Table(
        Column("flow", overflow="fold"),
        Column("step", overflow="fold"),
        Column("contacts", justify="right"),
        *(Column(fate.value, justify="right") for fate in Fate),
        Column("what they meet", overflow="fold"),
        box=box.SIMPLE,
    )
    for situation in situations:
        table.add_row(situation.name, _versions(situation), str(len(situation.forecasts)))
        for step, forecasts in _by_step(situation.forecasts).items():
            fates = Counter(forecast.fate for forecast in forecasts)
            counts = [str(fates[fate] or "") for fate in Fate]
            table.add_row("", step, str(len(forecasts)), *counts, "\n".join(_meetings(forecasts)))
    return table


def as_json(situations: Sequence[Situation], gone: Mapping[str, int]) -> str:
    """`flows` by name: `current` and `at_hand` builds, `on_edit`, `totals` by fate, and `steps` with the same.

    `gone` counts contacts in flows that the code has no longer.
    """
    flows = {situation.name: _flow(situation) for situation in situations}
    return json.dumps({"flows": flows, "gone": gone}, indent=2)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Takes how much is done, of how much; on standard error, and only on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _flow(situation: Situation) -> dict[str, Any]:
    return {
        "at_hand": situation.build,
        "current": situation.deployment.current,
        "ramping": situation.deployment.ramping,
        "percentage": situation.deployment.percentage,
        "on_edit": situation.flow.about.on_edit,
        "totals": _counts(situation.forecasts),
        "steps": {step: _counts(forecasts) for step, forecasts in _by_step(situation.forecasts).items()},
    }


def _counts(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    fates = Counter(forecast.fate for forecast in forecasts)
    return {
        "contacts": len(forecasts),
        **{fate.name.lower(): fates[fate] for fate in Fate},
        "skips": dict(Counter(step for forecast in forecasts for step in forecast.skips)),
        "goes_on_to": dict(Counter(_goes_on_to(each) for each in forecasts if each.fate is Fate.GOES_ON)),
        "reasons": dict(Counter(forecast.reason for forecast in forecasts if forecast.reason)),
    }


def _by_step(forecasts: Sequence[Forecast]) -> dict[str, list[Forecast]]:
    """Steps in the order of how many contacts stand there."""
    found: dict[str, list[Forecast]] = {}
    for forecast in forecasts:
        found.setdefault(forecast.step or BETWEEN_STEPS, []).append(forecast)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _meetings(forecasts: Sequence[Forecast]) -> Iterator[str]:
    counts = _counts(forecasts)
    yield from (f"{count} skip {step}" for step, count in counts["skips"].items())
    yield from (f"{count} go on to {where}" for where, count in counts["goes_on_to"].items())
    yield from (f"{count} {Fate.CANNOT}: {reason}" for reason, count in counts["reasons"].items())


def _goes_on_to(forecast: Forecast) -> str:
    landing = forecast.landing
    if landing is None or landing.doing == "ended":
        return f"the end ({landing.exit})" if landing else "?"
    return f"{landing.step}, at once" if landing.doing == "activity" else str(landing.step)


def _versions(situation: Situation) -> str:
    deployment = situation.deployment
    told = f"on edit: {situation.flow.about.on_edit}"
    if deployment.ramping is not None:
        told = f"{deployment.ramping} gets {deployment.percentage:g} %; {told}"
    if deployment.current in (None, situation.build):
        return f"build {situation.build} is current; {told}"
    return f"build {deployment.current} → {situation.build}; {told}"
