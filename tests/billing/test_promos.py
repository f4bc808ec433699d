"""Promo codes: what they give, to whom they give nothing and why, and what staff do with them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team
from accounts.rules import Permission
from audit.models import AuditEvent
from billing import services as billing
from billing.models import CreditGrant, PromoCode, PromoRedemption
from billing.payments import Card
from billing.rules import TICKS_PER_USD
from tests.accounts.people import make_person
from tests.billing.codes import make_code, redeem
from tests.billing.pages import page, text
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

VISA = Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")
DAY = timedelta(days=1)


def buy(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=500, idempotency_key="p", now=NOON
    )
    billing.pay(purchase=purchase, actor=actor, card=VISA, now=NOON)


def refusal(team: Team, code: str = "SPRING25", **given: Any) -> str:
    with pytest.raises(billing.PromoCodeError) as refused:
        redeem(team, code, **given)
    return str(refused.value)


# --- What a code gives


def test_a_code_gives_promo_credits_that_the_ledger_explains(team: Team) -> None:
    alice = make_admin(team, name="Alice")
    make_code(grant_days=40)

    given = redeem(team, actor=Actor.for_user(alice))

    assert (given.kind, given.label) == ("promo", "Code SPRING25")
    assert given.remaining_ticks == 25 * TICKS_PER_USD
    assert given.expires_at == NOON + timedelta(days=40)
    assert billing.balance(team, now=NOON).free_ticks == 25 * TICKS_PER_USD
    redemption = PromoRedemption.of(team).get()
    assert (redemption.grant, redemption.nth, redemption.redeemed_by) == (given, 1, alice)
    assert PromoCode.objects.get().uses == 1
    assert list(billing.differences()) == []


def test_redeeming_is_in_the_audit_log_of_the_team(team: Team) -> None:
    make_code()

    redeem(team, actor=Actor.for_user(make_admin(team, name="Alice")))

    event = AuditEvent.of(team).get(operation="RedeemPromoCode")
    assert (event.actor_label, event.target_label) == ("Alice", "Code SPRING25")
    assert event.description == "Redeemed the code SPRING25 for $25.00 of credits"


def test_credits_of_a_code_without_days_never_expire(team: Team) -> None:
    make_code()

    assert redeem(team).expires_at is None


@pytest.mark.parametrize("typed", ["spring25", " SPRING25\t", "Spring 25", "s p r i n g 2 5"])
def test_a_code_is_typed_as_one_likes(team: Team, typed: str) -> None:
    make_code()

    assert redeem(team, typed).label == "Code SPRING25"


# --- Refusals


def disable(promo: PromoCode, _: Team) -> None:
    billing.switch_promo_code(code=promo, is_on=False, actor=SYSTEM, now=NOON)


def use_up(promo: PromoCode, _: Team) -> None:
    redeem(make_team(), promo.code)


def use(promo: PromoCode, team: Team) -> None:
    redeem(team, promo.code)


REFUSALS: dict[str, tuple[dict[str, Any], Callable[[PromoCode, Team], None] | None, str]] = {
    "disabled": ({}, disable, "SPRING25 is no longer accepted."),
    "too early": (
        {"valid_from": NOON + DAY},
        None,
        "SPRING25 can be used from 2 March 2026, 12:00 UTC on.",
    ),
    "over, to the second": (
        {"valid_until": NOON},
        None,
        "SPRING25 could be used until 1 March 2026, 12:00 UTC.",
    ),
    "all uses gone": (
        {"max_uses": 1},
        use_up,
        "SPRING25 has been used as often as it could be.",
    ),
    "used by this team": ({}, use, "Larkspur Labs has already used SPRING25."),
    "the last use was this team's": (
        {"max_uses": 1},
        use,
        "Larkspur Labs has already used SPRING25.",
    ),
    "after the first purchase": (
        {"first_purchase_only": True},
        lambda _, team: buy(team),
        "SPRING25 is for teams that have not bought credits yet, and Larkspur Labs has.",
    ),
}


@pytest.mark.parametrize(("terms", "before", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_why_and_changes_nothing(
    team: Team,
    terms: dict[str, Any],
    before: Callable[[PromoCode, Team], None] | None,
    sentence: str,
) -> None:
    promo = make_code(**terms)
    if before:
        before(promo, team)
    grants, uses = CreditGrant.of(team).count(), PromoCode.objects.get().uses

    assert refusal(team) == sentence

    assert (CreditGrant.of(team).count(), PromoCode.objects.get().uses) == (grants, uses)
    assert list(billing.differences()) == []


def test_an_unknown_code_is_called_so(team: Team) -> None:
    assert refusal(team, "NOTHING").startswith("There is no such code.")


def test_a_code_is_valid_from_its_first_second_on(team: Team) -> None:
    make_code(valid_from=NOON, valid_until=NOON + timedelta(seconds=1))

    redeem(team)

    assert CreditGrant.of(team).count() == 1


def test_a_code_for_the_first_purchase_is_used_before_it(team: Team) -> None:
    make_code(first_purchase_only=True)

    redeem(team)

    assert CreditGrant.of(team).count() == 1


def test_a_team_uses_a_code_as_often_as_it_may(team: Team) -> None:
    make_code(uses_per_team=2)

    first, second = redeem(team), redeem(team)

    assert first != second
    assert refusal(team) == (
        "Larkspur Labs has already used SPRING25 2 times, as often as a team may."
    )
    redeem(make_team())  # Of others it says nothing.
    assert list(billing.differences()) == []


def test_a_form_that_is_sent_twice_redeems_once(team: Team) -> None:
    make_code(uses_per_team=5)
    make_code("OTHER")
    key = uuid4()

    assert redeem(team, key=key) == redeem(team, key=key)

    assert CreditGrant.of(team).count() == 1
    with pytest.raises(billing.IdempotencyConflictError):
        redeem(team, "OTHER", key=key)


def test_a_team_that_is_closed_gets_no_credits(team: Team) -> None:
    make_code()
    Team.objects.filter(pk=team.pk).update(closed_at=NOON)

    with pytest.raises(accounts.TeamClosedError):
        redeem(team)


# --- The dialog


def send(client: Client, team: Team, code: str = "SPRING25", key: str = "") -> Any:
    form = {"code": code, "idempotency_key": key or str(uuid4())}
    return client.post(page("redeem", team), form, follow=True)


@pytest.mark.usefixtures("clock")
def test_a_member_redeems_a_code_on_the_page_of_credits(alice: Client, team: Team) -> None:
    make_code()
    key = str(uuid4())

    first, again = send(alice, team, "spring 25", key), send(alice, team, "spring 25", key)

    assert "Larkspur Labs has $25.00 more to spend." in text(first)
    assert "Code SPRING25" in text(first)
    assert again.status_code == 200
    assert billing.balance(team, now=NOON).free_ticks == 25 * TICKS_PER_USD


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("NOTHING", "There is no such code."),
        ("<b>", "There is no such code."),
        ("", "Enter a code."),
        ("x" * 81, "at most 80 characters"),
        ("SPRING\x00", "Null characters are not allowed."),
    ],
)
def test_a_refusal_is_read_in_the_open_dialog(
    alice: Client, team: Team, code: str, sentence: str
) -> None:
    response = send(alice, team, code)

    assert sentence in text(response)
    opened = response.content.decode().split('<dialog id="redeem"')[1].split(">")[0]
    assert opened.endswith(" open")


def test_a_reader_of_billing_is_offered_no_code_to_redeem(client: Client, team: Team) -> None:
    make_code()
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    assert "Redeem code" not in text(client.get(page("credits", team)))
    assert send(client, team).status_code == 403
    assert not CreditGrant.of(team).exists()


@pytest.mark.usefixtures("clock")
def test_codes_cannot_be_guessed_without_end(alice: Client, client: Client, team: Team) -> None:
    guesses = [send(alice, team, f"GUESS{n}") for n in range(11)]

    assert [guess.status_code for guess in guesses] == [200] * 10 + [429]
    assert "Try again in 5 minutes." in text(guesses[-1])
    make_code()
    assert send(alice, team).status_code == 429
    client.force_login(make_admin(team))
    assert send(client, team).status_code == 200  # Another person is not held up.
    assert CreditGrant.of(team).count() == 1


# --- What staff and erasure do


def test_a_code_that_is_switched_off_keeps_what_it_gave_and_can_be_switched_on(team: Team) -> None:
    promo = make_code(uses_per_team=2)
    redeem(team)

    for is_on in (False, False, True):
        billing.switch_promo_code(code=promo, is_on=is_on, actor=SYSTEM, now=NOON)

    redeem(team)
    operations = AuditEvent.across_teams.filter(target_label="SPRING25").order_by("pk")
    assert list(operations.values_list("operation", flat=True)) == [
        "CreatePromoCode",
        "DisablePromoCode",
        "EnablePromoCode",
    ]


def test_an_erased_person_is_forgotten_as_who_redeemed_and_the_team_keeps_the_credits(
    team: Team,
) -> None:
    make_admin(team)
    bob = make_person("Bob")
    accounts.add_member(team=team, user=bob, role=Membership.Role.MEMBER, actor=SYSTEM, now=NOON)
    make_code()
    redeem(team, actor=Actor.for_user(bob))
    accounts.request_deletion(user=bob, actor=Actor.for_user(bob), now=NOON)

    accounts.erase_due(now=NOON + accounts.GRACE)

    assert PromoRedemption.of(team).get().redeemed_by is None
    assert billing.balance(team, now=NOON).free_ticks == 25 * TICKS_PER_USD
    assert list(billing.differences()) == []


def test_the_reason_that_staff_gave_is_the_origin_of_the_grant(alice: Client, team: Team) -> None:
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.FREE,
        amount_ticks=TICKS_PER_USD,
        label="An apology for Tuesday",
        idempotency_key="staff:1",
        now=NOON,
    )

    assert "An apology for Tuesday from support" in text(alice.get(page("credits", team)))
