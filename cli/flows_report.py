"""`cauce flows report`: what came of a flow, as the API counts it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from rich import box
from rich.console import Group
from rich.table import Table

from cli.api_client import ApiClient
from runtime.settings import Settings

_COUNTS = ("reached", "sent", "delivered", "opened", "clicked", "bounced", "complained", "skipped", "deferred")


async def report(settings: Settings, flow: str, **query: str | None) -> Group:
    """`query`: from, to and version, as the API takes them. Raises: CommandFailed."""
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    async with ApiClient.of(settings) as api:
        return shown(await api.get(f"/v1/flows/{quote(flow, safe='')}/report?{asked}"))


def shown(report: dict[str, Any]) -> Group:
    """A report of the API, in a few lines and tables."""
    parts: list[Any] = [_summary(report), _goal(report["goal"])]
    if report["steps"]:
        parts.append(_steps(report["steps"]))
    if report["questions"]:
        parts.append(_questions(report["questions"]))
    return Group(*parts)


def _summary(report: dict[str, Any]) -> str:
    left = ", ".join(f"{each['exit']} {each['count']:,}" for each in report["exits"])
    return (
        f"{report['flow']}: {report['enrolled']:,} enrolled, {report['active']:,} active, {report['held']:,} held"
        + (f"; left: {left}" if left else "")
    )


def _goal(goal: dict[str, Any]) -> str:
    rate = "nobody yet" if goal["rate"] is None else f"{goal['rate']:.1%} ({goal['low']:.1%} to {goal['high']:.1%})"
    return f"{goal['event']}: {rate}, target {goal['target']:.1%}: {goal['verdict']}"


def _steps(steps: list[dict[str, Any]]) -> Table:
    table = Table("step", *_COUNTS, box=box.SIMPLE)
    for step in steps:
        table.add_row(step["step"], *(_count(step[name]) for name in _COUNTS))
    return table


def _count(count: int | dict[str, int]) -> str:
    if isinstance(count, int):
        return f"{count:,}"
    machines = f" (+{count['machines_only']:,} by machines)" if count["machines_only"] else ""
    return f"{count['people']:,}{machines}"


def _questions(questions: list[dict[str, Any]]) -> Table:
    table = Table("asked of the team", "step", "asked", "open", "overdue", "answered", "median", "p90", box=box.SIMPLE)
    for each in questions:
        answered = each["answered"]
        counts = (f"{each[name]:,}" for name in ("asked", "open", "overdue"))
        times = (answered[name] or "" for name in ("median", "p90"))
        table.add_row(each["kind"], each["step"], *counts, f"{answered['count']:,}", *times)
    return table
