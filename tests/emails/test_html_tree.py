"""What of a page a reader sees."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emails.html_tree import parse_html


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>One <b>two</b>\n  three</p>", "One two three"),
        ("<p>Tom &amp; Ada&nbsp;L.</p>", "Tom & Ada L."),
        ('<p>See <img src="a.png" alt="the plan"><img src="b.png" alt=""> here</p>', "See the plan here"),
        ('<p>Seen<span style="Display: None !important">not</span></p>', "Seen"),
        ("<p>One<br>two<br/>three</p></div><p>four</p>", "Onetwothreefour"),
        ("<ul><li>one <li>two</ul> after", "one two after"),
        ("<head><title>Not</title><style>p {}</style></head><body>Seen</body>", "Seen"),
        ("<!--[if mso]><p>Not</p><![endif]-->Seen", "Seen"),
    ],
)
def test_words_are_those_that_a_reader_reads(html: str, words: str) -> None:
    assert parse_html(html).words == words


def test_an_element_ends_where_its_tag_is_closed() -> None:
    page = parse_html("<div><a href='/one'>One</a><p>Two</div>Three")
    assert [link.attributes for link in page.all("a")] == [{"href": "/one"}]
    assert [block.words for block in page.all("div")] == ["OneTwo"]
    assert page.children[1:] == ["Three"]


def test_declarations_keep_what_is_quoted_or_in_brackets_together() -> None:
    (cell,) = parse_html("""<td style="Background: URL(data:a;b) ; font-family:'A;B', x;color : #FFF">""").all("td")
    assert cell.style == {"background": "url(data:a;b)", "font-family": "'a;b', x", "color": "#fff"}


def test_of_an_attribute_that_comes_twice_the_first_counts() -> None:
    (link,) = parse_html('<a href="/one" href="/two">x</a>').all("a")
    assert link.attributes["href"] == "/one"


@given(st.text(max_size=60))
def test_any_text_is_read_as_it_is(text: str) -> None:
    assert parse_html(f"<p>{escape(text)}</p>").words == " ".join(text.split())
