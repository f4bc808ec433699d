"""Programs that call the gateway, many at once: each a process of its own with many connections.

`python -m tests.gateway.clients` reads its task as a line of JSON, says `ready`, waits for another
line, makes all calls at the same moment, and prints what they got.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

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
        processes = [stack.enter_context(_process(task)) for task in tasks]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write(b"go\n")
            process.stdin.flush()
        yield map(_result, processes)


@contextmanager
def _process(task: Task) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.gateway.clients"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdin
            process.stdin.write(orjson.dumps(asdict(task)) + b"\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def _result(process: "subprocess.Popen[bytes]") -> list[Got]:
    assert process.stdout
    return [Got(**each) for each in orjson.loads(process.stdout.readline())]


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
    given = Task(**orjson.loads(sys.stdin.readline()))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    found = [asdict(got) for got in asyncio.run(_call_all(given))]
    sys.stdout.write(orjson.dumps(found).decode() + "\n")
