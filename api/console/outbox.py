"""The outbox in a browser: what would have been sent, exactly as it would have been."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.console.pages import HEADERS, ReaderLanguage, page
from api.wiring import Services, Wired
from integrations.outbox.reader import OutboxMessage

router = APIRouter(prefix="/outbox")

PAGE_SIZE = 50
EMAIL_HEADERS = {
    **HEADERS,
    # An email is a foreign document: no script, no form, and links open in a window of their own.
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; "
        "style-src 'unsafe-inline'; font-src https:; frame-ancestors 'self'"
    ),
}


# Plain functions: they read files, which FastAPI then has done in a thread.


@router.get("")
def list_messages(services: Wired, language: ReaderLanguage, before: UUID | None = None) -> HTMLResponse:
    found = services.outbox.page(PAGE_SIZE + 1, str(before) if before else None) if _in_use(services) else []
    return page(
        "outbox.html",
        language,
        in_use=_in_use(services),
        messages=found[:PAGE_SIZE],
        next_before=found[PAGE_SIZE - 1].message_id if len(found) > PAGE_SIZE else None,
        is_first=before is None,
    )


@router.get("/{message_id}.eml")
def download(message_id: str, services: Wired, language: ReaderLanguage) -> Response:
    raw = services.outbox.raw(message_id) if _in_use(services) else None
    if raw is None:
        return _no_message(language)
    return Response(
        raw,
        media_type="message/rfc822",
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{message_id}.eml"'},
    )


@router.get("/{message_id}/html")
def show_html(message_id: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    message = _message(services, message_id)
    if message is None:
        return _no_message(language)
    # In the frame itself a page of ours could not open: they refuse to be framed.
    html = message.html.replace("<head>", '<head><base target="_blank">', 1)
    return HTMLResponse(html, headers=EMAIL_HEADERS)


@router.get("/{message_id}")
def show(message_id: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    message = _message(services, message_id)
    if message is None:
        return _no_message(language)
    return page("message.html", language, message=message)


def _in_use(services: Services) -> bool:
    return services.settings.mailer == "outbox"


def _message(services: Services, message_id: str) -> OutboxMessage | None:
    return services.outbox.read(message_id) if _in_use(services) else None


def _no_message(language: ReaderLanguage) -> HTMLResponse:
    return page("no_message.html", language, status=404)
