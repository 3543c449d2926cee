"""`cauce flows`: what flows there are, and what can be set in each."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from rich import box
from rich.table import Column, Table

from cli.failures import CommandFailed
from domain.durations import in_words
from domain.flows import FlowSettings, Goal
from workflows.discovery import discover_flows


def flows_table() -> Table:
    """Settings are written as the API takes them: durations in ISO 8601."""
    titles = ("flow", "title", "goal", "owner", "settings and their defaults")
    table = Table(*(Column(title, overflow="fold") for title in titles), box=box.SIMPLE)
    for name, flow in discover_flows().items():
        about = flow.about
        table.add_row(name, about.title, _goal(about.goal), about.owner, _settings(flow.settings_model))
    return table


def known_flows(names: Iterable[str]) -> list[str]:
    """The names, all of which are flows. Raises: CommandFailed."""
    flows = discover_flows()
    for name in names:
        if name not in flows:
            raise CommandFailed(f"there is no flow {name}: there are {', '.join(flows)}")
    return list(names)


def _goal(goal: Goal) -> str:
    return f"{goal.event}: {goal.target:.0%} within {in_words(goal.within)}"


def _settings(model: type[FlowSettings]) -> str:
    return "\n".join(f"{name}={_default(field)}" for name, field in model.model_fields.items())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    return str(to_jsonable_python(field.get_default(call_default_factory=True)))
