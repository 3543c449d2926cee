"""Records of a CSV file that comes in pieces of any size."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contact_csv import DELIMITERS, MAX_RECORD_BYTES, Position, Prefix, Record, Records

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["Pérez; Rosa", "a\nb", "a\r\nb", '"', 'say "hi"', ",", "\t", "\r", " ", "\ufeff"]
)
tables = st.lists(st.lists(cells, min_size=2, max_size=4), max_size=12)
HEADER = ["email", "first name", "notes"]


def read(records: Records, pieces: Iterable[bytes]) -> list[tuple[Record, Position]]:
    """Each record with the position after it."""
    found = []
    for piece in pieces:
        found += [(record, records.position()) for record in records.take(piece)]
    return found + [(record, records.position()) for record in records.take(b"", last=True)]


def cut(content: bytes, at: Iterable[int]) -> list[bytes]:
    places = sorted({place % (len(content) + 1) for place in at})
    return [content[begins:ends] for begins, ends in zip([0, *places], [*places, len(content)], strict=True)]


def written(rows: Iterable[list[str]], delimiter: str, end: str) -> bytes:
    file = io.StringIO(newline="")
    # All are quoted: without that, it leaves a line feed bare where lines end otherwise.
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue().encode()


@given(
    rows=tables,
    delimiter=st.sampled_from(DELIMITERS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    at=st.lists(st.integers(0, 10_000), max_size=8),
    resumed=st.integers(0, 12),
)
def test_any_file_in_any_pieces_is_read_as_it_was_written_and_gone_on_with_anywhere(
    rows: list[list[str]], delimiter: str, end: str, mark: bytes, at: list[int], resumed: int
) -> None:
    content = mark + written([HEADER, *rows], delimiter, end)
    records = Records()
    found = read(records, cut(content, at))
    assert records.delimiter == delimiter
    # A row of blanks says nothing.
    assert [record.cells for record, _ in found] == [HEADER, *(row for row in rows if any(map(str.strip, row)))]
    assert records.position() == (
        len(content),
        len(content.splitlines()),
        hashlib.sha256(content).hexdigest(),
    )

    position = found[min(resumed, len(found) - 1)][1]
    prefix = Prefix(position.bytes)
    pieces = [prefix.take(piece) for piece in cut(content, at)]
    assert prefix.hash.hexdigest() == position.digest
    rest = read(Records(delimiter, after=prefix, lines=position.lines), pieces)
    assert rest == found[min(resumed, len(found) - 1) + 1 :]


@given(content=st.binary(max_size=200), at=st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_are_read_to_their_end_whatever_they_are(content: bytes, at: list[int]) -> None:
    whole, pieces = Records(","), Records(",")
    assert read(whole, [content]) == read(pieces, cut(content, at))
    assert whole.position().bytes == len(content)


def test_a_record_is_told_by_the_line_where_it_begins() -> None:
    file = b'\nemail,notes\n\na@example.com,"one\ntwo"\n\nb@example.com,\n'
    found = [record for record, _ in read(Records(), [file])]
    assert [(record.line, record.cells) for record in found] == [
        (2, ["email", "notes"]),
        (4, ["a@example.com", "one\ntwo"]),
        (7, ["b@example.com", ""]),
    ]


LONG = b"x" * (MAX_RECORD_BYTES + 1)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([b"a@example.com,A\xf1o", b"b@example.com,B"], {2: "is not UTF-8"}),
        ([b'a@example.com,"A" B', b"b@example.com,B"], {2: "is not CSV"}),
        ([b'a@example.com,"A', b'b@example.com,"B"'], {2: "is not CSV"}),
        ([b'b@example.com,"B', b"c"], {2: "is not CSV"}),
        ([b'a@example.com,"A', *[b"c@example.com,C"] * 5_000], {2: "more than 64000 bytes"}),
        ([b"a@example.com," + LONG, b"b@example.com,B"], {2: "more than 64000 bytes"}),
        ([b"a@example.com," + LONG * 3, LONG, b"b@example.com,B"], {2: "more than", 3: "more than"}),
    ],
    ids=["latin-1", "after a mark", "mark without end", "at the end", "open for long", "long", "longer"],
)
@pytest.mark.parametrize("size", [1_000, 65_536, 10**6])
def test_a_record_that_cannot_be_read_costs_one_line(lines: list[bytes], told: dict[int, str], size: int) -> None:
    content = b"\r\n".join([b"email,name", *lines])
    records = Records()
    found = [each for each, _ in read(records, [content[at : at + size] for at in range(0, len(content), size)])]
    faults = {record.line: record.fault for record in found if record.fault}
    assert faults.keys() == told.keys()
    assert all(told[line] in str(fault) for line, fault in faults.items())
    assert [record.line for record in found if not record.fault] == [
        line for line in range(1, len(lines) + 2) if line not in told
    ]
    assert records.position() == (len(content), len(lines) + 1, hashlib.sha256(content).hexdigest())


def test_a_line_that_is_too_long_is_not_kept_in_memory_and_no_place_to_go_on_from() -> None:
    records = Records(",")
    for _ in range(100):
        assert list(records.take(LONG)) == []
        assert records.position() == (0, 0, hashlib.sha256().hexdigest())
    (record,) = records.take(b"\na,b")
    assert (record.line, records.position().bytes) == (1, 100 * len(LONG) + 1)


def test_an_open_record_waits_for_no_more_than_it_may_hold() -> None:
    records = Records(",")
    assert list(records.take(b'a,"b\n')) == []
    (record,) = records.take(LONG)
    assert (record.line, records.position().lines) == (1, 1)
    assert "quotation mark without its end" in str(record.fault)
    assert [each.line for each in records.take(b'"\na,b\n')] == [2, 3]
