"""Subjects that somebody writes for a message in place of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domain.flows import FlowSettings
from emails.jinja_source import SEEN_FOR_CONTACTS, jinja_problems, settings_problems, subject_problems
from emails.mjml_source import Source
from emails.templates import Templates


def subject_line_problems(
    templates: Templates, flow: str, message: str, subjects: Mapping[str, str]
) -> Iterator[tuple[str | None, str]]:
    """What is wrong with subjects by locale: the locale, None if one is missing, and what to do about it.

    Raises: UnknownMessage, TemplateError.
    """
    written = templates.locales(flow, message)
    for locale in sorted(written - subjects.keys()):
        yield None, f"is missing in {locale}, which {flow}/{message} is written in: add it"
    for locale, line in subjects.items():
        if locale not in written:
            choices = ", ".join(sorted(written))
            yield locale, f"is in a locale that {flow}/{message} is not written in: it is in {choices}"
            continue
        source = Source("it", line)
        problems = subject_problems(source) or jinja_problems(source, SEEN_FOR_CONTACTS)
        for problem in problems or settings_problems(source, FlowSettings):
            yield locale, problem
