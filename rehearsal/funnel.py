"""What a simulation comes to: the funnel by step, the goal against its target, the messages, and what two differ in."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from statistics import fmean, median

from pydantic import BaseModel

from domain.flows import Goal
from domain.memory import present_name
from rehearsal.simulation import Asked, Story

_CONFIDENCE_95 = 1.959963984540054


class StepCount(BaseModel):
    """Contacts at one step. `went` counts how it ended for those who finished it, `left` the others, by exit."""

    step: str
    reached: int
    went: dict[str, int]
    left: dict[str, int]


class Interval(BaseModel):
    """A share with Wilson's interval of 95 % confidence: over all contacts who behave like these."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, total: int) -> Interval:
        """`total` is more than 0."""
        share, z = hits / total, _CONFIDENCE_95
        middle = (share + z * z / (2 * total)) / (1 + z * z / total)
        reach = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
        return cls(share=round(share, 6), low=round(max(middle - reach, 0), 6), high=round(min(middle + reach, 1), 6))


class LeadCount(BaseModel):
    """Leads of one rep: offered or given by hand, and accepted."""

    offered: int
    accepted: int


class TeamReport(BaseModel):
    """What people of the team had to do with the contacts."""

    approvals: dict[str, int]
    """By what became of them."""
    tasks: dict[str, int]
    """By what became of them."""
    leads: dict[str, LeadCount]
    """By rep."""
    queued: int
    """Leads that nobody could take for some time."""
    accepted_after: timedelta | None
    """Half of the leads that were accepted took no longer, since they came to be assigned."""

    @classmethod
    def of(cls, stories: Sequence[Story]) -> TeamReport:
        offered = Counter(rep for story in stories for rep in story.offers)
        accepted = Counter(story.rep for story in stories)
        return cls(
            approvals=_by_frequency(Counter(each for story in stories for each in story.approvals)),
            tasks=_by_frequency(Counter(each for story in stories for each in story.tasks)),
            leads={
                rep: LeadCount(offered=count, accepted=accepted[rep])
                for rep, count in sorted(offered.items(), key=lambda item: (len(item[0]), item[0]))
            },
            queued=sum(story.queued for story in stories),
            accepted_after=_median(story.accepted_after for story in stories),
        )


class Report(BaseModel):
    """A simulation's result. Everything but `stories` follows from them."""

    asked: Asked
    goal: Goal
    reached_goal: Interval
    """Whose goal happened within the goal's time, be it after the flow had ended."""
    goal_after: timedelta | None
    """Half of those took no longer."""
    exits: dict[str, int]
    messages_mean: float
    messages: dict[int, int]
    """Contacts by how many messages they got."""
    handed_over: dict[str, int]
    """Contacts by the flow that took them over."""
    team: TeamReport
    funnel: list[StepCount]
    stories: list[Story]

    @classmethod
    def of(cls, asked: Asked, goal: Goal, stories: Sequence[Story]) -> Report:
        """`stories` are one or more."""
        times = [
            story.goal_after for story in stories if story.goal_after is not None and story.goal_after <= goal.within
        ]
        return cls(
            asked=asked,
            goal=goal,
            reached_goal=Interval.of(len(times), len(stories)),
            goal_after=_median(times),
            exits=_by_frequency(Counter(str(story.exit) for story in stories)),
            messages_mean=round(fmean(story.messages for story in stories), 3),
            messages=dict(sorted(Counter(story.messages for story in stories).items())),
            handed_over=_by_frequency(Counter(flow for story in stories for flow in story.handed_over_to)),
            team=TeamReport.of(stories),
            funnel=_funnel(stories),
            stories=list(stories),
        )

    def with_present_names(self, renamed: Mapping[str, str]) -> Report:
        """The same result, in which steps that were renamed since have their present names."""
        stories = [
            story.model_copy(
                update={
                    "step": story.step and present_name(story.step, renamed),
                    "steps": {present_name(step, renamed): went for step, went in story.steps.items()},
                }
            )
            for story in self.stories
        ]
        return Report.of(self.asked, self.goal, stories)


class Changed(BaseModel):
    """A contact who fares otherwise on other code."""

    number: int
    before: str
    after: str


def changed(before: Report, after: Report) -> list[Changed]:
    """Contacts, by number, whose outcome is another."""
    return [
        Changed(number=old.number, before=old.outcome, after=new.outcome)
        for old, new in zip(before.stories, after.stories, strict=True)
        if old.outcome != new.outcome
    ]


def paired_steps(before: Report, after: Report) -> list[tuple[str, StepCount | None, StepCount | None]]:
    """Both funnels side by side, in one order."""
    old, new = ({count.step: count for count in report.funnel} for report in (before, after))
    ways = [_way(story) for report in (after, before) for story in report.stories]
    return [(step, old.get(step), new.get(step)) for step in _ordered(ways)]


def _funnel(stories: Sequence[Story]) -> list[StepCount]:
    reached: Counter[str] = Counter()
    went: defaultdict[str, Counter[str]] = defaultdict(Counter)
    left: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for story in stories:
        reached.update(_way(story))
        for step, how in story.steps.items():
            went[step][how] += 1
        if story.step is not None:
            left[story.step][str(story.exit)] += 1
    return [
        StepCount(step=step, reached=reached[step], went=_by_frequency(went[step]), left=_by_frequency(left[step]))
        for step in _ordered([_way(story) for story in stories])
    ]


def _way(story: Story) -> list[str]:
    """The steps that a contact came to: the last may be unfinished, or the name of an end."""
    way = list(story.steps)
    return way if story.step is None or story.step in story.steps else [*way, story.step]


def _ordered(ways: Sequence[list[str]]) -> list[str]:
    """All steps in one order that each way keeps to, as far as there is one, branches one after the other."""
    distinct = list(dict.fromkeys(map(tuple, ways)))
    left = list(dict.fromkeys(step for way in distinct for step in way))
    before: dict[str, set[str]] = {step: set() for step in left}
    for way in distinct:
        for earlier, later in pairwise(way):
            before[later].add(earlier)
    goes_on = set().union(*before.values())
    place: dict[str, int] = {}
    while left:
        ready = [step for step in left if before[step] <= place.keys()] or left
        # What follows the latest step comes next, and of that first an end.
        step = max(ready, key=lambda step: (_latest(before[step], place), step not in goes_on))
        place[step] = len(place)
        left.remove(step)
    return list(place)


def _latest(steps: Iterable[str], place: Mapping[str, int]) -> int:
    return max((place.get(step, -1) for step in steps), default=-1)


def _median(times: Iterable[timedelta | None]) -> timedelta | None:
    """In whole seconds; None of nothing."""
    known = [time.total_seconds() for time in times if time is not None]
    return timedelta(seconds=round(median(known))) if known else None


def _by_frequency(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
