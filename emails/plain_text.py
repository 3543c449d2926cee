"""The text part of a message, made from its HTML."""

from __future__ import annotations

import re

from inscriptis import get_text
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_document_state import HtmlDocumentState
from inscriptis.model.html_element import HtmlElement
from inscriptis.model.tag import CustomHtmlTagHandlerMapping


def _open_link(state: HtmlDocumentState, attributes: dict[str, str]) -> None:
    state.link_target = attributes.get("href", "")


def _close_link(state: HtmlDocumentState) -> None:
    if state.link_target:
        state.tags[-1].write(f" <{state.link_target}>")


# MJML lays out with tables: their cells are paragraphs to a reader, not columns.
_LAYOUT_TAGS = ("table", "tr", "td")
_CONFIG = ParserConfig(
    css=STRICT_CSS_PROFILE | {"td": HtmlElement(display=Display.block, margin_before=1, margin_after=1)},
    custom_html_tag_handler_mapping=CustomHtmlTagHandlerMapping(
        start_tag_mapping=dict.fromkeys(_LAYOUT_TAGS) | {"a": _open_link},
        end_tag_mapping=dict.fromkeys(_LAYOUT_TAGS) | {"a": _close_link},
    ),
)


def plain_text(html: str) -> str:
    """Turn a message's HTML into text: paragraphs apart by one empty line, a link as `its words <its address>`.

    What the HTML hides, such as the preview line, is left out.
    """
    lines = (line.strip() for line in get_text(html, _CONFIG).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
