"""How an email is written for servers: what each of them takes, and mail programs read.

Source: RFC 5322, section 2.1.1; RFC 2045, section 6; RFC 2047.
"""

from __future__ import annotations

from email.header import Header
from email.policy import SMTP, EmailPolicy
from typing import Any

_FOR_PROGRAMS = ("List-", "X-Cauce-")


class _WirePolicy(EmailPolicy):
    """ASCII alone, since not every server takes 8 bits, in lines that are short but for headers that programs read."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        match name:
            case "From" | "To":
                [address] = value.addresses
                if not address.display_name.isascii():
                    return _line(name, f"{_encoded_words(address.display_name, name)}\r\n <{address.addr_spec}>")
                return _line(name, str(address))
            case "Subject" if not value.isascii():
                return _line(name, _encoded_words(value, name))
            case _ if name.startswith(_FOR_PROGRAMS):
                # The standard library breaks a long link into encoded words, which no program takes for a link.
                return _UNFOLDED.fold_binary(name, value)
            case _:
                return super().fold_binary(name, value)


def _encoded_words(text: str, header: str) -> str:
    """In short lines. The folding that the standard library does by itself loses spaces where it breaks a text."""
    return Header(text, "utf-8", maxlinelen=75, header_name=header).encode(linesep="\r\n")


def _line(name: str, text: str) -> bytes:
    return f"{name}: {text}\r\n".encode("ascii")


_UNFOLDED = SMTP.clone(max_line_length=998)
WIRE = _WirePolicy(linesep="\r\n", cte_type="7bit", max_line_length=76)
