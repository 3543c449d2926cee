"""Whether a text can be told from what is behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emails.html_tree import parse_html
from inspection.rendered.colours import BLACK, WHITE, Colour, UnknownColour, contrast, over, parse_colour
from inspection.rendered.seen_text import SeenText, seen_texts

CHANNELS = st.integers(0, 255)
COLOURS = st.tuples(CHANNELS, CHANNELS, CHANNELS).map(lambda channels: Colour(*channels))


def only(html: str) -> SeenText:
    (text,) = seen_texts(parse_html(html))
    return text


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#777777", "#ffffff", 4.48), ("#767676", "#ffffff", 4.54), ("#ff0000", "#ffffff", 4.00), ("#fff", "#000", 21.0)],
)
def test_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    assert round(contrast(parse_colour(one), parse_colour(other)), 2) == ratio


@given(COLOURS, COLOURS)
def test_contrast_is_the_same_both_ways_and_highest_for_black_on_white(one: Colour, other: Colour) -> None:
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= contrast(BLACK, WHITE)
    assert contrast(one, one) == 1


@given(COLOURS, COLOURS, st.floats(0, 1))
def test_a_clear_colour_is_seen_between_itself_and_what_is_behind(front: Colour, back: Colour, alpha: float) -> None:
    seen = over(front._replace(alpha=alpha), back)
    for channel, one, other in zip(seen, front[:3], back[:3], strict=False):
        assert min(one, other) - 1e-9 <= channel <= max(one, other) + 1e-9
    assert over(front, back) == front
    assert over(front._replace(alpha=0.0), back) == back


@given(COLOURS)
def test_a_colour_is_read_in_each_way_that_it_is_written(colour: Colour) -> None:
    red, green, blue = colour[:3]
    for written in (str(colour), f"{colour}ff", f"rgb({red},{green},{blue})", f"rgb({red} {green} {blue} / 100%)"):
        assert parse_colour(written) == colour


@given(st.text(max_size=20) | st.from_regex(r"(#|rgba?\()[0-9a-f%.,/ -]*\)?", fullmatch=True))
def test_whatever_is_written_is_a_colour_or_told(written: str) -> None:
    try:
        colour = parse_colour(written)
    except UnknownColour as error:
        told = str(error)
    else:
        assert all(0 <= channel <= 255 for channel in colour[:3])
        assert 0 <= colour.alpha <= 1
        return
    assert told == written


@pytest.mark.parametrize(
    ("written", "read"), [("#0b5", "#00bb55"), ("rgb(100%, 0, 50%)", "#ff0080"), ("teal", "#008080")]
)
def test_short_ways_to_write_a_colour(written: str, read: str) -> None:
    assert str(parse_colour(written)) == read


@pytest.mark.parametrize("written", ["hsl(0,0%,0%)", "tomato", "#12345", "rgb(1,2)", "rgb(nan,0,0)", "var(--ink)"])
def test_what_not_every_email_client_knows_is_not_read(written: str) -> None:
    with pytest.raises(UnknownColour):
        parse_colour(written)


@pytest.mark.parametrize(
    ("html", "colour", "behind"),
    [
        ("Hello", "#000000", "#ffffff"),
        ('<p style="color:#123456">Hello</p>', "#123456", "#ffffff"),
        ('<div style="color:#123456"><b>Hello</b></div>', "#123456", "#ffffff"),
        ('<div style="color:#123456"><p style="color:inherit">Hello</p></div>', "#123456", "#ffffff"),
        ('<div style="color:#123456"><p style="color:#FFF !important">Hello</p></div>', "#ffffff", "#ffffff"),
        ('<div style="color:#123456"><p style="color:#654321; color:#abcdef">Hello</p></div>', "#abcdef", "#ffffff"),
        ('<div style="background-color:#123456"><p>Hello</p></div>', "#000000", "#123456"),
        ('<td bgcolor="#123456"><p style="background-color: transparent">Hello</p></td>', "#000000", "#123456"),
        ('<div style="background: #123456 url(\'b.png;c\') no-repeat">Hello</div>', "#000000", "#123456"),
        ('<div style="background:#123456"><p style="background:url(a.png)">Hello</p></div>', "#000000", "#123456"),
        ('<div style="background:linear-gradient(rgb(1,2,3), #fff)">Hello</div>', "#000000", "#ffffff"),
        ('<p style="background:#000"><b style="background:rgba(255,255,255,.5)">Hello</b></p>', "#000000", "#808080"),
        ('<p style="color:rgba(0,0,0,.5)">Hello</p>', "#808080", "#ffffff"),
        ('<p style="color:#123456"><a href="https://a.example">Hello</a></p>', "#0000ee", "#ffffff"),
        ('<p style="color:#123456"><a>Hello</a></p>', "#123456", "#ffffff"),
        ('<p style="color:#123456"><a href="/" style="color:inherit">Hello</a></p>', "#123456", "#ffffff"),
    ],
)  # fmt: skip
def test_a_text_has_the_nearest_colours_that_are_written(html: str, colour: str, behind: str) -> None:
    text = only(html)
    assert (text.words, str(text.colour), str(text.behind)) == ("Hello", colour, behind)


@pytest.mark.parametrize(
    ("style", "is_large"),
    [
        ("font-size:24px", True),
        ("font-size:23.9px", False),
        ("font-size:18.66px;font-weight:700", True),
        ("font-size:18.66px;font-weight:600", False),
        ("font-size:18.6px;font-weight:bold", False),
        ("font-size:18pt", True),
        ("font-size:1.5em", True),
        ("font-size:149%", False),
        ("font-size:5vw", False),
        ("font:700 40px Arial", False),
    ],
)
def test_a_text_is_large_from_24_pixels_or_bold_from_fewer(style: str, is_large: bool) -> None:
    assert only(f'<p style="{style}">Hello</p>').is_large is is_large


def test_size_and_weight_are_handed_down() -> None:
    assert only('<div style="font-size:20px"><h1><i>Hello</i></h1></div>').is_large
    assert not only('<div style="font-size:20px"><h1 style="font-weight:400">Hello</h1></div>').is_large


@pytest.mark.parametrize(
    "html",
    [
        '<div style="display:none">Hello <p>there</p></div>',
        '<div style="visibility: hidden">Hello</div>',
        '<div style="opacity:0">Hello</div>',
        '<td style="font-size:0px">Hello</td>',
        "<head><title>Hello</title></head>",
        "<style>p { color: red }</style>",
        "<!-- Hello --><!--[if mso]><p>Hello</p><![endif]-->",
        "<p> &nbsp; <br></p>",
    ],
)
def test_what_nobody_sees_has_no_contrast(html: str) -> None:
    assert seen_texts(parse_html(html)) == []
