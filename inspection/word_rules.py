"""What a flow says to people of the team, and whether it is said in their languages: `emails/<flow>/words.toml`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from emails.words import read_words
from inspection.declarations import text_of
from inspection.faults import Fault
from inspection.flow_source import FlowSource
from inspection.layout import Layout

_ASKING = frozenset({"ask", "task", "assign_lead"})


def said_to_people(source: FlowSource) -> list[str]:
    """Title, subjects and names of facts, as far as they are written down; none if the flow asks nobody."""
    asking = [call for call in source.journey.calls if call.step.verb in _ASKING]
    title = source.about.get("title")
    said = [text_of(source.names.meant(title.value))] if asking and title else []
    for call in asking:
        facts = call.given("facts")
        said.append(text_of(call.given("subject")))
        said += [(text_of(key) or "").replace("_", " ") for key in facts.keys] if isinstance(facts, ast.Dict) else []
    return [text for text in dict.fromkeys(said) if text]


def words_are_said(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """What `words.toml` has in other languages is a text of the flow's code, unless that computes a subject."""
    path = layout.emails / source.path.stem / "words.toml"
    try:
        words = read_words(path)
    except (ValueError, OSError) as error:
        yield layout.fault(
            path, f"cannot be read ({error})", 'write "English" = "…" below the name of a language, [es]'
        )
        return
    subjects = [given for call in source.journey.calls if (given := call.given("subject")) is not None]
    if any(text_of(subject) is None for subject in subjects):
        return
    written = {text for node in ast.walk(source.module) if (text := text_of(node)) is not None}
    written |= {text.replace("_", " ") for text in written}
    lines = path.read_text(encoding="utf-8").splitlines() if words else []
    for language, texts in words.items():
        for text in texts.keys() - written:
            line = next((number for number, line in enumerate(lines, 1) if text in line), 1)
            what = f"the flow does not say {text!r}, which is here in {language}"
            yield layout.fault(path, what, "delete the line, or write the text as the flow says it", line)
