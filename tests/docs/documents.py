"""The project's Markdown, line by line: prose, the code spans in it, and what blocks of shell commands say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"#+ +(.+)")
_INVENTED = re.compile(r"<!-- invented: (.+?) -->")
_SHELL = ("sh", "bash", "console", "shell")


@dataclass(frozen=True)
class Mention:
    """Something that a document says, and the line where it does."""

    line: int
    text: str


class Document:
    """One file. `<!-- invented: word, word -->` anywhere in it names words of its own examples, which exist nowhere."""

    def __init__(self, root: Path, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(root))
        self.lines = [Mention(number, text) for number, text in enumerate(path.read_text().splitlines(), start=1)]
        self.prose: list[Mention] = []
        self._blocks: list[tuple[str, list[Mention]]] = []
        self._read()

    @property
    def spans(self) -> list[Mention]:
        return [Mention(line.line, found) for line in self.prose for found in _SPAN.findall(line.text)]

    @property
    def links(self) -> list[Mention]:
        return [
            Mention(line.line, found) for line in self.prose for found in _LINK.findall(_SPAN.sub("code", line.text))
        ]

    @property
    def anchors(self) -> set[str]:
        """The names that headings have in links, as GitHub makes them."""
        headings = [found[1] for line in self.prose if (found := _HEADING.fullmatch(line.text))]
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @property
    def invented(self) -> set[str]:
        return {
            word.strip() for line in self.lines for words in _INVENTED.findall(line.text) for word in words.split(",")
        }

    @property
    def shell_lines(self) -> list[Mention]:
        """Each command line of the blocks in a shell's language, continued lines joined, here-documents left out."""
        return [command for language, lines in self._blocks if language in _SHELL for command in _commands(lines)]

    @property
    def commands(self) -> Iterator[tuple[Mention, list[str]]]:
        """Every command that is given, as its words: the spans that begin like one, and the lines of shell blocks."""
        for mention in [*self.spans, *self.shell_lines]:
            for part in re.split(r"&&|\|\||[|;]", mention.text):
                if words := _words(part):
                    yield mention, words

    def _read(self) -> None:
        block: list[Mention] | None = None
        for line in self.lines:
            fence = re.match(r"\s*```+\s*(\w*)", line.text)
            if fence and block is None:
                block = []
                self._blocks.append((fence[1], block))
            elif fence:
                block = None
            elif block is not None:
                block.append(line)
            else:
                self.prose.append(line)


def documents(root: Path) -> list[Document]:
    """README.md, CHANGELOG.md and everything below docs/, as far as they are there."""
    paths = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").glob("**/*.md"))]
    return [Document(root, path) for path in paths if path.exists()]


def _commands(lines: list[Mention]) -> Iterator[Mention]:
    end_of_text: str | None = None
    begun: Mention | None = None
    for line in lines:
        text = line.text.strip()
        if end_of_text is not None:
            end_of_text = None if text == end_of_text else end_of_text
            continue
        if begun is not None:
            line, text, begun = begun, f"{begun.text} {text}", None
        if text.endswith("\\"):
            begun = Mention(line.line, text.removesuffix("\\").strip())
            continue
        if opened := re.search(r"<<-?\s*'?(\w+)'?", text):
            end_of_text = opened[1]
        yield Mention(line.line, text.removeprefix("$ "))


def _words(command: str) -> list[str]:
    """A command's words, without variables set before it, what it is run by, and where its output goes."""
    try:
        words = shlex.split(re.sub(r"\s(2?>|<).*", "", command), comments=True)
    except ValueError:  # prose with an apostrophe
        return []
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    for name in ("cauce", "make"):
        for at, word in enumerate(words):
            if word.removeprefix(".venv/bin/") == name and (at == 0 or words[:2] == ["docker", "compose"]):
                return [name, *words[at + 1 :]]
    return words
