"""The start page, and the style of every page."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from api.console.pages import FOLDER, ReaderLanguage, page
from api.wiring import Wired

router = APIRouter()


@router.get("/")
async def start(services: Wired, language: ReaderLanguage) -> HTMLResponse:
    return page("start.html", language, temporal_ui_url=str(services.settings.temporal_ui_url))


@router.get("/console.css")
async def style() -> FileResponse:
    return FileResponse(FOLDER / "console.css", media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})
