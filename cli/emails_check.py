"""`cauce emails check`: what is wrong with messages, as their templates are written and as their readers get them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from cli.failures import CommandFailed
from cli.flows_check import HERE
from domain.broadcasts import FLOW as BROADCAST
from domain.flows import FlowSettings
from emails.folder import PEOPLE
from inspection.checks import stray_folders
from inspection.faults import Fault
from inspection.layout import Layout
from inspection.rendered.checks import CheckedFlow, CheckedMessage, check_messages
from inspection.rendered.inbox import CLIPPED_FROM
from inspection.rendered.rendering import Rendering
from workflows.discovery import discover_flows


@dataclass(frozen=True)
class CheckedEmails:
    """`strays` are folders that belong to no flow."""

    flows: Sequence[CheckedFlow]
    strays: Sequence[Fault]

    @property
    def is_sound(self) -> bool:
        return not self.strays and not any(flow.all_faults for flow in self.flows)


def check_emails(names: Sequence[str], layout: Layout = HERE) -> CheckedEmails:
    """Check the messages of these flows, or all. Raises: CommandFailed if a name is no flow's."""
    models = {flow: found.settings_model for flow, found in discover_flows().items()}
    models |= dict.fromkeys((BROADCAST, PEOPLE), FlowSettings)
    for name in names:
        if name not in models:
            raise CommandFailed(f"there is no flow {name}: there are {', '.join(models)}")
    rendering = Rendering(layout.emails, only=names[0] if len(names) == 1 else None)
    flows = [check_messages(rendering, flow, models[flow]) for flow in dict.fromkeys(names) or models]
    return CheckedEmails(flows, [] if names else stray_folders(layout))


def emails_lines(checked: CheckedEmails) -> Iterator[str]:
    """A line for each problem, and one for each flow without one, which says what was measured."""
    for flow in checked.flows:
        yield from map(str, flow.all_faults)
        yield from (f"warning: {warning}" for warning in flow.warnings)
        if not flow.all_faults:
            yield f"✓ {flow.flow}: {_told(flow.messages)}"
    yield from map(str, checked.strays)


def emails_json(checked: CheckedEmails) -> str:
    return json.dumps(asdict(checked), indent=2, ensure_ascii=False)


def _told(messages: Sequence[CheckedMessage]) -> str:
    if not messages:
        return "no messages"
    count = len({message.message for message in messages})
    kilobytes = math.ceil(max(message.html_bytes for message in messages) / 1024)
    contrast = min(message.least_contrast for message in messages)
    return (
        f"{count} message{'s' * (count > 1)} in {', '.join(sorted({message.locale for message in messages}))}; at most "
        f"{kilobytes} KB of HTML (Gmail clips at {CLIPPED_FROM // 1024}) and {_longest(messages)} characters of "
        f"subject; contrast of {math.floor(contrast * 10) / 10}:1 or more"
    )


def _longest(messages: Sequence[CheckedMessage]) -> int:
    return max(len(message.subject) for message in messages)
