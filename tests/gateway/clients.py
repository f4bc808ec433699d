"""Programs that call the gateway, many at once: each a process of its own with many connections.

`python -m tests.gateway.clients` reads a task as a line of JSON, says `ready`, waits for another
line, makes all calls at the same moment, and prints what they got; and so on, task by task.
"""

import asyncio
import atexit
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import aiohttp
import orjson

from tests.servers import ROOT

NO_ANSWER = 0  # The status of a call whose line was cut.


@dataclass
class Task:
    """Calls to be made at the same moment, one per model name."""

    base_url: str
    secret: str
    models: Sequence[str]
    fields: dict[str, Any] = field(default_factory=dict)
    streams: Sequence[bool] = (False,)  # In turn.
    leave_every: int = 0  # Each so manieth stream is left after its first bytes.


@dataclass(frozen=True)
class Got:
    """What one call got: the whole body, or as much of it as came."""

    model: str
    status: int
    body: str
    has_left: bool = False

    @property
    def cost_ticks(self) -> int | None:
        """What the answer says that it cost; of a stream, its last chunk."""
        for line in reversed(self.body.splitlines()):
            if '"cost_in_usd_ticks"' in line:
                usage = orjson.loads(line.removeprefix("data: "))["usage"]
                return int(usage["cost_in_usd_ticks"])
        return None

    @property
    def is_whole(self) -> bool:
        """Whether it is a paid answer, and all of it."""
        return self.status == 200 and self.cost_ticks is not None


def call_at_once(*tasks: Task) -> list[Got]:
    """Let a process per task make its calls, all starting together."""
    with calling(*tasks) as results:
        return [got for result in results for got in result]


@contextmanager
def calling(*tasks: Task) -> Iterator[Iterator[list[Got]]]:
    """Start all calls; whoever wants to know what came of them reads on."""
    with ExitStack() as stack:
        programs = [stack.enter_context(_program(task)) for task in tasks]
        for program in programs:
            assert program.read() == b"ready\n"
        for program in programs:
            program.write(b"go\n")
        yield map(_Program.result, programs)


class _Program:
    """A process that does one task after the other: to start it takes longer than most tasks."""

    idle: ClassVar[list["_Program"]] = []

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.gateway.clients"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe)
        self.is_busy = False

    def write(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def read(self) -> bytes:
        assert self.process.stdout
        return self.process.stdout.readline()

    def begin(self, task: Task) -> None:
        self.is_busy = True
        self.write(orjson.dumps(asdict(task)) + b"\n")

    def result(self) -> list[Got]:
        found = [Got(**each) for each in orjson.loads(self.read())]
        self.is_busy = False
        return found

    def kill(self) -> None:
        with self.process:
            self.process.kill()


@contextmanager
def _program(task: Task) -> Iterator[_Program]:
    program = _Program.idle.pop() if _Program.idle else _Program()
    try:
        program.begin(task)
        yield program
    finally:
        if program.is_busy:  # Nobody wanted to know what comes of it.
            program.kill()
        else:
            _Program.idle.append(program)


@atexit.register
def _kill_idle() -> None:
    for program in _Program.idle:
        program.kill()


async def _call_all(task: Task) -> list[Got]:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"authorization": f"Bearer {task.secret}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        calls = [_call(session, task, number) for number in range(len(task.models))]
        return await asyncio.gather(*calls)


async def _call(session: aiohttp.ClientSession, task: Task, number: int) -> Got:
    model = task.models[number]
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Which fox jumps over what?"}],
    }
    is_stream = task.streams[number % len(task.streams)]
    if is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    leaves = bool(is_stream and task.leave_every and number % task.leave_every == 0)
    status, read = NO_ANSWER, b""
    try:
        url = f"{task.base_url}/v1/chat/completions"
        async with session.post(url, json=body | task.fields) as response:
            status = response.status
            async for part in response.content.iter_any():
                read += part
                if leaves:
                    response.close()
                    break
    except aiohttp.ClientError:
        pass  # A server was killed; what had come until then still counts.
    return Got(model, status, read.decode(), leaves)


if __name__ == "__main__":
    for line in sys.stdin:
        given = Task(**orjson.loads(line))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        found = [asdict(got) for got in asyncio.run(_call_all(given))]
        sys.stdout.write(orjson.dumps(found).decode() + "\n")
        sys.stdout.flush()
