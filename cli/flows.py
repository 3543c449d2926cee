"""`cauce flows`: what flows there are, how good each is, and what can be set in each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from rich import box
from rich.table import Column, Table

from cli.failures import CommandFailed
from cli.flows_check import HERE
from domain.durations import in_words
from domain.flows import FlowSettings, Goal
from inspection.grades import Fact, Measure
from inspection.layout import Layout
from inspection.quality import Quality, qualities
from workflows.discovery import FlowClass, discover_flows


def flows_table(layout: Layout = HERE) -> Table:
    """Settings are written as the API takes them: durations in ISO 8601."""
    titles = ("flow", "title", "goal", "owner", "quality", "settings and their defaults")
    table = Table(*(Column(title, overflow="fold") for title in titles), box=box.SIMPLE)
    flows = discover_flows()
    for quality in qualities(layout):
        about, settings = flows[quality.flow].about, _settings(flows[quality.flow].settings_model)
        table.add_row(quality.flow, about.title, _goal(about.goal), about.owner, told(quality), settings)
    return table


def flows_json(layout: Layout = HERE) -> str:
    """A list of flows. `quality` has all that is missing, and `needs` what to do for the next grade."""
    flows = discover_flows()
    return json.dumps([_document(flows[each.flow], each) for each in qualities(layout)], indent=2, ensure_ascii=False)


def told(quality: Quality) -> str:
    """The grade and what it is made of, and below it what to do for the next one."""
    grade = str(quality.grade or "no grade")
    facts = (_fact(fact, quality.measures[fact]) for fact in (Fact.EXITS, Fact.HISTORIES, Fact.LOCALES, Fact.PAGE))
    needs = []
    if quality.next is not None:
        above, lacking = quality.next
        needs = [f"for {above}: {measure.mend}" for measure in lacking if measure.here]
        grade += "" if needs else " at least"
    return "\n".join([" · ".join([grade, *facts]), *needs])


def _fact(fact: Fact, measure: Measure) -> str:
    if not measure.here:
        return f"{fact} not here"
    if fact is Fact.PAGE:
        return f"{fact} {'current' if measure.whole else 'stale'}"
    return f"{fact} {measure.done}/{measure.of}"


def _document(flow: FlowClass, quality: Quality) -> dict[str, Any]:
    above, lacking = quality.next or (None, [])
    return {
        "flow": quality.flow,
        "title": flow.about.title,
        "goal": flow.about.goal.model_dump(mode="json"),
        "owner": flow.about.owner,
        "version": quality.version,
        "quality": {
            "grade": quality.grade,
            "next": above and {"grade": above, "needs": [measure.mend or "not here" for measure in lacking]},
            **{str(fact): to_jsonable_python(measure) for fact, measure in quality.measures.items()},
        },
        "settings": flow.settings_model.model_construct().model_dump(mode="json"),
    }


def known_flows(names: Iterable[str]) -> list[str]:
    """The names, all of which are flows. Raises: CommandFailed."""
    flows = discover_flows()
    for name in names:
        if name not in flows:
            raise CommandFailed(f"there is no flow {name}: there are {', '.join(flows)}")
    return list(names)


def _goal(goal: Goal) -> str:
    return f"{' or '.join((goal.event, *goal.others))}: {goal.target:.0%} within {in_words(goal.within)}"


def _settings(model: type[FlowSettings]) -> str:
    return "\n".join(f"{name}={_default(field)}" for name, field in model.model_fields.items())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    default = field.get_default(call_default_factory=True)
    is_model = isinstance(default, BaseModel)
    told = default.model_dump(mode="json", exclude_defaults=True) if is_model else to_jsonable_python(default)
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
