"""Whether a `cauce` command that a file names can be given: its name, its options and their values."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from typer.main import get_group

from cli.main import app

_GROUP = get_group(app)
COMMANDS = tuple(_GROUP.commands)


def fault_of(words: Sequence[str]) -> str | None:
    """What is wrong with `cauce` and these words, or None. Nothing is run."""
    if not words or words[0] == "--help":
        return None
    name, *rest = words
    if name not in COMMANDS:
        return f"there is no `cauce {name}`, only {', '.join(COMMANDS)}"
    try:
        _GROUP.commands[name].make_context(name, rest)
    except typer.Exit:  # --help
        return None
    except Exception as error:  # of the click that typer brings along, under no public name
        return f"`cauce {' '.join(words)}`: {error}"
    return None
