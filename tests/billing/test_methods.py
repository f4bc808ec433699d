"""The cards that a team pays with: kept, chosen, removed, and whose country is refused."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.actors import Actor
from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import PaymentMethod, SandboxMethod, SandboxPayment
from billing.payments import Card
from tests.billing.pages import CARD, page, text
from tests.factories import NOON, make_admin, make_team
from tests.races import race

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"
INDIAN = "4000003560000008"


def enter(team: Team, actor: Actor, number: str) -> PaymentMethod:
    card = Card(number, expiry_month=12, expiry_year=2030, cvc="123")
    return billing.enter_card(team=team, actor=actor, card=card, now=NOON)


def add(team: Team, number: str, *, minutes: int = 0, actor: Actor | None = None) -> PaymentMethod:
    actor = actor or Actor.for_user(make_admin(team))
    return billing.add_method(
        team=team,
        actor=actor,
        method=enter(team, actor, number),
        now=NOON + timedelta(minutes=minutes),
    )


def names(team: Team) -> list[str]:
    return [method.name for method in billing.methods_on_file(team)]


def test_a_card_that_is_added_is_not_charged_and_the_first_is_the_default(team: Team) -> None:
    add(team, VISA)
    add(team, MASTERCARD, minutes=1)
    add(team, AMEX, minutes=2)

    assert names(team) == [
        "Visa ending 4242",
        "American Express ending 0005",
        "Mastercard ending 4444",
    ]
    default = billing.default_method(team)
    assert default
    assert default.name == "Visa ending 4242"
    assert SandboxPayment.objects.count() == 0


def test_a_card_that_has_paid_is_on_file_for_the_whole_team(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2500, idempotency_key="k", now=NOON
    )

    card = Card(VISA, expiry_month=12, expiry_year=2030, cvc="123")
    billing.pay(purchase=purchase, actor=actor, card=card, now=NOON)

    assert names(team) == ["Visa ending 4242"]
    assert names(make_team()) == []


def test_a_card_that_is_entered_again_takes_the_place_of_what_was_known_of_it(team: Team) -> None:
    first = add(team, VISA)
    add(team, MASTERCARD, minutes=1)

    again = add(team, VISA, minutes=2)

    assert names(team) == ["Visa ending 4242", "Mastercard ending 4444"]
    assert billing.default_method(team) == again
    billing.forget_removed_methods(now=NOON)
    kept = SandboxMethod.objects.filter(detached_at=None).values_list("pk", flat=True)
    assert str(again.pk) != str(first.pk)
    assert again.reference in {str(pk) for pk in kept}
    assert first.reference not in {str(pk) for pk in kept}
    newest = AuditEvent.of(team).filter(operation="AddPaymentMethod").latest("pk")
    assert (
        newest.description == "Entered Visa ending 4242 anew, in place of the one that was on file"
    )


def test_a_card_that_is_entered_again_and_was_not_the_default_does_not_become_it(
    team: Team,
) -> None:
    default = add(team, VISA)
    add(team, MASTERCARD, minutes=1)

    add(team, MASTERCARD, minutes=2)

    assert billing.default_method(team) == default
    assert names(team) == ["Visa ending 4242", "Mastercard ending 4444"]


def test_each_processor_keeps_a_default_of_its_own(team: Team, settings: Settings) -> None:
    sandboxed = add(team, VISA)
    settings.PAYMENTS = "stripe"
    entered = PaymentMethod.across_teams.create(
        team=team,
        processor="stripe",
        reference="pm_1",
        brand="Visa",
        last4="4242",
        exp_month=12,
        exp_year=2030,
        added_at=NOON,
    )

    at_stripe = billing.add_method(
        team=team, actor=Actor.for_user(make_admin(team)), method=entered, now=NOON
    )
    assert billing.default_method(team) == at_stripe

    settings.PAYMENTS = "sandbox"
    assert billing.default_method(team) == sandboxed


def test_the_last_card_cannot_be_removed(team: Team) -> None:
    method = add(team, VISA)

    with pytest.raises(billing.LastMethodError, match="only payment method"):
        billing.remove_method(
            team=team, actor=Actor.for_user(make_admin(team)), method_id=method.pk, now=NOON
        )

    assert names(team) == ["Visa ending 4242"]


def test_the_newest_other_card_follows_a_default_that_is_removed(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    default = add(team, VISA, actor=actor)
    add(team, MASTERCARD, minutes=1, actor=actor)
    add(team, AMEX, minutes=2, actor=actor)

    billing.remove_method(team=team, actor=actor, method_id=default.pk, now=NOON)

    following = billing.default_method(team)
    assert following
    assert following.name == "American Express ending 0005"
    event = AuditEvent.of(team).get(operation="RemovePaymentMethod")
    assert event.description == "Removed Visa ending 4242 from the payment methods"
    with pytest.raises(billing.MethodGoneError):
        billing.remove_method(team=team, actor=actor, method_id=default.pk, now=NOON)


@pytest.mark.django_db(transaction=True)
def test_two_that_remove_the_last_two_cards_at_once_leave_one(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    cards = [add(team, number, actor=actor) for number in (VISA, MASTERCARD)]

    results = race(
        *[
            partial(billing.remove_method, team=team, actor=actor, method_id=card.pk, now=NOON)
            for card in cards
        ]
    )

    assert sorted(type(result).__name__ for result in results) == [
        "LastMethodError",
        "PaymentMethod",
    ]
    [left] = billing.methods_on_file(team)
    assert left.is_default


def test_a_default_is_chosen_and_written_down(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    add(team, VISA, actor=actor)
    other = add(team, MASTERCARD, actor=actor)

    for _ in range(2):
        billing.set_default_method(team=team, actor=actor, method_id=other.pk, now=NOON)

    assert names(team)[0] == "Mastercard ending 4444"
    event = AuditEvent.of(team).get(operation="SetDefaultPaymentMethod")
    assert (event.before, event.after) == (
        {"default": "Visa ending 4242"},
        {"default": "Mastercard ending 4444"},
    )


def test_the_card_of_another_team_is_not_there(team: Team) -> None:
    theirs = add(make_team(), VISA)
    actor = Actor.for_user(make_admin(team))

    for change in (billing.set_default_method, billing.remove_method):
        with pytest.raises(billing.MethodGoneError):
            change(team=team, actor=actor, method_id=theirs.pk, now=NOON)


def test_a_card_issued_in_india_is_refused_and_forgotten(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))

    with pytest.raises(billing.MethodRefusedError, match="issued in India"):
        enter(team, actor, INDIAN)

    billing.forget_removed_methods(now=NOON)
    assert names(team) == []
    assert SandboxMethod.objects.get().detached_at is not None


def test_which_countries_are_refused_is_the_operators_to_say(
    team: Team, settings: Settings
) -> None:
    settings.REFUSED_CARD_COUNTRIES = []

    assert add(team, INDIAN).country == "IN"


def test_a_card_that_was_entered_and_never_paid_is_forgotten(team: Team) -> None:
    enter(team, Actor.for_user(make_admin(team)), VISA)

    billing.forget_removed_methods(now=NOON + timedelta(days=1))
    assert PaymentMethod.of(team).get().forgotten_at is None
    billing.forget_removed_methods(now=NOON + timedelta(days=2))

    method = PaymentMethod.of(team).get()
    assert method.removed_at == method.forgotten_at == NOON + timedelta(days=2)
    assert SandboxMethod.objects.get().detached_at is not None


def test_a_team_that_ends_keeps_no_card(team: Team) -> None:
    add(team, VISA)

    billing.forget_methods(team=team, now=NOON)
    billing.forget_removed_methods(now=NOON)

    assert names(team) == []
    assert SandboxMethod.objects.get().detached_at is not None


# --- Pages ------------------------------------------------------------------------------------


def test_a_card_is_added_and_removed_on_the_pages(alice: Client, team: Team) -> None:
    add(team, VISA)
    response = alice.post(
        page("add_method", team), {**CARD, "number": "5555 5555 5555 4444"}, follow=True
    )
    assert response.redirect_chain == [(page("details", team), 302)]
    assert "Mastercard ending 4444 is on file for Larkspur Labs." in text(response)
    other = PaymentMethod.of(team).get(brand="Mastercard")

    asked = alice.get(f"{page('details', team)}?dialog=remove&method={other.pk}")
    assert "Remove Mastercard ending 4444" in text(asked)
    removed = alice.post(page("remove_method", team, other.pk), follow=True)
    assert "Mastercard ending 4444 is removed." in text(removed)
    again = alice.post(page("remove_method", team, other.pk), follow=True)
    assert "This payment method is not on file." in text(again)
    last = PaymentMethod.of(team).get(brand="Visa")
    refused = alice.post(page("remove_method", team, last.pk), follow=True)
    assert "cannot be removed. Add another one first." in text(refused)


def test_a_refused_card_is_explained_and_does_not_travel_back(alice: Client, team: Team) -> None:
    response = alice.post(page("add_method", team), {**CARD, "number": INDIAN})

    assert "issued in India" in text(response)
    assert "0008" not in response.content.decode().split("Test cards")[0]


def test_a_card_on_file_pays_in_one_click(alice: Client, team: Team) -> None:
    method = add(team, VISA)
    purchase = billing.begin(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        amount_cents=2500,
        idempotency_key=str(uuid4()),
        now=NOON,
    )
    checkout = page("checkout", team, purchase.pk)
    assert "Visa ending 4242, expires 12 / 30" in text(alice.get(checkout))

    for wrong in ({}, {"method": "x"}, {"method": str(add(make_team(), VISA).pk)}):
        refused = alice.post(page("charge", team, purchase.pk), wrong)
        assert "Choose" in text(refused)
    paid = alice.post(page("charge", team, purchase.pk), {"method": str(method.pk)}, follow=True)

    assert "Larkspur Labs has $25.00 more to spend." in text(paid)
    assert list(billing.differences()) == []


def test_in_stripe_mode_no_page_of_ours_takes_a_card_number(
    alice: Client, team: Team, settings: Settings
) -> None:
    settings.PAYMENTS, settings.STRIPE_PUBLISHABLE_KEY = "stripe", "pk_test"

    shown = alice.get(page("add_method", team))

    assert 'name="number"' not in shown.content.decode()
    policy = shown.headers["Content-Security-Policy"]
    assert "script-src 'self' https://js.stripe.com https://*.js.stripe.com" in policy
    assert "stripe" not in alice.get(page("details", team)).headers["Content-Security-Policy"]
    assert alice.post(page("add_method", team), CARD).status_code == 400
    unfinished: Any = alice.post(page("add_method", team), {"setup": "4242424242424242"})
    assert "The card was not entered to the end." in text(unfinished)
