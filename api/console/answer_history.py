"""What happened to a question, in order, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from api.answer_view import AnswerView
from api.approval_view import ApprovalView, AskedView
from api.console.reader import Reader


class Line(NamedTuple):
    moment: datetime
    text: str
    comment: str | None = None


def of_approval(view: ApprovalView, names: Mapping[str, str], reader: Reader) -> list[Line]:
    """Who was asked when, what they answered, and how it ended. `names` of people, by id."""
    groups: dict[tuple[int, str], list[AskedView]] = {}
    lines = []
    for asked in view.asked:
        if asked.reason == "delegated":
            others = in_place_of(asked, view, reader)
            lines.append(Line(asked.asked_at, reader.say("told_delegated", name=asked.name, other=others)))
        else:
            groups.setdefault((asked.stage, asked.reason), []).append(asked)
    lines += [
        Line(group[0].asked_at, reader.say(f"told_{reason}", names=", ".join(asked.name for asked in group)))
        for (_, reason), group in groups.items()
    ]
    lines += answered((asked.answer for asked in view.asked if asked.answer), names, reader)
    return _in_order(lines, view.status, view.closed_at, reader)


def in_place_of(asked: AskedView, view: ApprovalView, reader: Reader) -> str:
    """Names of those whose decision a delegate has. It is noted after the delegate is asked."""
    whose = (each.name for each in view.asked if (each.delegated_to, each.stage) == (asked.person_id, asked.stage))
    return ", ".join(whose) or reader.say("somebody_else")


def of_other(
    opened: Line,
    answer: AnswerView | None,
    status: str,
    closed_at: datetime | None,
    names: Mapping[str, str],
    reader: Reader,
) -> list[Line]:
    """Of a task or an offer, which one answer ends."""
    lines = [opened, *answered([answer] if answer else [], names, reader)]
    return _in_order(lines, status, None if answer else closed_at, reader)


def answered(answers: Iterable[AnswerView], names: Mapping[str, str], reader: Reader) -> list[Line]:
    return [
        Line(
            answer.answered_at,
            reader.say(
                f"told_{answer.choice}", name=names[answer.person_id], other=names.get(answer.delegate_id or "")
            ),
            answer.comment,
        )
        for answer in answers
    ]


def _in_order(lines: list[Line], status: str, closed_at: datetime | None, reader: Reader) -> list[Line]:
    if closed_at is not None:
        lines.append(Line(closed_at, reader.say(f"told_{status}")))
    return sorted(lines, key=lambda line: line.moment)
