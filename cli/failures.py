"""How a command says that it cannot go on."""

from __future__ import annotations


class CommandFailed(Exception):
    """The text is all that the person at the terminal reads: what, which value, where to mend it."""
