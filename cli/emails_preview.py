"""`cauce emails preview`: one message as one contact would get it."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from cli.chosen_message import ChosenMessage
from cli.failures import CommandFailed
from cli.terminal import say


def preview_message(chosen: ChosenMessage, folder: Path, *, in_browser: bool) -> None:
    """Write the HTML into the folder, over that of an earlier preview; print the rest. Raises: CommandFailed."""
    rendered = chosen.rendered
    file = folder / f"{chosen.flow}.{chosen.message}.{rendered.locale}.html"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(rendered.html, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}: give another folder by --output") from None
    say(f"{chosen.flow}/{chosen.message} in {rendered.locale}, as {chosen.reader} would get it")
    say(f"  subject  {rendered.subject}")
    say(f"  HTML     {file}")
    if chosen.unsubscribe_url:
        say(f"  opt-out  {chosen.unsubscribe_url}, which changes nothing")
    say(f"\n{rendered.text}")
    if in_browser and not webbrowser.open(file.resolve().as_uri()):
        say("no browser could be opened: open the HTML yourself")
