"""A flow's class and its source, brought together: what the diagram and the page of a flow are made of."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from inspection.diagram import Diagram, draw
from inspection.diagram_words import Words
from inspection.flow_source import FlowSource
from inspection.outline import Block
from workflows.discovery import FlowClass


@dataclass(frozen=True)
class ReadFlow:
    flow: FlowClass
    outline: Block
    words: Words

    @classmethod
    def of(cls, flow: FlowClass) -> ReadFlow:
        """Raises: UnreadableFlow if the source of the flow's module cannot be followed."""
        path = Path(str(sys.modules[flow.__module__].__file__))
        return cls(flow, FlowSource.load(path).outline, Words.of(flow))

    @property
    def diagram(self) -> Diagram:
        return draw(self.flow.about, self.outline, self.words)
