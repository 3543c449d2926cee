from __future__ import annotations

from datetime import UTC, datetime

from domain.memory import Memory, other_names, present_name

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_step_is_known_by_each_of_its_names() -> None:
    memory = Memory(entered_at=NOW, finished={"guide": None, "old": True}, waiting={"pause-2": NOW}, skipped=["tip"])
    now = memory.under({"old": "new", "pause-{week}": "rest-{week}", "tip": "hint"})
    assert [now.name_of(step) for step in ("guide", "new", "old", "rest-2", "hint")] == [
        "guide",
        "old",
        "old",
        "pause-2",
        "tip",
    ]
    assert now.name_of("rest-1") is None
    assert memory.name_of("new") is None


def test_code_that_is_older_than_a_renaming_knows_the_step_too() -> None:
    memory = Memory(entered_at=NOW, finished={"new": None}, renamed={"old": "new"})
    assert memory.under({}).name_of("old") == "new"


def test_renamings_add_up() -> None:
    renamed = {"a": "b", "b": "c"}
    assert [present_name(step, renamed) for step in ("a", "b", "c", "d")] == ["c", "c", "c", "d"]
    assert other_names("c", renamed) == ["b", "a"]
    assert other_names("a", renamed) == ["b", "c"]
    assert other_names("d", renamed) == []


def test_a_loops_steps_keep_their_key() -> None:
    renamed = {"tip-{week}": "hint-{week}"}
    assert present_name("tip-12", renamed) == "hint-12"
    assert other_names("hint-12", renamed) == ["tip-12"]
    assert present_name("tips", renamed) == "tips"


def test_a_circle_of_names_ends() -> None:
    assert present_name("a", {"a": "b", "b": "a"}) in ("a", "b")
    assert other_names("a", {"a": "b", "b": "a"}) == ["b"]
