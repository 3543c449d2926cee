"""Which version of a flow's code is at hand: a digest of its sources, the same on every machine."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from workflows.discovery import FlowClass

_FOLLOWED = ("domain", "workflows")
"""What decides a flow's commands. Activities are not part of it: all versions of a flow share them."""


@cache
def build_id(flow: FlowClass) -> str:
    """Twelve hexadecimal digits that change with the flow's module and whatever it imports of `domain` and `workflows`.

    Every character counts but line ends: a comment makes a version too, whose contacts move on without noticing. Read
    once: an edit while a process runs makes no other version of what it has loaded.
    """
    sources: dict[str, str] = {}
    _gather(flow.__module__, sources)
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()[:12]


def _gather(name: str, sources: dict[str, str]) -> None:
    if name in sources:
        return
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # what is imported is a name within a module
        return
    if spec is None or spec.origin is None:
        return
    # Universal newlines: a checkout on Windows is the same version.
    sources[name] = Path(spec.origin).read_text(encoding="utf-8")
    for imported in _imports(ast.parse(sources[name])):
        if imported.partition(".")[0] in _FOLLOWED:
            _gather(imported, sources)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
