"""Commands that only ask or refuse, run in this process: what they import is there already."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.main import main
from cli.ports import LOOPBACK, unused_port
from tests.cli.processes import environment


class Said(NamedTuple):
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def cauce(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`cauce(*words, env)`: what the command would print and exit with, were it a process of its own."""

    def run(*words: str, env: Mapping[str, str]) -> Said:
        monkeypatch.setattr(sys, "argv", ["cauce", *words])
        for name in set(os.environ) - set(env):
            monkeypatch.delenv(name)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        stdout, stderr = capsys.readouterr()
        if isinstance(exit_.value.code, str):  # the interpreter prints it, and exits with 1
            return Said(1, stdout, f"{stderr}{exit_.value.code}\n")
        return Said(exit_.value.code or 0, stdout, stderr)

    return run


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment whose addresses lead nowhere."""
    return environment(
        tmp_path / "data",
        CAUCE_API_URL=f"http://{LOOPBACK}:{unused_port()}",
        TEMPORAL_ADDRESS=f"{LOOPBACK}:{unused_port()}",
    )
