"""`cauce flows check`: what is wrong with flows as they are written, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import workflows
from inspection.checks import Checked, check_flow, flow_names, stray_folders
from inspection.layout import Layout

HERE = Layout.of(Path(workflows.__path__[0]).parent)
"""The project that this command belongs to."""


def check_flows(names: Sequence[str], layout: Layout = HERE) -> tuple[list[str], bool]:
    """Check these flows, or all, and folders that belong to none; answer what to print, and whether all is well."""
    checked = [check_flow(name, layout) for name in dict.fromkeys(names) or flow_names(layout)]
    strays = [] if names else [str(fault) for fault in stray_folders(layout)]
    lines = [line for flow in checked for line in _lines(flow)] + strays
    return lines, not strays and not any(flow.faults for flow in checked)


def _lines(flow: Checked) -> Iterator[str]:
    yield from map(str, flow.faults)
    if not flow.faults:
        yield f"✓ {flow.flow}: {flow.told}"
