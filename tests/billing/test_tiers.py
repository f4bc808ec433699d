"""Tiers: what a team has paid in all lifts its limits, and nothing ever lowers them again."""

from functools import partial
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import rules
from billing import services as billing
from billing.models import BillingAccount
from billing.payments import Card
from tests.factories import NOON, make_admin, make_funded_team, make_team
from tests.races import race

VISA = "4242424242424242"
DECLINED = "4000000000000341"
ASKS = "4000002760003184"
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


def buy(team: Team, buyer: Actor, dollars: int, *, number: str = VISA, key: str = "") -> None:
    purchase = billing.begin(
        team=team,
        actor=buyer,
        amount_cents=dollars * 100,
        idempotency_key=key or str(uuid4()),
        now=NOON,
    )
    card = Card(number, expiry_month=12, expiry_year=2030, cvc="123")
    billing.pay(purchase=purchase, actor=buyer, card=card, now=NOON)


@pytest.mark.django_db
def test_a_team_that_never_paid_begins_at_the_bottom() -> None:
    standing = billing.tier(make_team())

    assert (standing.tier, standing.paid_ticks) == (0, 0)
    assert standing.missing_ticks == standing.next_ticks == 50 * USD


@pytest.mark.django_db
def test_every_paid_purchase_counts_and_what_took_no_money_does_not() -> None:
    team = make_team()
    alice = Actor.for_user(make_admin(team))

    buy(team, alice, 40, key="first")
    buy(team, alice, 40, key="first")  # The form sent twice.
    buy(team, alice, 500, number=DECLINED)
    buy(team, alice, 500, number=ASKS)  # The bank has not been answered.
    before = billing.tier(team)
    buy(team, alice, 10)

    assert (before.tier, before.paid_ticks) == (0, 40 * USD)
    assert before.missing_ticks == 10 * USD
    assert (billing.tier(team).tier, billing.tier(team).paid_ticks) == (1, 50 * USD)
    assert list(billing.differences()) == []


@pytest.mark.django_db
def test_credits_that_were_given_lift_no_tier_and_spent_ones_lower_none() -> None:
    team = make_funded_team(usd="900")
    alice = Actor.for_user(make_admin(team))
    given = billing.tier(team).tier
    buy(team, alice, 50)

    billing.close_account(team=team, actor=alice, now=NOON)

    assert (given, billing.tier(team).tier) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_purchases_that_are_paid_at_the_same_moment_all_count() -> None:
    team = make_team()
    alice = Actor.for_user(make_admin(team))

    results = race(*[partial(buy, team, alice, 25)] * 6)

    assert results == [None] * 6
    assert billing.tier(team).paid_ticks == 150 * USD
    assert list(billing.differences()) == []


@pytest.mark.django_db
def test_support_gives_a_tier_and_paying_goes_on_from_there() -> None:
    team = make_team()
    alice = Actor.for_user(make_admin(team))

    billing.set_least_tier(team=team, actor=SYSTEM, tier=2, now=NOON)
    buy(team, alice, 100)
    given = billing.tier(team)
    billing.set_least_tier(team=team, actor=SYSTEM, tier=0, now=NOON)
    taken_back = billing.tier(team)

    assert (given.tier, given.is_given, given.next_ticks) == (2, True, 1_000 * USD)
    assert (taken_back.tier, taken_back.is_given) == (1, False)


@pytest.mark.django_db
def test_there_is_nothing_above_the_highest_tier_and_nothing_below_the_lowest() -> None:
    team = make_team()

    billing.set_least_tier(team=team, actor=SYSTEM, tier=rules.HIGHEST_TIER, now=NOON)

    assert (billing.tier(team).next_ticks, billing.tier(team).missing_ticks) == (None, 0)
    for tier in (-1, rules.HIGHEST_TIER + 1):
        with pytest.raises(billing.NoSuchTierError, match="Tiers go from 0 to 4"):
            billing.set_least_tier(team=team, actor=SYSTEM, tier=tier, now=NOON)
    assert BillingAccount.of(team).get().least_tier == rules.HIGHEST_TIER
