"""Windows that roll: never too many, never too few, against a log that forgets nothing."""

from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rates import (
    MINUTE,
    PARTS,
    SECOND,
    SKEW,
    Entries,
    Exceeded,
    Limits,
    Need,
    Standing,
    Window,
    Windows,
    duration,
    limits_of,
    longest,
    tightest,
)

LENGTHS = st.sampled_from([SECOND, MINUTE])
# Moments apart, as parts of a window: often the same one, often about a window apart.
STEPS = st.lists(st.sampled_from([0, 0, 1, 0.0005, 0.01, 0.3, 0.999, 0.9999999, 1.01]), max_size=60)
SMALL = Need(1, 2)
START = 1_772_366_400_000_000


def moments(length: int, steps: list[float]) -> list[int]:
    return [START + at for at in accumulate(int(step * length) for step in steps)]


def let_in(length: int, limit: int, asked: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Ask at these moments, as processes do that keep the entries in a table between batches.

    Returns when somebody was let in, and when refused with which wait.
    """
    entries: Entries = []
    passed, refused = [], []
    for now in asked:
        window = Window(length, entries, now=now)
        if window.used < limit:
            window.enter(1)
            passed.append(now)
            entries = window.entries
            assert len(entries) <= PARTS + 1
        else:
            refused.append((now, window.until_left(window.used + 1 - limit)))
    return passed, refused


def within(passed: list[int], begin: int, end: int) -> int:
    """Count those after `begin`, up to `end`."""
    return sum(begin < moment <= end for moment in passed)


@given(LENGTHS, st.integers(1, 6), STEPS)
def test_no_window_anywhere_ever_has_more_than_the_limit(
    length: int, limit: int, steps: list[float]
) -> None:
    passed, _ = let_in(length, limit, moments(length, steps))

    assert all(within(passed, end - length, end) <= limit for end in passed)


@given(LENGTHS, st.integers(1, 6), STEPS)
def test_nobody_is_refused_before_the_limit_was_used_up(
    length: int, limit: int, steps: list[float]
) -> None:
    passed, refused = let_in(length, limit, moments(length, steps))

    part = -(-length // PARTS)
    for now, _ in refused:
        assert within(passed, now - length - part, now) >= limit


@given(LENGTHS, st.integers(1, 6), STEPS)
def test_the_wait_is_as_long_as_it_takes_and_no_longer(
    length: int, limit: int, steps: list[float]
) -> None:
    asked = moments(length, steps)
    passed, refused = let_in(length, limit, asked)

    for now, wait in refused:
        before = [moment for moment in passed if moment <= now]
        assert 0 < wait <= length + -(-length // PARTS)
        assert let_in(length, limit, [*before, now + wait])[0][-1] == now + wait
        assert now + wait - 1 not in let_in(length, limit, [*before, now + wait - 1])[0]


@given(st.integers(1, 5), STEPS, st.lists(st.integers(-900_000, 900_000), min_size=60, max_size=60))
def test_processes_whose_clocks_differ_pass_no_limit_together(
    limit: int, steps: list[float], errors: list[int]
) -> None:
    asked = [moment + error for moment, error in zip(moments(SECOND, steps), errors, strict=False)]

    passed, _ = let_in(SECOND, limit, asked)

    # Nobody comes before whoever was let in before: that is the order of the lock.
    stamps = list(accumulate(passed, max))
    assert all(within(stamps, end - SECOND, end) <= limit for end in stamps)


def test_the_limit_holds_across_the_edges_of_clock_seconds() -> None:
    edge = START + SECOND
    asked = [edge - 2, edge - 1, edge, edge + 1, edge + SECOND - 3]

    passed, _ = let_in(SECOND, 2, asked)

    assert passed == [edge - 2, edge - 1]


def test_a_list_stays_short_however_much_it_stands_for() -> None:
    entries: Entries = []
    for now in range(START, START + 3 * SECOND, 500):
        window = Window(SECOND, entries, now=now)
        window.enter(1)
        entries = window.entries

    assert len(entries) <= PARTS + 1
    # The last second, and what the rounding keeps a moment longer.
    assert 2000 <= Window(SECOND, entries, now=now).used <= 2000 + 4


@pytest.mark.parametrize("back", [3 * SECOND, 59 * SECOND, 3600 * SECOND])
def test_after_a_clock_was_set_back_what_was_let_in_counts_for_one_window_from_then(
    back: int,
) -> None:
    window = Window(MINUTE, [], now=START)
    window.enter(2)
    window = Window(MINUTE, window.entries, now=START + 30 * SECOND)
    window.enter(5)

    after = Window(MINUTE, window.entries, now=START + 30 * SECOND - back)

    assert after.is_rebased
    assert after.used == 7
    assert after.until_left(7) <= MINUTE + MINUTE // PARTS
    assert after.reset <= MINUTE


def test_clocks_that_differ_by_a_little_change_nothing_that_was_written_down() -> None:
    window = Window(SECOND, [], now=START)
    window.enter(1)

    behind = Window(SECOND, window.entries, now=START - SKEW + SECOND // PARTS)

    assert not behind.is_rebased
    assert behind.entries == window.entries


@given(LENGTHS, st.integers(1, 6), STEPS, st.integers(0, 60), st.integers(0, 2 * MINUTE))
def test_a_clock_that_is_set_back_passes_no_limit_and_keeps_nobody_waiting_for_it(
    length: int, limit: int, steps: list[float], since: int, back: int
) -> None:
    really = moments(length, steps)
    asked = [at - back * (n >= since) for n, at in enumerate(really)]

    entries: Entries = []
    passed = []
    for at, now in zip(really, asked, strict=True):
        window = Window(length, entries, now=now)
        if window.used < limit:
            window.enter(1)
            passed.append(at)
        else:
            wait = window.until_left(window.used + 1 - limit)
            assert 0 < wait <= length + -(-length // PARTS) + SKEW
            assert Window(length, window.entries, now=now + wait).used < limit
        entries = window.entries

    assert all(within(passed, end - length, end) <= limit for end in passed)


def test_a_clock_that_was_set_back_is_noted_even_where_nobody_is_let_in() -> None:
    windows = Windows(now=START)
    windows.let_in(Limits(requests_per_minute=1))

    later = Windows(**windows.as_row(), now=START + SECOND)
    before = Windows(**windows.as_row(), now=START - 30 * SECOND)

    assert not later.has_changed
    assert before.has_changed


@dataclass
class Request:
    """One that may use up to `need`, uses `used`, and takes a while."""

    need: Need
    used: int
    takes: int


REQUESTS = st.builds(
    lambda prompt, answer, part, takes: Request(
        Need(prompt, prompt + answer), prompt + int(answer * part), int(takes * MINUTE)
    ),
    st.integers(1, 30),
    st.integers(1, 60),
    st.floats(0, 1),
    st.floats(0, 1.5),
)


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 0.1, 0.4, 1]), REQUESTS), max_size=40),
    st.integers(40, 120),
)
def test_tokens_of_many_at_once_never_pass_the_limit_and_of_one_at_a_time_use_it_up(
    asked: list[tuple[float, Request]], limit: int
) -> None:
    limits = Limits(tokens_per_minute=limit)
    rows: dict[str, Entries] = {}
    flying: list[tuple[int, Request]] = []
    used: list[tuple[int, int]] = []
    now, largest_alone = START, 0
    for step, request in asked:
        now += int(step * MINUTE)
        for end, over in sorted(flying, key=lambda each: each[0]):
            if end <= now:
                windows = Windows(**rows, now=end)
                windows.use(over.used)
                rows = windows.as_row()
                used.append((end, over.used))
                flying.remove((end, over))
        windows = Windows(**rows, now=now)
        in_flight = sum(each.need.tokens for _, each in flying)
        spent = sum(n for at, n in used if at > now - MINUTE)
        exceeded = windows.exceeded(limits, request.need, in_flight)
        if exceeded is None:
            flying.append((now + request.takes, request))
            if spent + in_flight + request.need.tokens > limit:
                assert in_flight == 0
                largest_alone = max(largest_alone, spent + request.used - limit)
        else:
            # What the rounding keeps is not older than a part of the window.
            lately = sum(n for at, n in used if at > now - MINUTE - MINUTE // PARTS)
            assert lately + in_flight + request.need.tokens > limit
            assert in_flight or lately + request.need.prompt >= limit

    for end, _ in used:
        assert sum(n for at, n in used if end - MINUTE < at <= end) <= limit + largest_alone


def test_the_wait_for_tokens_counts_only_what_time_takes_away() -> None:
    limits = Limits(tokens_per_minute=100)
    windows = Windows(now=START)
    windows.use(90)
    later = Windows(**windows.as_row(), now=START + 20 * SECOND)

    assert later.exceeded(limits, Need(5, 8), 0) is None
    alone = later.exceeded(limits, Need(20, 30), 0)
    beside = later.exceeded(limits, Need(5, 8), 5)
    never = later.exceeded(limits, Need(100, 101), 0)

    assert alone == Exceeded("Tokens per Minute", 90, 100, 40 * SECOND)
    assert beside == Exceeded("Tokens per Minute", 95, 100, SECOND), (
        "those in flight may end any time"
    )
    assert never == Exceeded("Tokens per Minute", 90, 100, None)


def test_of_several_limits_the_one_to_wait_for_longest_is_named() -> None:
    limits = Limits(requests_per_second=1, requests_per_minute=1)
    windows = Windows(now=START)
    windows.let_in(limits)

    exceeded = Windows(**windows.as_row(), now=START + SECOND // 2).exceeded(limits, SMALL, 0)

    assert exceeded == Exceeded("Requests per Minute", 1, 1, 59_500_000)
    never = Exceeded("Tokens per Minute", 0, 1, None)
    assert longest([exceeded, never]) == longest([never, exceeded]) == never
    assert longest([]) is None


def test_what_has_no_limit_is_not_written_down() -> None:
    windows = Windows(now=START)

    windows.let_in(Limits())

    assert not windows.has_changed
    assert windows.exceeded(Limits(), Need(10**9, 10**10), 10**10) is None
    assert windows.requests(Limits()) == windows.tokens(Limits(), 5) == []


def test_the_tightest_limit_is_the_one_of_which_the_least_part_is_left() -> None:
    wide, narrow = Standing(1000, 30, SECOND), Standing(10, 1, MINUTE)

    assert tightest([narrow, wide]) == wide
    assert tightest([]) is None


@dataclass
class Numbers:
    """What a model has by tier."""

    requests_per_second: list[int]
    tokens_per_minute: list[int]


@dataclass
class Agreed:
    """What was agreed besides."""

    requests_per_second: int | None
    tokens_per_minute: int | None


def test_limits_follow_the_tier_unless_something_else_was_agreed() -> None:
    model = Numbers([150, 172, 208, 312, 500], [50, 60])

    assert limits_of(model, 0) == Limits(requests_per_second=150, tokens_per_minute=50)
    assert limits_of(model, 4) == Limits(requests_per_second=500, tokens_per_minute=60), (
        "a list that ends early goes on with its last"
    )
    assert limits_of(model, 1, Agreed(None, 7)) == Limits(
        requests_per_second=172, tokens_per_minute=7
    )
    assert limits_of(model, 1, Agreed(9, None)) == Limits(
        requests_per_second=9, tokens_per_minute=60
    )
    assert limits_of(Numbers([], []), 3) == Limits()


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (349_001, "350ms"),
        (999_000, "999ms"),
        (999_001, "1s"),
        (SECOND, "1s"),
        (SECOND + 1, "2s"),
        (59 * SECOND, "59s"),
        (59 * SECOND + 1, "1m0s"),
        (MINUTE + 5 * SECOND, "1m5s"),
    ],
)
def test_durations_are_written_as_openai_does_and_never_too_short(
    microseconds: int, text: str
) -> None:
    assert duration(microseconds) == text
