"""An SMTP server on the loopback: strict about what it is told, and refusing, cutting and hanging as scripted."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from threading import Event, Lock, Thread
from typing import Literal, Self

Stage = Literal["greeting", "EHLO", "STARTTLS", "AUTH", "RSET", "MAIL", "RCPT", "DATA", "content", "end"]
"""Where a play may happen: commands, the greeting, `content` (before the dot that ends it) and `end` (after it)."""
_OURS = "250 2.0.0 Ok: queued as 4F2A"
_PATH = re.compile(r"<([!#-;=?A-~]+@[!#-;=?A-~]+)>( +(?P<parameters>.+))?")
MAX_BYTES = 1_000_000
_WINDOW = 65_536


@dataclass(frozen=True)
class Play:
    """What to do once at a stage: give an answer, which may be anything, and then perhaps `cut` the connection or
    fall silent, `held`. Where there is no answer and something is lost, the server has done what it was told."""

    answer: str | None = None
    lost: Literal["cut", "held"] | None = None


@dataclass(frozen=True)
class Taken:
    """A message that the server has. `content` is as it was before dots were stuffed."""

    sender: str
    recipient: str
    content: bytes


class FakeSmtp:
    """Listens on 127.0.0.1 within `with`; scripted plays are used up first. May be asked from any thread.

    With `tls` it wants TLS before anything else: at once if `implicit`, or by STARTTLS. With `login` it wants AUTH.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
        extensions: Iterable[str] = (f"SIZE {MAX_BYTES}", "8BITMIME"),
    ) -> None:
        self.taken: list[Taken] = []
        self.commands: list[str] = []
        """Every command's first word, over all connections."""
        self.connections = 0
        self.tls, self.implicit, self.login, self.extensions = tls, implicit, login, tuple(extensions)
        self.lock = Lock()
        self.stopping = Event()
        self._script: dict[Stage, deque[Play]] = defaultdict(deque)
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)  # its connections have it too
        self._threads = [Thread(target=self._serve, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def script(self, stage: Stage, *plays: Play) -> None:
        """Play these at the next times that a conversation comes to the stage, one each."""
        with self.lock:
            self._script[stage].extend(plays)

    def next_play(self, stage: Stage) -> Play | None:
        with self.lock:
            return self._script[stage].popleft() if self._script[stage] else None

    def opened(self, connection: socket.socket) -> None:
        with self.lock:
            self._open.append(connection)

    def hang_up(self) -> None:
        """Cut every connection that is open, as a restart does."""
        with self.lock:
            connections, self._open = self._open, []
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self) -> None:
        """Until every conversation that was begun is over."""
        with self.lock:
            conversations = self._threads[1:]
        for conversation in conversations:
            conversation.join(5)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            conversation = Thread(target=self._converse, args=[connection], daemon=True)
            with self.lock:
                self.connections += 1
                self._threads.append(conversation)
            self.opened(connection)
            conversation.start()

    def _converse(self, connection: socket.socket) -> None:
        # A client that hung up, or that wants none of our certificate, is part of the play.
        with connection, suppress(OSError, _Over):
            _Conversation(self, connection).run()


class _Over(Exception):
    """The conversation has ended."""


class _Refused(Exception):
    """The command came to nothing; the conversation goes on."""


class _Conversation:
    def __init__(self, server: FakeSmtp, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._reader: BufferedReader
        self._encrypted = self._known = False
        self._sender = self._recipient = ""

    def run(self) -> None:
        try:
            if self._server.implicit:
                self._encrypt()
            self._reader = self._connection.makefile("rb")
            with suppress(_Refused):
                self._answer("greeting", "220 fake.example ESMTP")
            while line := self._reader.readline(2000):
                with suppress(_Refused):
                    self._obey(line)
        finally:
            self._connection.close()

    def _obey(self, line: bytes) -> None:
        text = line.decode("ascii", "replace")
        if not (text.isascii() and text.endswith("\r\n")):
            self._say("500 5.5.2 Not a command")
            raise _Over
        command, _, rest = text[:-2].partition(" ")
        command = command.upper()
        with self._server.lock:
            self._server.commands.append(command)
        match command:
            case "EHLO":
                self._answer("EHLO", *self._greet(rest))
            case "STARTTLS" if self._offers_tls():
                self._answer("STARTTLS", "220 Go ahead")
                self._encrypt()
                self._reader = self._connection.makefile("rb")
                self._known = False
            case "AUTH" if self._server.login is not None:
                self._authenticate(rest)
            case "RSET":
                self._sender = self._recipient = ""
                self._answer("RSET", "250 Ok")
            case "MAIL":
                self._mail(rest)
            case "RCPT":
                self._rcpt(rest)
            case "DATA":
                self._data()
            case "QUIT":
                self._say("221 Bye")
                raise _Over
            case _:
                self._say("502 5.5.1 Command not recognized")

    def _greet(self, name: str) -> list[str]:
        if not name:
            return ["501 A name is needed"]
        self._sender = self._recipient = ""
        offers = list(self._server.extensions)
        if self._offers_tls():
            offers.append("STARTTLS")
        elif self._server.login is not None:
            offers.append("AUTH PLAIN LOGIN")
        lines = ["fake.example", *offers]
        return [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]

    def _offers_tls(self) -> bool:
        return self._server.tls is not None and not self._encrypted

    def _encrypt(self) -> None:
        assert self._server.tls is not None
        self._connection = self._server.tls.wrap_socket(self._connection, server_side=True)
        self._server.opened(self._connection)  # in the place of the one that it was
        self._encrypted = True

    def _authenticate(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if self._offers_tls() or mechanism.upper() not in ("PLAIN", "LOGIN"):
            self._say("504 5.5.4 Unrecognized authentication type")
            return
        if mechanism.upper() == "PLAIN":
            _, *told = base64.b64decode(initial).decode().split("\0")
        else:
            told = [base64.b64decode(initial).decode(), self._ask("334 UGFzc3dvcmQ6")]
        if tuple(told) != self._server.login:
            self._answer("AUTH", f"535 5.7.8 Error: authentication of {told[0]} failed")
            return
        self._answer("AUTH", "235 2.7.0 Authentication successful")
        self._known = True

    def _ask(self, challenge: str) -> str:
        self._say(challenge)
        return base64.b64decode(self._reader.readline(2000)).decode()

    def _mail(self, rest: str) -> None:
        path = _PATH.fullmatch(rest[5:]) if rest[:5].upper() == "FROM:" else None
        if self._offers_tls():
            self._say("530 5.7.0 Must issue a STARTTLS command first")
        elif self._server.login is not None and not self._known:
            self._say("530 5.7.0 Authentication required")
        elif path is None or self._sender:
            self._say("503 5.5.1 Error: nested MAIL command" if self._sender else f"501 5.1.7 Bad sender: {rest}")
        elif (size := re.search(r"size=(\d+)", path["parameters"] or "", re.IGNORECASE)) and int(size[1]) > MAX_BYTES:
            self._say("552 5.3.4 Message size exceeds fixed limit")
        else:
            self._answer("MAIL", "250 2.1.0 Ok")
            self._sender = path[1]

    def _rcpt(self, rest: str) -> None:
        path = _PATH.fullmatch(rest[3:]) if rest[:3].upper() == "TO:" else None
        if not self._sender or self._recipient:
            self._say("503 5.5.1 Error: need MAIL command, once")
        elif path is None:
            self._say(f"501 5.1.3 Bad recipient: {rest}")
        else:
            self._answer("RCPT", f"250 2.1.5 {path[1]} Ok")
            self._recipient = path[1]

    def _data(self) -> None:
        if not self._recipient:
            self._say("554 5.5.1 Error: no valid recipients")
            return
        self._answer("DATA", "354 End data with <CR><LF>.<CR><LF>")
        self._play("content")
        content = b""
        for line in iter(self._reader.readline, b".\r\n"):
            if not line:
                raise _Over  # lost before the dot: nothing is taken
            content += line.removeprefix(b".")
        taken = Taken(self._sender, self._recipient, content)
        self._sender = self._recipient = ""
        play = self._server.next_play("end")
        answer = _fault(content) or _OURS
        if play is not None and play.answer is not None:
            answer = play.answer
        if answer.startswith("2"):
            with self._server.lock:
                self._server.taken.append(taken)
        if play is None or play.answer is not None:
            self._say(answer)
        self._lose(play)

    def _answer(self, stage: Stage, *lines: str) -> None:
        """Say this, unless the script has something else; go on only if the answer was ours."""
        play = self._server.next_play(stage)
        if play is None:
            self._say(*lines)
            if not lines[-1].startswith(("2", "3")):
                raise _Refused
            return
        if play.answer is not None:
            self._say(play.answer)
        self._lose(play)
        raise _Refused

    def _play(self, stage: Stage) -> None:
        self._lose(self._server.next_play(stage))

    def _lose(self, play: Play | None) -> None:
        if play is not None and play.lost == "held":
            self._server.stopping.wait()
        if play is not None and play.lost is not None:
            raise _Over

    def _say(self, *lines: str) -> None:
        self._connection.sendall("".join(f"{line}\r\n" for line in lines).encode())


def _fault(content: bytes) -> str | None:
    """What a strict server finds wrong with a message (RFC 5322, section 2.1; RFC 2045, section 2.7)."""
    if not content.isascii() or b"\0" in content:
        return "554 5.6.0 Eight bits were not announced"
    if re.search(rb"\r(?!\n)|(?<!\r)\n", content):
        return "554 5.6.0 A bare CR or LF"
    if max(len(line) for line in content.split(b"\r\n")) > 998:
        return "554 5.6.0 A line is too long"
    return None
