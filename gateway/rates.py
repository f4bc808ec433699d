"""How often and how much: limits on what is let in within windows of time that roll. Pure.

Times are whole microseconds. A window that rolls has no edge at which twice as much gets through:
a limit holds in every second and in every minute, wherever one starts to count.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Protocol

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
# Moments are rounded up to this part of a window. So its list stays short, nothing is forgotten
# too early, and what is refused was refused for something of the last window and this part.
PARTS: Final = 600
# So far apart the clocks of servers may be. What was let in later than that from now was let in
# before a clock was set back.
SKEW: Final = 2 * SECOND
# What the original calls this limit.
TOKENS_PER_MINUTE: Final = "Tokens per Minute"
# What is in flight may be over at any moment; this is how soon it makes sense to ask again.
IN_FLIGHT_WAIT: Final = SECOND

Entries = Sequence[Sequence[int]]  # [[moment, amount], ...], the oldest first.
_moment = itemgetter(0)


class Tiered(Protocol):
    """A model, with what a team may ask of it by its tier."""

    @property
    def requests_per_second(self) -> Sequence[int]: ...

    @property
    def tokens_per_minute(self) -> Sequence[int]: ...


class Agreed(Protocol):
    """What was agreed with one team about one model."""

    @property
    def requests_per_second(self) -> int | None: ...

    @property
    def tokens_per_minute(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a key may ask for, or a team of one model. None: as much as it likes."""

    requests_per_second: int | None = None
    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None


def limits_of(offer: Tiered, tier: int, agreed: Agreed | None = None) -> Limits:
    """Say what a team of this tier may ask of a model, unless something else was agreed."""
    return Limits(
        requests_per_second=(agreed and agreed.requests_per_second)
        or _of_tier(offer.requests_per_second, tier),
        tokens_per_minute=(agreed and agreed.tokens_per_minute)
        or _of_tier(offer.tokens_per_minute, tier),
    )


def _of_tier(numbers: Sequence[int], tier: int) -> int | None:
    """Pick the tier's number. A list that ends early goes on with its last."""
    return numbers[min(tier, len(numbers) - 1)] if numbers else None


class Window:
    """What was let in within the last `length`, as of one moment."""

    def __init__(self, length: int, entries: Entries, *, now: int) -> None:
        self._length = length
        self._part = -(-length // PARTS)
        self.is_rebased = bool(entries) and entries[-1][0] > now + SKEW
        if self.is_rebased:
            entries = self._from(entries, now)
        self._asked = now
        # Somebody may have looked at the clock after us and yet been here before us. What they
        # forgot cannot be counted any more, so it is their moment now.
        self._now = max(now, entries[-1][0] - self._part + 1) if entries else now
        self.entries = list(entries[bisect_right(entries, self._now - length, key=_moment) :])
        self.used = sum(amount for _, amount in self.entries)

    def _from(self, entries: Entries, now: int) -> Entries:
        """Let what a clock that was set back calls later count from now: nobody waits for it."""
        at = self._rounded(now)
        late = bisect_left(entries, at, key=_moment)
        return [*entries[:late], (at, sum(amount for _, amount in entries[late:]))]

    def _rounded(self, moment: int) -> int:
        return -(-moment // self._part) * self._part

    def enter(self, amount: int) -> None:
        """Let so much in."""
        at = self._rounded(self._now)
        so_far = self.entries.pop()[1] if self.entries and self.entries[-1][0] == at else 0
        self.entries.append((at, so_far + amount))
        self.used += amount

    def until_left(self, amount: int) -> int:
        """Say how long it takes until so much of what was let in no longer counts."""
        end = self._asked
        for at, entered in self.entries:
            if amount <= 0:
                break
            amount -= entered
            end = at + self._length
        return end - self._asked

    @property
    def reset(self) -> int:
        """How long it takes until nothing counts any more, but for the rounding."""
        newest = self.entries[-1][0] if self.entries else self._asked - self._length
        return min(newest - self._asked, 0) + self._length


@dataclass(frozen=True, slots=True)
class Need:
    """What a request will use, as far as one can say before: its prompt, and in all."""

    prompt: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that a request does not fit under, and how long to wait; None: it never will fit."""

    name: str  # As the original calls it.
    actual: int
    limit: int
    wait: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of one limit is left, and how long it takes until all of it is."""

    limit: int
    remaining: int
    reset: int


class Windows:
    """What one key, or one team of one model, was let in with lately, as of one moment."""

    def __init__(
        self, second: Entries = (), minute: Entries = (), tokens: Entries = (), *, now: int
    ) -> None:
        self._second = Window(SECOND, second, now=now)
        self._minute = Window(MINUTE, minute, now=now)
        self._tokens = Window(MINUTE, tokens, now=now)
        # Written down at once, as it would otherwise be later every time somebody asks.
        self.has_changed = any(w.is_rebased for w in (self._second, self._minute, self._tokens))

    def exceeded(self, limits: Limits, need: Need, in_flight: int) -> Exceeded | None:
        """Say what keeps a request out: of several limits, the one to wait for longest.

        `in_flight` is what the requests that have been let in and are not over may still use.
        """
        found = [
            _too_many("Requests per Second", self._second, limits.requests_per_second),
            _too_many("Requests per Minute", self._minute, limits.requests_per_minute),
            self._too_much(limits.tokens_per_minute, need, in_flight),
        ]
        return longest(one for one in found if one)

    def _too_much(self, limit: int | None, need: Need, in_flight: int) -> Exceeded | None:
        """Reserve what may be used; but who asks for one thing at a time may use up the rest.

        So many at once never pass the limit, and one after the other is never refused before it.
        """
        if limit is None:
            return None
        used = self._tokens.used
        missing = used + in_flight + need.tokens - limit
        # What would have to leave if nothing were in flight: the prompt must fit, and one token.
        missing_alone = used + need.prompt + 1 - limit
        if missing <= 0 or (not in_flight and missing_alone <= 0):
            return None
        if missing_alone > used:
            wait = None
        else:
            wait = self._tokens.until_left(missing_alone)
            if in_flight:
                wait = max(wait, IN_FLIGHT_WAIT)
                if missing <= used:
                    wait = min(wait, self._tokens.until_left(missing))
        return Exceeded(TOKENS_PER_MINUTE, used + in_flight, limit, wait)

    def let_in(self, limits: Limits) -> None:
        """Count a request."""
        if limits.requests_per_second is not None:
            self._second.enter(1)
            self.has_changed = True
        if limits.requests_per_minute is not None:
            self._minute.enter(1)
            self.has_changed = True

    def use(self, tokens: int) -> None:
        """Count what a request has used, now that it is over."""
        if tokens:
            self._tokens.enter(tokens)
            self.has_changed = True

    def requests(self, limits: Limits) -> list[Standing]:
        """Say how much is left of each limit on requests."""
        pairs = (
            (self._second, limits.requests_per_second),
            (self._minute, limits.requests_per_minute),
        )
        return [
            Standing(limit, max(0, limit - window.used), window.reset)
            for window, limit in pairs
            if limit is not None
        ]

    def tokens(self, limits: Limits, in_flight: int) -> list[Standing]:
        """Say how much is left of the limit on tokens."""
        limit = limits.tokens_per_minute
        if limit is None:
            return []
        left = max(0, limit - self._tokens.used - in_flight)
        # What is in flight counts for a minute from when it is over, which nobody knows.
        return [Standing(limit, left, MINUTE if in_flight else self._tokens.reset)]

    @property
    def used_requests(self) -> int:
        """How many requests the last second had."""
        return self._second.used

    @property
    def used_tokens(self) -> int:
        """How many tokens the last minute had."""
        return self._tokens.used

    def as_row(self) -> dict[str, Entries]:
        """Return what is to be kept."""
        return {
            "second": self._second.entries,
            "minute": self._minute.entries,
            "tokens": self._tokens.entries,
        }


@dataclass(frozen=True, slots=True)
class Rates:
    """How a request stands with its limits: with the tightest on requests, and on tokens."""

    requests: Standing | None = None
    tokens: Standing | None = None


NO_RATES: Final = Rates()


def tightest(standings: Sequence[Standing]) -> Standing | None:
    """Pick the limit of which the least part is left."""
    return min(standings, key=lambda s: s.remaining / s.limit, default=None)


def longest(found: Iterable[Exceeded]) -> Exceeded | None:
    """Pick what takes longest to go away; what never does is longer than anything."""
    return max(found, key=lambda one: (one.wait is None, one.wait or 0), default=None)


def _too_many(name: str, window: Window, limit: int | None) -> Exceeded | None:
    if limit is None or window.used < limit:
        return None
    return Exceeded(name, window.used, limit, window.until_left(window.used + 1 - limit))


def duration(microseconds: int) -> str:
    """Write a time as OpenAI's headers do: 350ms, 1s, 1m0s. Never less than it is."""
    milliseconds = -(-microseconds // 1000)
    if 0 < milliseconds < 1000:  # noqa: PLR2004 -- to the second
        return f"{milliseconds}ms"
    minutes, seconds = divmod(-(-milliseconds // 1000), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
