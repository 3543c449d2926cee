"""`cauce simulate`: virtual contacts through a flow's real code, and what comes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.failures import CommandFailed
from cli.simulated import difference_lines, funnel_table, paired_table, report_lines
from cli.terminal import say, show
from rehearsal.behaviour import DEFAULT_BEHAVIOUR, Behaviour, BehaviourError
from rehearsal.funnel import Report, changed
from rehearsal.revision import Revision
from rehearsal.simulation import Asked, CannotSimulate, checked_settings, message_types, simulate
from workflows.discovery import discover_flows


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BehaviourError, CannotSimulate) as error:
        raise CommandFailed(str(error)) from None


@_told()
def simulate_flow(
    name: str,
    contacts: int,
    seed: int,
    behaviour_file: Path | None,
    overrides: dict[str, Any],
    revision: str | None,
    *,
    as_json: bool,
) -> None:
    """Simulate, and print what comes of it. Raises: CommandFailed."""
    flows = discover_flows()
    if name not in flows:
        raise CommandFailed(f"there is no flow {name}, only {', '.join(flows) or 'none'}: see `cauce flows`")
    flow, messages = flows[name], message_types(name)
    behaviour = Behaviour.read(behaviour_file or DEFAULT_BEHAVIOUR, flow.about, messages)
    asked = Asked(flow=name, contacts=contacts, seed=seed, settings=checked_settings(flow, overrides))
    before = None
    with ExitStack() as stack:
        # Both at the same time: the other revision has a process of its own.
        other = stack.enter_context(Revision(revision, asked, behaviour)) if revision is not None else None
        with _progress(contacts) as advanced:
            report = Report.of(asked, flow.about.goal, simulate(asked, flow, messages, behaviour, advanced))
        if other is not None:
            before = other.report().with_present_names(flow.about.renamed)
    if as_json:
        _print_json(report, before)
        return
    if behaviour_file is None:
        say(f"behaviour: the default; another by --behaviour FILE\n\n{DEFAULT_BEHAVIOUR.read_text(encoding='utf-8')}")
    _print(report)
    if before is not None and revision is not None:
        _print_differences(before, report, revision)


def _print(report: Report) -> None:
    for line in report_lines(report):
        say(line)
    show(funnel_table(report))


def _print_differences(before: Report, after: Report, revision: str) -> None:
    for line in difference_lines(before, after, revision):
        say(line)
    show(paired_table(before, after, revision))


def _print_json(report: Report, before: Report | None) -> None:
    """With a comparison: `before`, `after`, and `changed` contacts."""
    document = report.model_dump(mode="json")
    if before is not None:
        document = {
            "before": before.model_dump(mode="json"),
            "after": document,
            "changed": [each.model_dump(mode="json") for each in changed(before, report)],
        }
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def _progress(contacts: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("contacts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("contacts", total=contacts)
        yield lambda: progress.advance(bar)
