from __future__ import annotations

from datetime import UTC, datetime

from domain.memory import Memory, former_names, present_name

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_renamed_step_is_known_by_its_present_name() -> None:
    memory = Memory(entered_at=NOW, finished={"guide": None, "old": True}, waiting={"pause-2": NOW}, skipped=["tip"])
    now = memory.renamed({"old": "new", "pause-{week}": "rest-{week}", "tip": "hint"})
    assert list(now.finished) == ["guide", "new"]
    assert now.waiting == {"rest-2": NOW}
    assert now.skipped == ["hint"]
    assert [now.knows(step) for step in ("new", "rest-2", "hint", "old")] == [True, True, True, False]


def test_renamings_add_up() -> None:
    renamed = {"a": "b", "b": "c"}
    assert [present_name(step, renamed) for step in ("a", "b", "c", "d")] == ["c", "c", "c", "d"]
    assert former_names("c", renamed) == ["b", "a"]
    assert former_names("d", renamed) == []


def test_a_loops_steps_keep_their_key() -> None:
    renamed = {"tip-{week}": "hint-{week}"}
    assert present_name("tip-12", renamed) == "hint-12"
    assert former_names("hint-12", renamed) == ["tip-12"]
    assert present_name("tips", renamed) == "tips"


def test_a_circle_of_names_ends() -> None:
    assert present_name("a", {"a": "b", "b": "a"}) in ("a", "b")
    assert former_names("a", {"a": "b", "b": "a"}) == ["b", "a"]
