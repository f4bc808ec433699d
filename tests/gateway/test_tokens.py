"""Counting prompts: only what can be counted quickly, a few at a time, every key in its turn."""

import asyncio
from threading import Event, Lock

from gateway.api.tokens import AT_ONCE, LONG, Counting
from gateway.rules import ChatRequest, read_chat_request
from tests.servers import DEADLINE_SECONDS

AROUND = 7  # What a template adds to one message.


def prompt(text: str) -> ChatRequest:
    body = {"model": "atlas", "messages": [{"role": "user", "content": text}]}
    return read_chat_request(body, len(text))


class Slow:
    """Counts each prompt as its number of characters, once it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most_at_once = self._running = 0
        self._lock = Lock()
        self.may_end = Event()

    def __call__(self, text: str) -> int:
        with self._lock:
            self.begun.append(text)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        assert self.may_end.wait(DEADLINE_SECONDS)
        with self._lock:
            self._running -= 1
        return len(text)


async def begun(slow: Slow, number: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(slow.begun) < number:
            await asyncio.to_thread(lambda: None)


def test_a_long_prompt_is_not_counted_but_taken_by_its_bytes() -> None:
    slow = Slow()
    slow.may_end.set()

    async def both() -> list[int]:
        counting = Counting(slow)
        texts = "é" * (LONG // 2), "é" * (LONG // 2 + 1)
        return [await counting.of_prompt(prompt(text), secret="a") for text in texts]

    assert asyncio.run(both()) == [LONG // 2 + AROUND, LONG // 2 + 1 + AROUND]
    assert len(slow.begun) == 1


def test_a_key_with_many_prompts_keeps_no_other_waiting_and_few_are_counted_at_once() -> None:
    slow = Slow()

    async def all_of_them() -> list[int]:
        counting = Counting(slow)
        many = [asyncio.create_task(counting.of_prompt(prompt("a"), secret="a")) for _ in range(9)]
        await begun(slow, 1)
        others = [
            asyncio.create_task(counting.of_prompt(prompt(name * 2), secret=name)) for name in "bc"
        ]
        await begun(slow, 2)
        slow.may_end.set()
        return await asyncio.gather(*many, *others)

    counts = asyncio.run(all_of_them())

    assert counts == [1 + AROUND] * 9 + [2 + AROUND] * 2
    assert slow.begun[:2] == ["a", "bb"]
    assert slow.most_at_once == AT_ONCE
