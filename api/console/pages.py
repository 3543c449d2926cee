"""How a page is made: a template, the texts of one language, and headers that let nothing foreign in."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

from babel.dates import format_datetime
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.console.texts import TEXTS, Language, preferred

FOLDER = Path(__file__).parent

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}


def minute(moment: datetime, language: Language, zone: tzinfo = UTC) -> str:
    return format_datetime(moment, "d MMM y, HH:mm", tzinfo=zone, locale=language)


_templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["minute"] = minute


async def _language(request: Request) -> Language:
    return preferred(request.headers.get("accept-language", ""))


ReaderLanguage = Annotated[Language, Depends(_language)]


def page(template: str, language: Language, *, status: int = 200, **values: Any) -> HTMLResponse:
    html = _templates.get_template(template).render(language=language, texts=TEXTS[language], **values)
    return HTMLResponse(html, status, {**HEADERS, "Content-Language": language})
