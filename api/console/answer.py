"""The pages that links in emails to people of the team lead to: approvals, tasks, leads and the queue of leads.

Mail scanners follow links: only the POST answers. The link itself is the authority: there is no key, and no cookie.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.answering import NotTold, Refused
from api.console.answer_form import Faulty, blank, read_form
from api.console.approval_page import ApprovalPage
from api.console.asking import AskingPage, DeadLink, Reply
from api.console.lead_page import LeadPage
from api.console.pages import HEADERS, ReaderLanguage, page
from api.console.queue_page import QueuePage
from api.console.task_page import TaskPage
from api.console.texts import Language
from api.wiring import Services, Wired
from domain.questions import Refusal
from runtime.links import LinkExpired

router = APIRouter(prefix="/answer")

_PAGES: dict[str, type[AskingPage]] = {
    "approval": ApprovalPage,
    "task": TaskPage,
    "lead": LeadPage,
    "queue": QueuePage,
}
_DEAD = {"bad": 404, "expired": 410, "inactive": 403, "not_manager": 403}
_REFUSED = {
    Refusal.NOT_ASKED: ("fault_not_asked", 403),
    Refusal.ANSWERED: ("fault_answered", 409),
}


@router.api_route("/{kind}/{token}", methods=["GET", "HEAD"])
async def ask(kind: str, token: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    try:
        asked = await _opened(services, kind, token)
    except DeadLink as dead:
        return _dead(services, dead, language)
    return await asked.show(Reply(blank()))


@router.post("/{kind}/{token}")
async def answer(kind: str, token: str, request: Request, services: Wired, language: ReaderLanguage) -> Response:
    try:
        asked = await _opened(services, kind, token)
    except DeadLink as dead:
        return _dead(services, dead, language)
    form = await read_form(request)
    try:
        await asked.answer(form)
    except DeadLink as dead:
        return _dead(services, dead, language)
    except Faulty as faulty:
        return await asked.show(Reply(form, faulty.fault, faulty.status))
    except Refused as refused:
        fault, status = _REFUSED.get(refused.refusal, ("fault_not_pending", 409))
        return await asked.show(Reply(blank(), fault, status))
    except NotTold:
        shown = await asked.show(Reply(form, "fault_not_told", 503))
        shown.headers["Retry-After"] = "5"
        return shown
    # What a reload repeats is the page that shows the result.
    return RedirectResponse(request.url.path, 303, HEADERS)


async def _opened(services: Services, kind: str, token: str) -> AskingPage:
    """Raises: DeadLink."""
    if kind not in _PAGES:
        raise DeadLink("bad")
    try:
        return await _PAGES[kind].opened(services, token)
    except LinkExpired:
        raise DeadLink("expired") from None


def _dead(services: Services, dead: DeadLink, language: Language) -> HTMLResponse:
    sender = services.settings.sender_name
    return page("answer_link.html", language, status=_DEAD[dead.why], why=dead.why, sender=sender)
