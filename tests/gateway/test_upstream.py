"""The gateway's client of inference servers, where only certain moments and sizes do harm."""

import asyncio
import socket

import pytest
from pytest_django import Settings

from gateway.api.upstream import Upstreams, read_whole
from gateway.services import RefusedError, Target
from tests.upstreams import Upstream

# When so much of an answer lies unread, aiohttp stops listening for a while.
MOST_UNREAD = 2**19


@pytest.fixture(autouse=True)
def _little_patience(settings: Settings) -> None:
    settings.UPSTREAM_TIMEOUT = 1


async def ask(upstreams: Upstreams, url: str, says: str, text: str = "?", pause: float = 0) -> str:
    """Ask a server, and leave its answer unread for a moment."""
    target, body = Target("near", url, "", says), {"messages": [{"role": "user", "content": text}]}
    async with upstreams.post([target], "/chat/completions", body, "an-id") as (response, _):
        await asyncio.sleep(pause)
        return (await read_whole(response)).decode()


def test_a_large_answer_that_is_read_slowly_does_not_cost_the_next_one(upstream: Upstream) -> None:
    async def asked() -> str:
        upstreams = Upstreams(connect_timeout=1)
        try:
            size = 500_000
            answer = await ask(upstreams, upstream.url, f"huge-chunk?size={size}")
            size += MOST_UNREAD + 1 - len(answer)  # Its very last byte is one too many.
            await ask(upstreams, upstream.url, f"huge-chunk?size={size}", pause=0.3)
            await asyncio.sleep(1.2)
            return await ask(upstreams, upstream.url, "ok")
        finally:
            await upstreams.close()

    assert "quick brown fox" in asyncio.run(asked())


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_server_that_does_not_even_read_is_given_up() -> None:
    async def asked() -> str:
        upstreams = Upstreams(connect_timeout=1)
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(RefusedError) as given:
                await asyncio.wait_for(ask(upstreams, url, "ok", "fox " * 5_000_000), 10)
        await upstreams.close()
        await asyncio.sleep(0.1)  # What was never sent is let go of now that the server is gone.
        return given.value.reason

    assert asyncio.run(asked()) == "upstream_timeout"
