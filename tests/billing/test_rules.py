"""Money arithmetic: nothing is made or lost, and the order of use is the promised one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import rules
from billing.rules import Purse

MORNING = datetime(2026, 3, 1, tzinfo=UTC)
AMOUNTS = st.integers(0, 10**15)
MOMENTS = st.integers(0, 1000).map(lambda hours: MORNING + timedelta(hours=hours))
PURSES = st.lists(
    st.builds(
        Purse,
        grant_id=st.integers(0, 2**32).map(lambda number: UUID(int=number)),
        is_prepaid=st.booleans(),
        granted_at=MOMENTS,
        expires_at=st.none() | MOMENTS,
        remaining_ticks=AMOUNTS,
    ),
    max_size=8,
    unique_by=lambda purse: purse.grant_id,
)


@given(purses=PURSES, amount=AMOUNTS)
def test_what_purses_give_and_what_is_left_to_invoice_add_up(
    purses: list[Purse], amount: int
) -> None:
    before = {purse.grant_id: purse.remaining_ticks for purse in purses}

    taken, rest = rules.draw(rules.in_order_of_use(purses), amount)

    assert sum(ticks for _, ticks in taken) + rest == amount
    assert all(0 < ticks <= before[grant_id] for grant_id, ticks in taken)
    drawn = dict(taken)
    assert all(
        purse.remaining_ticks == before[purse.grant_id] - drawn.get(purse.grant_id, 0)
        for purse in purses
    )
    assert not rest or not any(purse.remaining_ticks for purse in purses)


@given(purses=PURSES, amount=AMOUNTS)
def test_a_purse_is_touched_only_when_all_before_it_are_empty(
    purses: list[Purse], amount: int
) -> None:
    ordered = rules.in_order_of_use(purses)

    taken, _ = rules.draw(ordered, amount)

    touched = [purse.grant_id for purse in ordered if purse.grant_id in dict(taken)]
    assert touched == [grant_id for grant_id, _ in taken]
    if taken:
        last = next(i for i, purse in enumerate(ordered) if purse.grant_id == taken[-1][0])
        assert not any(purse.remaining_ticks for purse in ordered[:last])


@given(purses=PURSES)
def test_free_credits_go_first_by_expiry_and_bought_ones_last_by_age(purses: list[Purse]) -> None:
    ordered = rules.in_order_of_use(purses)

    kinds = [purse.is_prepaid for purse in ordered]
    assert kinds == sorted(kinds)
    never = datetime.max.replace(tzinfo=UTC)
    free = [(p.expires_at or never, p.granted_at) for p in ordered if not p.is_prepaid]
    assert free == sorted(free)
    bought = [purse.granted_at for purse in ordered if purse.is_prepaid]
    assert bought == sorted(bought)


@given(
    available=st.integers(-1000, 10**12),
    prompt=st.integers(0, 10**9),
    token=st.integers(0, 10**7),
    wanted=st.integers(1, 10**6),
)
def test_a_ceiling_is_never_above_what_is_available_nor_below_one_token(
    available: int, prompt: int, token: int, wanted: int
) -> None:
    found = rules.ceiling(
        available_ticks=available, prompt_ticks=prompt, token_ticks=token, wanted_tokens=wanted
    )

    if found is None:
        assert available <= 0 or available < prompt + token
        return
    assert 1 <= found.max_tokens <= wanted
    assert found.hold_ticks == prompt + found.max_tokens * token <= available
    # It is as high as it can be.
    assert found.max_tokens == wanted or found.hold_ticks + token > available


@pytest.mark.parametrize(
    ("ticks", "written"),
    [
        (0, "$0.00"),
        (12_3400_000_000, "$12.34"),
        (-5_000_000_000, "\N{MINUS SIGN}$0.50"),
        (7_500_000, "$0.00075"),
        (1, "$0.0000000001"),
        (12_345_678_901_234, "$1,234.57"),
        (9_999_999_999, "$1.00"),
    ],
)
def test_amounts_are_written_to_the_cent_and_small_ones_with_the_digits_they_need(
    ticks: int, written: str
) -> None:
    assert rules.usd(ticks) == written


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2024, 2, 29), 12, (2025, 2, 28)),
        ((2026, 11, 15), 2, (2027, 1, 15)),
        ((2026, 12, 1), 1, (2027, 1, 1)),
        ((2026, 3, 1), 0, (2026, 3, 1)),
    ],
)
def test_months_later_is_the_same_day_or_the_last_one_there_is(
    start: tuple[int, int, int], months: int, end: tuple[int, int, int]
) -> None:
    assert rules.months_later(datetime(*start, 9, 30, tzinfo=UTC), months) == datetime(
        *end, 9, 30, tzinfo=UTC
    )


def test_a_cycle_is_the_months_of_utc_whatever_the_zone() -> None:
    new_year_in_auckland = datetime.fromisoformat("2027-01-01T00:30:00+13:00")

    assert rules.cycle_of(new_year_in_auckland).isoformat() == "2026-12-01"
