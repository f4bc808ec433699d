"""Reading server-sent events: the same events, however the network cuts them up."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.stream import events
from gateway.api.upstream import MOST_ANSWER_BYTES
from gateway.services import RefusedError

LINE_ENDS = [b"\n", b"\r\n", b"\r"]
# Bytes that a line of data may have: everything but line ends.
DATA = st.binary(max_size=12).filter(lambda data: not {10, 13} & set(data))
OTHER_LINES = st.sampled_from([b": keep-alive", b":", b"event: message", b"id: 7", b"retry", b"x"])


def read(parts: Iterable[bytes]) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def collected() -> list[bytes]:
        return [event async for event in events(stream())]

    return asyncio.run(collected())


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Make a stream in one of the ways that the standard allows, and the events in it."""
    whole, expected = b"", []
    for lines in draw(st.lists(st.lists(DATA, min_size=1, max_size=3), max_size=5)):
        # One kind of line end per event: CR and then LF would be one end, not two.
        end = draw(st.sampled_from(LINE_ENDS))
        if end == b"\n" and whole.endswith(b"\r"):
            end = b"\r\n"
        for line in lines:
            whole += b"".join(other + end for other in draw(st.lists(OTHER_LINES, max_size=2)))
            space = b" " if line.startswith(b" ") or draw(st.booleans()) else b""
            whole += b"data:" + space + line + end
        whole += end
        expected.append(b"\n".join(lines))
    return whole, expected


@settings(deadline=None)
@given(streams(), st.data())
def test_the_same_events_come_of_any_cut_of_the_stream(
    made: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    whole, expected = made
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))

    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert read(parts) == expected


@settings(deadline=None)
@given(streams())
def test_the_same_events_come_byte_by_byte(made: tuple[bytes, list[bytes]]) -> None:
    whole, expected = made

    assert read(whole[i : i + 1] for i in range(len(whole))) == expected


@pytest.mark.parametrize("end", LINE_ENDS)
def test_an_event_whose_last_empty_line_is_missing_still_counts(end: bytes) -> None:
    assert read([b"data: 1" + end + end, b"data: 2" + end]) == [b"1", b"2"]


@pytest.mark.parametrize("rest", [b"data: 2", b"da", b"\n\n\n", b": bye", b"event: x\n\n"])
def test_what_is_cut_off_in_the_middle_of_a_line_is_no_event(rest: bytes) -> None:
    assert read([b"data: 1\n\n", rest]) == [b"1"]


def test_an_event_without_an_end_in_sight_is_refused() -> None:
    part = b"x" * (MOST_ANSWER_BYTES // 2 + 1)

    with pytest.raises(RefusedError):
        read([b"data: ", part, part])
