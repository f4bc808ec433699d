"""Codes redeemed at the same moment: never more often than they may be."""

from functools import partial
from uuid import uuid4

import pytest

from billing import services as billing
from billing.models import CreditGrant, PromoCode, PromoRedemption, Purchase
from billing.rules import TICKS_PER_USD
from tests.billing.codes import make_code, redeem
from tests.billing.test_purchase_races import VISA, begin
from tests.factories import NOON, make_team
from tests.races import race, race_behind

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 8


def split(results: list[object]) -> tuple[list[CreditGrant], list[str]]:
    """Tell what was given from the refusals; whatever else came fails."""
    given = [result for result in results if isinstance(result, CreditGrant)]
    refused = [str(result) for result in results if isinstance(result, billing.PromoCodeError)]
    assert len(given) + len(refused) == len(results), results
    return given, refused


def test_the_last_use_of_a_code_is_given_to_one_of_many_teams() -> None:
    make_code(max_uses=3)
    redeem(make_team())
    redeem(make_team())

    given, refused = split(race(*[partial(redeem, make_team()) for _ in range(AT_ONCE)]))

    assert len(given) == 1
    assert set(refused) == {"SPRING25 has been used as often as it could be."}
    assert PromoCode.objects.get().uses == PromoRedemption.across_teams.count() == 3
    assert list(billing.differences()) == []


def test_a_team_that_redeems_a_code_in_many_windows_gets_it_once() -> None:
    team = make_team()
    make_code()

    given, refused = split(race(*[partial(redeem, team)] * AT_ONCE))

    assert len(given) == 1
    assert len(refused) == AT_ONCE - 1
    assert billing.balance(team, now=NOON).free_ticks == 25 * TICKS_PER_USD
    assert list(billing.differences()) == []


def test_one_form_sent_several_times_at_once_redeems_once() -> None:
    team = make_team()
    make_code(uses_per_team=AT_ONCE)

    given, _ = split(race(*[partial(redeem, team, key=uuid4())] * AT_ONCE))

    assert len(given) == AT_ONCE
    assert len(set(given)) == 1


def test_teams_that_redeem_and_buy_at_once_neither_deadlock_nor_lose_anything() -> None:
    make_code()
    bought = [begin(make_team()) for _ in range(AT_ONCE // 2)]

    results = race(
        *[
            act
            for purchase, actor in bought
            for act in (
                partial(redeem, purchase.team),
                partial(billing.pay, purchase=purchase, actor=actor, card=VISA, now=NOON),
            )
        ]
    )

    assert all(isinstance(result, CreditGrant | Purchase) for result in results), results
    assert PromoCode.objects.get().uses == AT_ONCE // 2
    assert list(billing.differences()) == []


def test_a_code_that_is_switched_off_first_gives_nothing_to_who_waited() -> None:
    promo = make_code()

    [result] = race_behind(
        lambda: PromoCode.objects.filter(pk=promo.pk).update(disabled_at=NOON),
        partial(redeem, make_team()),
    )

    assert str(result) == "SPRING25 is no longer accepted."
