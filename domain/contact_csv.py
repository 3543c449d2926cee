"""Records of a CSV file that comes piece by piece, with the place where each ends: reading can go on from there."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_RECORD_BYTES = 64_000
"""Of a record with all its lines. Of a file, no more than that and a piece are in memory."""
DELIMITERS = (",", ";", "\t")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_END_OF_LINE = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the very end may be half of an end of line."""
_NOT_UTF_8 = "is not UTF-8: save the file as “CSV UTF-8”"
_TOO_LONG = f"has more than {MAX_RECORD_BYTES} bytes: shorten it, or mind a quotation mark without its end"


class Record(NamedTuple):
    """A record that has anything in it. `line` is its first one, counted from 1; `fault` is why it has no cells."""

    line: int
    cells: list[str]
    fault: str | None = None


class Position(NamedTuple):
    """The end of a record: how many bytes and lines of the file come before, and the SHA-256 of those bytes."""

    bytes: int
    lines: int
    digest: str


class Prefix:
    """The first `length` bytes of a file that were read before: hashed and counted, and nothing else."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.missing = length
        self.hash = hashlib.sha256()

    def take(self, piece: bytes) -> bytes:
        """Take the next piece of the file; answer what of it comes after the prefix."""
        mine = piece[: self.missing]
        self.hash.update(mine)
        self.missing -= len(mine)
        return piece[len(mine) :]


class _Parsed(NamedTuple):
    """A record and of how many lines it is; one that is at fault is of one."""

    cells: list[str]
    fault: str | None
    lines: int


class _TooLong(Exception):
    pass


class Records:
    """Reads UTF-8 with or without a byte order mark, lines that end in any way, and cells in quotation marks.

    A record that cannot be read is given with its fault, and reading goes on at the next line: a quotation mark
    without its end costs one line, not the rest of the file.
    """

    def __init__(self, delimiter: str | None = None, *, after: Prefix | None = None, lines: int = 0) -> None:
        """Without a `delimiter`, the first record tells which of `DELIMITERS` it is.

        `after`: what of the file was read before, and `lines` how many lines that were.
        """
        self.delimiter = delimiter
        self._hash = after.hash if after else hashlib.sha256()
        self._bytes = after.length if after else 0
        self._lines = lines
        self._whole: list[bytes] = []
        """Lines that are there with their ends, and not yet part of a record."""
        self._tail = b""
        """The beginning of a line."""
        self._before_long_line: Position | None = None
        """While the rest of a line that is too long is dropped."""

    def position(self) -> Position:
        """The end of the record that was given last, or of empty lines after it."""
        return self._before_long_line or Position(self._bytes, self._lines, self._hash.hexdigest())

    def take(self, piece: bytes, *, last: bool = False) -> Iterator[Record]:
        """Take the next piece of the file; give the records that end in it and, at the last piece, what is left."""
        data, self._tail = self._tail + piece, b""
        if self._before_long_line is not None:
            yield from self._drop_line(data, last=last)
            if self._before_long_line is not None:
                return
            data, self._tail = self._tail, b""
        lines = data.splitlines(keepends=True)
        if lines and not last and not lines[-1].endswith(b"\n"):
            self._tail = lines.pop()
        self._whole += lines
        yield from self._records(last=last)
        if not self._whole and len(self._tail) > MAX_RECORD_BYTES:
            self._before_long_line = self.position()
            yield from self._drop_line(self._tail, last=last)

    def _records(self, *, last: bool) -> Iterator[Record]:
        at = 0
        try:
            while at < len(self._whole) and (parsed := self._parse(at, last=last)):
                record = Record(self._lines + 1, parsed.cells, parsed.fault)
                self._advance(b"".join(self._whole[at : at + parsed.lines]), parsed.lines)
                at += parsed.lines
                if record.fault or any(map(str.strip, record.cells)):
                    yield record
        finally:
            del self._whole[:at]

    def _parse(self, at: int, *, last: bool) -> _Parsed | None:
        """The record that begins at this line; None if its end is still to come.

        The first record is read with the delimiter that finds most cells in it.
        """
        if self.delimiter is not None:
            return self._parse_with(self.delimiter, at, last=last)
        found = {delimiter: self._parse_with(delimiter, at, last=last) for delimiter in DELIMITERS}
        readable = [delimiter for delimiter, parsed in found.items() if parsed and not parsed.fault]
        if not readable:
            return None if None in found.values() else found[","]
        best = max(readable, key=lambda delimiter: len(found[delimiter].cells))  # type: ignore[union-attr]
        parsed = found[best]
        if parsed and any(map(str.strip, parsed.cells)):
            self.delimiter = best
        return parsed

    def _parse_with(self, delimiter: str, at: int, *, last: bool) -> _Parsed | None:
        pulled = 0
        ran_out = False

        def texts() -> Iterator[str]:
            nonlocal pulled, ran_out
            length = 0
            for index in range(at, len(self._whole)):
                length += len(self._whole[index])
                if length > MAX_RECORD_BYTES:
                    raise _TooLong
                pulled += 1
                yield self._text(index)
            if length + len(self._tail) > MAX_RECORD_BYTES:
                raise _TooLong
            ran_out = True

        try:
            return _Parsed(next(csv.reader(texts(), delimiter=delimiter, strict=True)), None, pulled)
        except UnicodeDecodeError:
            return _Parsed([], _NOT_UTF_8, 1)
        except _TooLong:
            return _Parsed([], _TOO_LONG, 1)
        except csv.Error as error:
            if ran_out and not last:
                return None
            return _Parsed([], f"is not CSV ({error}): mind quotation marks and their ends", 1)

    def _text(self, index: int) -> str:
        begins_the_file = index == 0 and self._lines == 0
        line = self._whole[index]
        return (line.removeprefix(_BYTE_ORDER_MARK) if begins_the_file else line).decode()

    def _drop_line(self, data: bytes, *, last: bool) -> Iterator[Record]:
        """Drop a line that is too long up to its end, if that has come; what follows it is the tail then."""
        end = _END_OF_LINE.search(data)
        if end is None and not last:
            self._tail = data[-1:] if data.endswith(b"\r") else b""
            self._advance(data.removesuffix(self._tail), 0)
            return
        length = end.end() if end else len(data)
        self._advance(data[:length], 1)
        self._before_long_line = None
        self._tail = data[length:]
        yield Record(self._lines, [], _TOO_LONG)

    def _advance(self, raw: bytes, lines: int) -> None:
        self._hash.update(raw)
        self._bytes += len(raw)
        self._lines += lines
