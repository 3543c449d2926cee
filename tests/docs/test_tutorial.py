"""docs/adding-a-flow.md works as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import eventually
from tests.docs.tutorial import Tutorial, blocks
from tests.project_copy import ROOT, copy_project, without_flow

DOCUMENT = ROOT / "docs" / "adding-a-flow.md"


@pytest.mark.timeout(600)
def test_the_tutorial_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever has followed the tutorial in this project has its flow.
    project = without_flow(copy_project(tmp_path / "project"), "win_back")
    monkeypatch.chdir(project)
    with Tutorial(project, tmp_path) as tutorial:
        for block in blocks(DOCUMENT):
            if block.language == "diff" and tutorial.up is not None:
                eventually("Ada and Bo wait", lambda: set(tutorial.steps()) == {"clicked", "before-last-call"})
            try:
                tutorial.follow(block)
            except AssertionError as error:
                raise AssertionError(f"docs/adding-a-flow.md:{block.line}: {error}") from None
        skipped = tutorial.steps()
        assert skipped["clicked"] == []
        assert "survey" in skipped["before-last-call"]
