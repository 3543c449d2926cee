"""How a simulation's result reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Column, Table

from domain.durations import in_words
from rehearsal.funnel import Interval, Report, StepCount, TeamReport, changed, paired_steps

_EXAMPLES = 5


def report_lines(report: Report) -> list[str]:
    """Goal, exits, messages, and what people of the team had to do."""
    asked, goal, reached = report.asked, report.goal, report.reached_goal
    verdict = "below" if reached.high < goal.target else "above" if reached.low > goal.target else "in doubt"
    settings = "".join(f", {name}={value}" for name, value in asked.settings.items())
    reaching = [goal.event, *sorted(goal.events(asked.settings) - {goal.event})]
    lines = [
        f"{asked.flow}: {asked.contacts} contacts, seed {asked.seed}{settings}",
        f"  goal      {' or '.join(reaching)} within {in_words(goal.within)}: {_interval(reached)}; "
        f"the target of {goal.target:.1%} is {_VERDICTS[verdict]}",
    ]
    if report.goal_after is not None:
        lines.append(f"            half of them within {in_words(report.goal_after)}")
    lines.append(f"  exits     {_counts(report.exits)}")
    spread = ", ".join(f"{count} got {messages}" for messages, count in report.messages.items())
    lines.append(f"  messages  {report.messages_mean:.2f} for each contact: {spread}")
    if report.handed_over:
        lines.append(
            f"  handed    {', '.join(f'{count} over to {flow}' for flow, count in report.handed_over.items())}"
        )
    return lines + _team_lines(report.team)


def _team_lines(team: TeamReport) -> list[str]:
    lines = []
    if team.approvals:
        lines.append(f"  approvals {sum(team.approvals.values())} asked for: {_counts(team.approvals)}")
    if team.tasks:
        lines.append(f"  tasks     {sum(team.tasks.values())} given: {_counts(team.tasks)}")
    if team.leads or team.queued:
        accepted = sum(count.accepted for count in team.leads.values())
        within = f", half of them within {in_words(team.accepted_after)}" if team.accepted_after is not None else ""
        lines.append(f"  leads     {accepted} accepted{within}; {team.queued} had to wait in the queue")
        lines += [
            f"            {rep}: {count.offered} offered, {count.accepted} accepted"
            for rep, count in team.leads.items()
        ]
    return lines


_VERDICTS = {"below": "missed", "above": "met", "in doubt": "neither met nor missed for sure"}


def funnel_table(report: Report) -> Table:
    """Each step: who came to it, how it went, and who left there."""
    table = _table("step", "reached", "", "went", "left here")
    for count in report.funnel:
        share = f"{count.reached / report.asked.contacts:.1%}"
        table.add_row(count.step, str(count.reached), share, _went(count.went), _counts(count.left))
    return table


def difference_lines(before: Report, after: Report, revision: str) -> list[str]:
    """What the code at hand does otherwise than the revision, for the same contacts."""
    points = (after.reached_goal.share - before.reached_goal.share) * 100
    others = changed(before, after)
    lines = [
        "",
        f"compared with {revision}, for the same contacts:",
        f"  goal      {_interval(before.reached_goal)} there, {_interval(after.reached_goal)} here: "
        f"{points:+.1f} points",
        f"  exits     {_counts(before.exits)} there, {_counts(after.exits)} here",
        f"  messages  {before.messages_mean:.2f} there, {after.messages_mean:.2f} here",
        *_team_differences(before, after),
        f"  {len(others)} of {after.asked.contacts} contacts end otherwise" + (", such as" if others else ""),
    ]
    lines += [f"    contact {each.number}: {each.before} there, {each.after} here" for each in others[:_EXAMPLES]]
    return lines


def _team_differences(before: Report, after: Report) -> Iterator[str]:
    there, here = _had_to_do(before), _had_to_do(after)
    for name in there:
        if there[name] or here[name]:
            yield f"  {name:<9} {_counts(there[name]) or 'none'} there, {_counts(here[name]) or 'none'} here"


def _had_to_do(report: Report) -> Mapping[str, Mapping[str, int]]:
    offered = sum(count.offered for count in report.team.leads.values())
    accepted = sum(count.accepted for count in report.team.leads.values())
    return {
        "handed": {f"over to {flow}": count for flow, count in report.handed_over.items()},
        "approvals": report.team.approvals,
        "tasks": report.team.tasks,
        "leads": {"offered": offered, "accepted": accepted} if offered else {},
    }


def paired_table(before: Report, after: Report, revision: str) -> Table:
    """Both funnels."""
    table = _table("step", f"at {revision}", "here", "", "went there", "went here")
    for step, old, new in paired_steps(before, after):
        reached = [count.reached if count else 0 for count in (old, new)]
        table.add_row(
            step, *(_reached(count) for count in (old, new)), f"{reached[1] - reached[0]:+d}", _way(old), _way(new)
        )
    return table


def _table(*titles: str) -> Table:
    columns = (Column(title, overflow="fold", justify="right" if _counts_in(title) else "left") for title in titles)
    return Table(*columns, box=box.SIMPLE)


def _counts_in(title: str) -> bool:
    return title in ("", "reached", "here") or title.startswith("at ")


def _reached(count: StepCount | None) -> str:
    return str(count.reached) if count else "-"


def _way(count: StepCount | None) -> str:
    if count is None:
        return ""
    return "; left: ".join(filter(None, (_went(count.went), _counts(count.left))))


_WORDS = {"yes": "answered", "no": "timed out"}


def _went(went: Mapping[str, int]) -> str:
    return _counts({_WORDS.get(how, how): count for how, count in sorted(went.items())})


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _interval(found: Interval) -> str:
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%})"
