"""Ports that are chosen."""

from __future__ import annotations

from cli.ports import unused_port


def test_no_port_is_chosen_that_somebody_is_about_to_take() -> None:
    taken: list[int] = []
    for _ in range(200):
        taken.append(unused_port(taken))
    assert len(set(taken)) == len(taken)
