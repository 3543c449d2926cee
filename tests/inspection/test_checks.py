"""Each broken flow is caught, with its file, its line and its mend, and a sound one passes.

A case in `broken/` is a flow in one file, with the faults that are expected of it in its first lines and, where the
project would have others, the messages in its folder. Or it is a folder: what is different from a sound project, in
files that end in `.txt`, and `expect.txt`, which says what is missing and what is expected.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inspection.checks import RULES, check_flow, flow_names, stray_folders
from inspection.flow_source import FlowSource
from inspection.layout import Layout
from inspection.recorded_sends import recorded_sends
from inspection.step_rules import events_are_heard, journey_is_told, names_tell_rounds_apart
from tests.inspection.project import FlowProject

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BROKEN = sorted(path.name for path in (HERE / "broken").iterdir())
SOUND = sorted(path.name for path in (HERE / "sound").iterdir())
HINT_SENT = HERE / "broken/message_of_a_pinned_version_gone/tests/histories/trial/4d5e6f/finished.json.txt"
SPECIMENS = Layout(ROOT, ROOT / "tests/flows/specimens", ROOT / "emails", ROOT / "tests")
OF_JOURNEYS = tuple(rule for rule in RULES if rule.__module__ in ("inspection.step_rules", "inspection.code_rules"))


def plant(name: str, project: FlowProject) -> list[str]:
    """Put a case into the project; answer the faults that are expected, in their order."""
    case = HERE / "broken" / name
    if case.is_dir():
        return _plant_folder(case, project)
    source = case.read_text()
    head = [line.removeprefix("# ").partition(":") for line in source.splitlines() if line.startswith("# ")]
    project.add("trial", source)
    told = [rest.strip() for word, _, rest in head if word == "expect"]
    return [fault if fault.startswith("emails/") else f"workflows/trial.py:{fault}" for fault in told]


def _plant_folder(case: Path, project: FlowProject) -> list[str]:
    project.add("trial", (HERE / "spoiled.py.txt").read_text())
    expected = []
    for line in (case / "expect.txt").read_text().splitlines():
        word, _, rest = line.partition(": ")
        if word == "expect":
            expected.append(rest)
        elif (gone := project.root / rest).is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink()
    for path in case.rglob("*.txt"):
        if path.name != "expect.txt":
            project.write(path.relative_to(case).as_posix().removesuffix(".txt"), path.read_text())
    return expected


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_flow_is_caught(flow_project: FlowProject, name: str) -> None:
    expected = plant(name, flow_project)
    assert expected
    assert list(map(str, check_flow("trial", flow_project.layout).faults)) == expected


def test_every_rule_has_a_case(tmp_path: Path) -> None:
    idle = set(RULES)
    for name in BROKEN:
        project = FlowProject(tmp_path / name)
        plant(name, project)
        idle -= {rule for rule in idle if check_flow("trial", project.layout, [rule]).faults}
    assert idle == set()


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_flow_passes(flow_project: FlowProject, name: str) -> None:
    flow_project.add("trial", (HERE / "sound" / name).read_text())
    assert list(map(str, check_flow("trial", flow_project.layout).faults)) == []


def test_a_flow_that_never_waits_has_nobody_whom_an_exit_takes_out(flow_project: FlowProject) -> None:
    flow_project.add("trial", (HERE / "sound/the_least.py.txt").read_text())
    (flow_project.layout.histories("trial") / "1a2b3c/exited-goal.json").unlink()
    assert check_flow("trial", flow_project.layout).faults == ()


@pytest.mark.parametrize("on_edit", ["FOLLOW", "PIN"])
def test_a_message_that_a_recorded_version_sends_is_kept_until_the_version_is_forgotten(
    flow_project: FlowProject, on_edit: str
) -> None:
    flow_project.add("trial", (HERE / "sound/the_least.py.txt").read_text().replace("FOLLOW", on_edit))
    flow_project.add_message("trial", "hint")
    flow_project.write("tests/histories/trial/4d5e6f/finished.json", HINT_SENT.read_text())
    assert check_flow("trial", flow_project.layout).faults == ()
    shutil.rmtree(flow_project.layout.histories("trial") / "4d5e6f")
    (fault,) = check_flow("trial", flow_project.layout).faults
    assert "no step sends hint, and no recorded version does" in str(fault)
    shutil.rmtree(flow_project.layout.emails / "trial/hint")
    assert check_flow("trial", flow_project.layout).faults == ()


def test_contacts_who_follow_leave_the_messages_of_earlier_versions_behind(flow_project: FlowProject) -> None:
    flow_project.add("trial", (HERE / "sound/the_least.py.txt").read_text())
    flow_project.write("tests/histories/trial/4d5e6f/finished.json", HINT_SENT.read_text())
    assert check_flow("trial", flow_project.layout).faults == ()


@pytest.mark.parametrize("name", [name for name in BROKEN if name.startswith(("run_takes_", "run_with_"))])
def test_the_sdk_refuses_a_run_that_is_unlike_its_base(name: str) -> None:
    code = compile((HERE / "broken" / name).read_text(), name, "exec", dont_inherit=True)
    with pytest.raises(ValueError, match=r"@workflow.init and @workflow.run method parameters do not match"):
        exec(code, {"__name__": "trial"})  # noqa: S102


def test_what_our_recorded_versions_send_is_read_from_their_histories() -> None:
    for version in recorded_sends(Layout.of(ROOT).histories("onboarding")).values():
        assert version >= {"welcome", "need-a-hand", "training-tip", "check-in"}


@pytest.mark.parametrize("flow", ["drip", "marathon", "nurturing", "replies"])
def test_the_journeys_of_specimens_pass(flow: str) -> None:
    assert check_flow(flow, SPECIMENS, OF_JOURNEYS).faults == ()


def test_the_specimen_with_two_mistakes_has_two() -> None:
    source = FlowSource.load(SPECIMENS.module("faulty"))
    assert [len(list(rule(source, SPECIMENS))) for rule in (names_tell_rounds_apart, events_are_heard)] == [1, 1]
    assert len(check_flow("faulty", SPECIMENS, OF_JOURNEYS).faults) == 2
    assert list(journey_is_told(source, SPECIMENS)) == []


def test_every_flow_of_ours_passes() -> None:
    layout = Layout.of(ROOT)
    assert "onboarding" in flow_names(layout)
    assert [str(fault) for flow in flow_names(layout) for fault in check_flow(flow, layout).faults] == []
    assert stray_folders(layout) == []


def test_a_flow_is_told_in_numbers(flow_project: FlowProject) -> None:
    flow_project.add("trial", (HERE / "sound/every_shape.py.txt").read_text())
    assert check_flow("trial", flow_project.layout).told == "16 steps, 6 waits, 6 messages"


@pytest.mark.parametrize("name", ["nosuch", "../trial", "Trial", "", "a b", "trial\0"])
def test_a_flow_that_is_not_there_is_a_fault(flow_project: FlowProject, name: str) -> None:
    (fault,) = check_flow(name, flow_project.layout).faults
    assert "there is no such file" in str(fault) or "is no name of a flow" in str(fault)


def test_no_flow_is_called_like_a_folder_of_something_else(flow_project: FlowProject) -> None:
    flow_project.add("people", (HERE / "sound/the_least.py.txt").read_text().replace("trial", "people"))
    told = [str(fault) for fault in check_flow("people", flow_project.layout).faults]
    assert "workflows/people.py:1: emails/people/ is no flow's, so no flow can be called people: rename it" in told


def test_modules_that_are_no_flows_are_left_alone(flow_project: FlowProject) -> None:
    sound = (HERE / "sound/the_least.py.txt").read_text()
    flow_project.add("trial", sound)
    flow_project.write("workflows/__init__.py", "")
    flow_project.write("workflows/verbs.py", "class Verbs:\n    pass\n")
    flow_project.write("workflows/unreadable.py", "class :")
    flow_project.write("workflows/two.py", sound + sound)
    flow_project.write("workflows/bare.py", '@workflow.defn(name="bare")\nclass Bare:\n    pass\n')
    flow_project.add_message("empty", "tip")
    flow_project.write("workflows/empty.py", "")
    flow_project.add_message("people", "task")
    flow_project.write("workflows/people.py", "")
    assert flow_names(flow_project.layout) == ["bare", "empty", "trial", "two", "unreadable"]


def test_messages_of_no_flow_are_told(flow_project: FlowProject) -> None:
    flow_project.add("trial", (HERE / "sound/the_least.py.txt").read_text())
    flow_project.add_message("winback", "tip")
    flow_project.add_message("people", "task")
    flow_project.write("emails/gone/words.toml", "")
    told = [str(fault) for fault in stray_folders(flow_project.layout)]
    assert told == [
        f"emails/{name}:1: no flow is called {name}: delete the folder, or rename it" for name in ("gone", "winback")
    ]
