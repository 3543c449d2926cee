"""What the start-up checks of templates say, as faults."""

from __future__ import annotations

import re

from inspection.faults import Fault

_LOCATED = re.compile(r"(?P<path>[^\s:]+/[^\s:]+)(?::(?P<line>\d+))? (?P<what>.*)")


def template_fault(problem: str, elsewhere: str, line: int = 1) -> Fault:
    """A problem is one line, `path:line what: mend`; without a path it is of `elsewhere`, in `line`."""
    what, _, mend = problem.replace("\n", " ").rpartition(": ")
    if found := _LOCATED.fullmatch(what):
        return Fault(found["path"], int(found["line"] or 1), found["what"], mend)
    return Fault(elsewhere, line, what, mend)
