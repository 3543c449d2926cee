"""A bar on standard error that says how far an import is: what was sent, and what is done."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress:
    """Shown at a terminal, and nowhere else. `bytes_done` is how much of the file the API has said to be done."""

    def __init__(self, size: int) -> None:
        self.bytes_done = 0
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[lines]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._sending = self._bars.add_task("sending", total=size, lines="")
        self._doing = self._bars.add_task("done", total=size, lines="")

    def sent(self, size: int) -> None:
        self._bars.update(self._sending, completed=size, description="sending")

    def done(self, known: dict[str, Any]) -> None:
        """`known` is the import as the API has it."""
        self.bytes_done = known["bytes_done"]
        lines = f"{known['lines']:,} lines, {known['bad']:,} bad"
        self._bars.update(self._doing, completed=self.bytes_done, lines=lines)

    def note(self, what: str) -> None:
        """Say what holds the sending up."""
        self._bars.update(self._sending, description=what)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
