"""What the checks of flows find."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """Something wrong: where, as seen from the project's root, what it is, and how to mend it."""

    path: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        """One line that any terminal can show, whatever the names in it."""
        line = f"{self.path}:{self.line}: {self.what}: {self.mend}"
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)


class UnreadableFlow(ValueError):
    """A file in which no flow can be found."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))
