"""A page for people, as a test looks at it."""

from __future__ import annotations

import re

import httpx


def assert_page(answer: httpx.Response, status: int = 200) -> str:
    """A page that lets nothing foreign in, is whole, and has no script; answer its HTML."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    html = answer.text
    assert html.rstrip().endswith("</html>")
    assert re.search(r"<script|<style|\son\w+=|\sstyle=", html) is None
    assert html.count("<h1>") == 1
    return html
