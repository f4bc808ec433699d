"""Tiers: what a team has paid in all lifts its limits, and nothing ever lowers them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import rules

CENT = rules.TICKS_PER_CENT
USD = rules.TICKS_PER_USD


@pytest.mark.parametrize(
    ("paid_ticks", "tier"),
    [
        (0, 0),
        (50 * USD - 1, 0),
        (50 * USD, 1),
        (250 * USD - CENT, 1),
        (250 * USD, 2),
        (1_000 * USD, 3),
        (5_000 * USD - 1, 3),
        (5_000 * USD, 4),
        (1_000_000 * USD, 4),
    ],
)
def test_a_tier_begins_exactly_at_its_threshold(paid_ticks: int, tier: int) -> None:
    assert rules.tier_of(paid_ticks, 0) == tier


@given(paid=st.integers(0, 10**15), more=st.integers(0, 10**15), least=st.integers(0, 9))
def test_paying_more_or_being_given_a_tier_never_lowers_it(
    paid: int, more: int, least: int
) -> None:
    tier = rules.tier_of(paid, least)

    assert rules.tier_of(paid, 0) <= tier <= rules.tier_of(paid + more, least)
    assert min(least, rules.HIGHEST_TIER) <= tier <= rules.HIGHEST_TIER
