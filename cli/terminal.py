"""What commands print with, tidy in a pipe or a file too."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType

_WIDTH_WITHOUT_TERMINAL = 200
"""Columns; Rich would fold tables at 80, where nobody needs it."""


class _SteadfastConsole(Console):
    """Goes on in silence when its reader is gone: a command that keeps processes has to end them first."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def say(line: str) -> None:
    """Print text as it is, at once."""
    _print(line, soft_wrap=True)


def show(what: RenderableType) -> None:
    """Print a table."""
    _print(what, soft_wrap=False)


def _print(what: RenderableType, *, soft_wrap: bool) -> None:
    console = _SteadfastConsole(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    try:
        console.print(what, markup=False, highlight=False, emoji=False, soft_wrap=soft_wrap)
    except OSError:  # the terminal was closed
        return
