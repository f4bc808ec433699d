"""The fake server itself: HTTP/1.1 on a bare asyncio protocol, so lean that it hardly counts."""

import asyncio
import itertools
import os
import signal
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from tests.upstreams.answers import Ask, End, Step, respond
from tests.upstreams.behaviours import BEHAVIOURS, Gate, refuse

KEPT_REQUESTS = 1_000


@dataclass
class Seen:
    """A request that arrived, as bytes: reading it can wait until somebody asks."""

    head: bytes
    body: bytes
    outcome: str = "open"

    def told(self) -> dict[str, Any]:
        first, *lines = self.head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        body: Any = self.body.decode(errors="replace")
        with suppress(orjson.JSONDecodeError):
            body = orjson.loads(self.body)
        told = {"method": method, "path": path, "headers": headers, "body": body}
        return told | {"outcome": self.outcome}


@dataclass
class Server:
    """What the connections of one server share."""

    default: str = "ok"
    count: int = 0
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def steps(self, method: str, path: str, seen: Seen) -> Iterable[Step]:
        if path.endswith("/chat/completions") and method == "POST":
            self.count += 1
            self.seen.append(seen)
            return self.behave(seen)
        if path.endswith("/models"):
            models = [{"id": name, "object": "model", "owned_by": "tests"} for name in BEHAVIOURS]
            return [respond(200, orjson.dumps({"object": "list", "data": models}))]
        if path == "/_requests":
            if method == "DELETE":
                self.count = 0
                self.seen.clear()
            told = {"count": self.count, "requests": [each.told() for each in self.seen]}
            return [respond(200, orjson.dumps(told))]
        if path == "/_gate" and method == "PUT":
            Gate.is_open = seen.body == b"open"
            return [respond(200, b"{}")]
        if path == "/_behaviour" and method == "PUT":
            self.default = seen.body.decode()
            return [respond(200, b"{}")]
        return refuse(404, "not_found", f"There is no {path} here.")(Ask({}, {}))

    def behave(self, seen: Seen) -> Iterable[Step]:
        try:
            body = orjson.loads(seen.body)
            name, _, query = str(body["model"]).partition("?")
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return BEHAVIOURS["error-400"](Ask({}, {}))
        if name not in BEHAVIOURS:
            chosen = self.default
            if b"x-behaviour" in seen.head.lower():
                chosen = seen.told()["headers"]["x-behaviour"]
            name, _, query = chosen.partition("?")
        ask = Ask(body, dict(parse_qsl(query)) if query else {})
        steps = BEHAVIOURS[name](ask)
        return itertools.chain([ask.option("wait", 0)], steps) if "wait" in ask.options else steps


class Connection(asyncio.Protocol):
    """One keep-alive connection: reads a request, plays its behaviour, reads the next."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = b""
        self.steps: Iterator[Step] | None = None
        self.seen: Seen | None = None
        self.pause: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.pause:
            self.pause.cancel()
        if self.seen and self.seen.outcome in {"open", End.HANG.value}:
            self.seen.outcome = "client left"
        self.steps = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.steps is None and (request := self.take_request()):
            method, path, self.seen = request
            self.steps = iter(self.server.steps(method, path, self.seen))
            self.play()

    def take_request(self) -> tuple[str, str, Seen] | None:
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
            elif line == b"transfer-encoding: chunked":
                return self.take_chunked(head, rest)
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        return self.request(head, rest[:length])

    def take_chunked(self, head: bytes, rest: bytes) -> tuple[str, str, Seen] | None:
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return None
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            if int(size, 16) == 0:
                self.buffer = rest
                return self.request(head, body)

    @staticmethod
    def request(head: bytes, body: bytes) -> tuple[str, str, Seen]:
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        return method, urlsplit(path).path, Seen(head, body)

    def play(self) -> None:
        """Take steps until the behaviour pauses or ends."""
        assert self.transport
        assert self.seen
        self.pause = None
        for step in self.steps or ():
            if isinstance(step, bytes):
                self.transport.write(step)
            elif isinstance(step, End):
                self.seen.outcome = step.value
                if step is End.DROP:
                    self.transport.abort()
                return
            else:
                self.pause = asyncio.get_running_loop().call_later(step, self.resume)
                return
        self.seen.outcome = "answered"
        self.steps = None

    def resume(self) -> None:
        self.play()
        if self.steps is None:
            self.data_received(b"")


async def serve(port: int, default: str) -> None:
    loop = asyncio.get_running_loop()
    server = Server(default)
    listener = await loop.create_server(
        lambda: Connection(server), "127.0.0.1", port, backlog=1_024
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, stop.set)  # A pipe from whoever started it: when they end, it ends.
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1", flush=True)  # noqa: T201
    await stop.wait()
