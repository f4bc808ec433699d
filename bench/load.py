"""A closed-loop load generator: N clients, each sends its next request when the last is answered.

It shares the machine with what it measures, so it is lean: HTTP/1.1 on a bare asyncio protocol,
one request in bytes sent again and again, and every answer kept as it came. Whether the answers
are right is checked afterwards, outside of the measured time.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

PATIENCE_SECONDS = 30
LAST_CHUNK = b"\r\n0\r\n\r\n"


class WrongAnswerError(Exception):
    """A server under load did not answer, or not with what was asked for."""


@dataclass(frozen=True)
class Target:
    """One server under test, and how to ask it."""

    name: str
    port: int
    model: str
    key: str

    def request(self, *, prompt: str, max_tokens: int, stream: bool) -> bytes:
        body = orjson.dumps(
            {
                "model": self.model,
                "messages": [
                    {"role": "system", "content": "Answer briefly."},
                    {"role": "user", "content": prompt},
                ],
                "max_tokens": max_tokens,
                "stream": stream,
            }
        )
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Accept: */*\r\nUser-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class Sample:
    """What the clients saw while they ran together."""

    clients: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # Of the server's processes.
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    @property
    def rps(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds / len(self.latencies) * 1000

    def latency_ms(self, percent: int) -> float:
        return percentile_ms(self.latencies, percent)

    def first_token_ms(self, percent: int) -> float:
        return percentile_ms(self.first_tokens, percent)


def percentile_ms(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000


class Client(asyncio.Protocol):
    """One keep-alive connection that asks until the deadline."""

    def __init__(self, request: bytes, deadline: float, sample: Sample) -> None:
        self.request = request
        self.deadline = deadline
        self.sample = sample
        self.done = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.body_at = 0
        self.length: int | None = None  # None while unknown, and for chunked answers.
        self.sent_at = 0.0
        self.first_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        self.buffer = b""
        self.body_at = 0
        self.length = None
        self.first_at = 0.0
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if not self.body_at:
            self.body_at = self.buffer.find(b"\r\n\r\n") + 4
            if self.body_at == 3:
                self.body_at = 0
                return
            head = self.buffer[: self.body_at].lower()
            at = head.find(b"content-length:")
            if at >= 0:
                self.length = int(head[at + 15 : head.index(b"\r\n", at)])
        if not self.first_at and len(self.buffer) > self.body_at:
            self.first_at = time.perf_counter()
        if self.length is None:
            if self.buffer.endswith(LAST_CHUNK):
                self.answered()
        elif len(self.buffer) >= self.body_at + self.length:
            self.answered()

    def answered(self) -> None:
        now = time.perf_counter()
        self.sample.latencies.append(now - self.sent_at)
        self.sample.first_tokens.append(self.first_at - self.sent_at)
        self.sample.answers.append(self.buffer)
        if now < self.deadline:
            self.ask()
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(
                WrongAnswerError(f"The line was cut ({exc}) after {self.buffer[:300]!r}.")
            )


async def run(target: Target, request: bytes, *, clients: int, seconds: float) -> Sample:
    """Load the target and return what was seen; raises WrongAnswerError if the line is cut."""
    loop = asyncio.get_running_loop()
    sample = Sample(clients)
    started = time.perf_counter()
    deadline = started + seconds
    protocols = []
    for _ in range(clients):
        _transport, protocol = await loop.create_connection(
            lambda: Client(request, deadline, sample), "127.0.0.1", target.port
        )
        protocols.append(protocol)
    try:
        async with asyncio.timeout(seconds + PATIENCE_SECONDS):
            await asyncio.gather(*(protocol.done for protocol in protocols))
    except TimeoutError:
        raise WrongAnswerError(f"{target.name} left a request unanswered.") from None
    finally:
        for protocol in protocols:
            protocol.transport.abort()  # type: ignore[union-attr]
    sample.seconds = time.perf_counter() - started
    return sample


def check(target: Target, sample: Sample, *, expected: str, stream: bool) -> int:
    """Count the answers, after making sure that each is a 200 with exactly the expected text."""
    for answer in sample.answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        try:
            text = text_of_stream(head, body) if stream else text_of_json(head, body)
        except (ValueError, LookupError, TypeError) as error:
            text = f"(unreadable: {error!r})"
        if not head.startswith(b"HTTP/1.1 200") or text != expected:
            raise WrongAnswerError(f"{target.name} answered {answer[:2_000]!r}.")
    return len(sample.answers)


def unchunked(head: bytes, body: bytes) -> bytes:
    if b"chunked" not in head.lower():
        return body
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def text_of_json(head: bytes, body: bytes) -> str:
    answer: dict[str, Any] = orjson.loads(unchunked(head, body))
    return str(answer["choices"][0]["message"]["content"])


def text_of_stream(head: bytes, body: bytes) -> str:
    events = [line[6:] for line in unchunked(head, body).split(b"\n") if line.startswith(b"data: ")]
    if events[-1].strip() != b"[DONE]":
        raise ValueError("The stream has no [DONE].")
    choices = [choice for event in events[:-1] for choice in orjson.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
