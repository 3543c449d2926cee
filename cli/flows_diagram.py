"""`cauce flows diagram`: a flow's process map, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cli.failures import CommandFailed
from inspection.diagram_mermaid import mermaid
from inspection.diagram_source import ReadFlow
from inspection.faults import UnreadableFlow
from inspection.svg import svg
from workflows.discovery import discover_flows


def drawn(flow: str, form: Literal["mermaid", "svg"]) -> str:
    """Draw a flow as its code is now. Raises: CommandFailed."""
    flows = discover_flows()
    if flow not in flows:
        raise CommandFailed(f"there is no flow {flow}: name one of {', '.join(flows)}")
    try:
        diagram = ReadFlow.of(flows[flow]).diagram
    except UnreadableFlow as error:
        raise CommandFailed(str(error)) from None
    return svg(diagram, flow) if form == "svg" else mermaid(diagram)


def write(text: str, path: Path) -> None:
    """Raises: CommandFailed."""
    try:
        path.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandFailed(f"--output {path} cannot be written ({error.strerror}): name another file") from None
