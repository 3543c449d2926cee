"""Whether a `cauce` command that a file names can be given: its name, its options and their values."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from typer.main import get_group

from cli.main import app

_GROUP = get_group(app)
COMMANDS = tuple(_GROUP.commands)
SUBCOMMANDS = tuple(
    (name, below) for name, command in _GROUP.commands.items() for below in getattr(command, "commands", {})
)
"""Pairs such as (`flows`, `check`)."""


def fault_of(words: Sequence[str]) -> str | None:
    """What is wrong with `cauce` and these words, or None. Nothing is run."""
    if not words or words[0] == "--help":
        return None
    name, *rest = words
    if name not in COMMANDS:
        return f"there is no `cauce {name}`, only {', '.join(COMMANDS)}"
    command = _GROUP.commands[name]
    if rest and (below := getattr(command, "commands", {})):
        if rest[0] not in below:
            return f"there is no `cauce {name} {rest[0]}`, only {', '.join(below)}"
        name, command, rest = f"{name} {rest[0]}", below[rest[0]], rest[1:]
    try:
        command.make_context(name, rest)
    except typer.Exit:  # --help
        return None
    except Exception as error:  # of the click that typer brings along, under no public name
        return f"`cauce {' '.join(words)}`: {error}"
    return None
