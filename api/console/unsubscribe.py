"""The page that an email's opt-out link leads to, and the one-click request of RFC 8058.

Mail scanners follow links: only the POST opts out. It needs no cookie, no key and no redirect.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.console.pages import ReaderLanguage, page
from api.console.texts import Language, of_locale
from api.unsubscribing import unsubscribe
from api.wiring import Services, Wired
from store.tables import ContactRow

router = APIRouter(prefix="/unsubscribe")


@router.get("/{token}")
async def ask(token: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    contact = await _contact(services, token)
    if contact is None:
        return _page(services, language, "bad_link", status=404)
    return _page(services, of_locale(contact.locale), "ask")


@router.post("/{token}")
async def opt_out(token: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    contact = await _contact(services, token)
    if contact is None:
        return _page(services, language, "bad_link", status=404)
    await unsubscribe(services, contact)
    return _page(services, of_locale(contact.locale), "done")


def _page(
    services: Services, language: Language, state: Literal["ask", "done", "bad_link"], *, status: int = 200
) -> HTMLResponse:
    return page("unsubscribe.html", language, status=status, state=state, sender=services.settings.sender_name)


async def _contact(services: Services, token: str) -> ContactRow | None:
    contact_id = services.links.contact_of_unsubscribe(token)
    if contact_id is None:
        return None
    async with services.database.read() as session:
        return await session.get(ContactRow, contact_id)
