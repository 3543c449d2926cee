"""The map of a flow: whatever a contact can live through is a way on it, and nothing on it hangs loose."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings

from inspection.diagram import JOURNEY_END, Diagram, Edge, draw
from inspection.diagram_source import ReadFlow
from inspection.diagram_words import Words
from inspection.outline import Block, Branch, Step
from tests.flows.specimens.nurturing import Nurturing
from tests.inspection.outlines import ABOUT, Walk, every_step, outline, outlines
from workflows.onboarding import Onboarding

WORDS = Words({"pause": timedelta(days=7)})


def drawn(block: Block) -> Diagram:
    return draw(ABOUT, block, WORDS)


def ways(diagram: Diagram) -> list[str]:
    return [
        f"{edge.source.title} -{edge.label}-> {edge.target.title}"
        if edge.label
        else f"{edge.source.title} -> {edge.target.title}"
        for edge in diagram.edges
    ]


def test_onboarding_is_drawn_as_it_is_told() -> None:
    assert ways(ReadFlow.of(Onboarding).diagram) == [
        "enters -> welcome",
        "welcome -> activated within 3 days (hand_after)?",
        "activated within 3 days (hand_after)? -no-> need-a-hand",
        "activated within 3 days (hand_after)? -yes-> goal reached",
        "need-a-hand -> time-to-try",
        "time-to-try -> training-tip",
        "training-tip -> check-in-day",
        "check-in-day -> check-in",
        "check-in -> series-sent",
    ]


def test_branches_loops_and_early_ends_are_drawn() -> None:
    diagram = ReadFlow.of(Nurturing).diagram
    assert ways(diagram) == [
        "enters -> guide",
        "guide -> clicked within 3 days?",
        "clicked within 3 days? -yes-> case-study",
        "case-study -> clicked within 3 days?",
        "clicked within 3 days? -yes-> interested",
        "clicked within 3 days? -no-> for week in (1, 2)",
        "clicked within 3 days? -no-> for week in (1, 2)",
        "for week in (1, 2) -each-> pause-{week}",
        "pause-{week} -> reminder-{week}",
        "reminder-{week} -> for week in (1, 2)",
        "for week in (1, 2) -done-> two-months",
        "two-months -> end of the journey",
    ]
    assert {box.step: box.kind for box in diagram.boxes if box.step in ("guide", "clicked", "two-months")} == {
        "guide": "message",
        "clicked": "question",
        "two-months": "wait",
    }


def test_exits_that_interrupt_are_told_once() -> None:
    told = " ".join(ReadFlow.of(Onboarding).diagram.leaving)
    for event in ("activated", "unsubscribed", "bounced", "complained", "erased", "cancelled"):
        assert told.count(event) == 1


def test_an_empty_journey_goes_to_its_end() -> None:
    assert ways(drawn(())) == ["enters -> end of the journey"]


def test_what_no_way_leads_to_is_left_out_and_named() -> None:
    diagram = drawn(outline(["finish", "send", ("asked", ["send"], [])]))
    assert ways(diagram) == ["enters -> step-1"]
    assert diagram.unreached == ("step-2", "step-3", "step-5")


def test_a_yes_to_the_goal_leads_out_whatever_is_told_for_it() -> None:
    diagram = drawn(outline([("goal", ["send"], ["wait"])]))
    assert "bought within 7 days (pause)? -yes-> goal reached" in ways(diagram)
    assert diagram.unreached == ("step-3",)


def test_an_endless_loop_is_left_by_break_alone() -> None:
    diagram = drawn(outline([("while True", [("asked", ["break"], [])], []), "send"]))
    assert ways(diagram) == [
        "enters -> again and again",
        "again and again -> event_2 within 7 days (pause)?",
        "event_2 within 7 days (pause)? -no-> again and again",
        "event_2 within 7 days (pause)? -yes-> step-5",
        "step-5 -> end of the journey",
    ]


def test_a_method_that_is_asked_leads_on_from_each_of_its_answers() -> None:
    diagram = drawn(outline([("twice not", ["wait"], ["finish"])]))
    assert ways(diagram) == [
        "enters -> event_1 within 7 days (pause)?",
        "event_1 within 7 days (pause)? -no-> step-4",
        "step-4 -> event_5 within 7 days (pause)?",
        "event_1 within 7 days (pause)? -yes-> step-12",
        "event_5 within 7 days (pause)? -yes-> step-12",
        "event_5 within 7 days (pause)? -no-> step-11",
        "step-11 -> end of the journey",
    ]


def test_a_test_that_is_negated_is_asked_the_right_way_round() -> None:
    call = Step(1, "task", "call", given=(("to", "Asked(lead_owner=True)"),))
    branch = Branch(2, "not call.done", None, True, (Step(3, "note", "overdue"),), ())
    assert ways(drawn((call, branch, Step(4, "finish", "worked")))) == [
        "enters -> call",
        "call -> call done?",
        "call done? -no-> overdue",
        "call done? -yes-> worked",
        "overdue -> worked",
    ]


def test_every_event_that_reaches_the_goal_leads_out_and_on_to_the_flow_that_takes_over() -> None:
    goal = ABOUT.goal.model_copy(update={"others": ("event_1",), "others_setting": "signs", "hand_over_to": "sales"})
    diagram = draw(ABOUT.model_copy(update={"goal": goal}), outline([("asked", [], ["hand_over"])]), WORDS)
    (reached,) = (edge.target for edge in diagram.edges if edge.label == "yes")
    assert (reached.title, reached.detail) == ("goal reached", "hand over to sales")
    assert {box.kind for box in diagram.boxes} == {"start", "question", "handover", "end"}
    assert diagram.leaving[0] == (
        "bought, event_1 (or what signs names): the goal is reached, and sales takes the contact over"
    )


@settings(max_examples=300, derandomize=True)
@given(outlines())
def test_whatever_is_lived_through_is_a_way_on_the_map(block: Block) -> None:
    diagram = drawn(block)
    for answers in range(32):
        _follow(diagram, Walk(block, [bool(answers >> (turn % 5) & 1) for turn in range(20)]))


def _follow(diagram: Diagram, walk: Walk) -> None:
    (here,) = (box for box in diagram.boxes if box.kind == "start")
    label = ""
    for line, answer in walk.trail:
        ways = (way for way in diagram.edges if way.source is here and way.target.line == line)
        (here,) = {way.target for way in ways if _fits(way, label)}
        label = answer
    ways = (way for way in diagram.edges if way.source is here and way.target.line is None)
    out = {way.target.title for way in ways if _fits(way, label)}
    if walk.ended == "finish":
        assert (here.kind, out) == ("finish", set())
    elif walk.ended is not None:
        assert out == {"goal reached" if walk.ended == "goal" else JOURNEY_END}


def _fits(way: Edge, answer: str) -> bool:
    return way.label == answer or (way.label == "yes or no" and answer in ("yes", "no"))


@settings(max_examples=300, derandomize=True)
@given(outlines())
def test_nothing_hangs_loose(block: Block) -> None:
    diagram = drawn(block)
    ids = {box.id for box in diagram.boxes}
    assert len(ids) == len(diagram.boxes)
    assert {box.id for edge in diagram.edges for box in (edge.source, edge.target)} <= ids
    reached = {box.id for box in diagram.boxes if box.kind == "start"}
    for _ in diagram.boxes:
        reached |= {edge.target.id for edge in diagram.edges if edge.source.id in reached}
    assert reached == ids
    steps = [step.name for step in every_step(block)]
    assert sorted([box.step for box in diagram.boxes if box.step] + list(diagram.unreached)) == sorted(steps)
    on = {edge.source.id for edge in diagram.edges}
    assert {box.kind for box in diagram.boxes if box.id not in on} <= {"finish", "end"}
