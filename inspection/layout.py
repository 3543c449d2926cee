"""Where a project keeps what belongs to its flows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inspection.faults import Fault


@dataclass(frozen=True)
class Layout:
    """Folders of a project. A flow is `workflows/<flow>.py`, `emails/<flow>/` and `tests/flows/test_<flow>.py`."""

    root: Path
    workflows: Path
    emails: Path
    tests: Path

    @classmethod
    def of(cls, root: Path) -> Layout:
        return cls(root, root / "workflows", root / "emails", root / "tests")

    def module(self, flow: str) -> Path:
        return self.workflows / f"{flow}.py"

    def test(self, flow: str) -> Path:
        return self.tests / "flows" / f"test_{flow}.py"

    def messages(self, flow: str) -> set[str]:
        """The folders of a flow's messages."""
        folder = self.emails / flow
        if not folder.is_dir():
            return set()
        return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}

    def histories(self, flow: str) -> Path:
        return self.tests / "histories" / flow

    def seen(self, path: Path) -> str:
        """A path as seen from the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def fault(self, path: Path, what: str, mend: str, line: int = 1) -> Fault:
        return Fault(self.seen(path), line, what, mend)
