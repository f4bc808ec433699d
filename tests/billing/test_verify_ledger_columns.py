"""No amount of a world that has one of everything can be changed without verify_ledger's word."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import DecimalField, IntegerField, JSONField, Q, QuerySet
from django.test import override_settings
from pytest_django import DjangoDbBlocker
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import CreditGrant
from billing.rules import TICKS_PER_USD, BillingItem, Line
from billing.services import HoldRequest, Settlement
from billing.services.topup_rules import TopUpTerms
from tests.billing.codes import make_code, redeem
from tests.billing.spending import DECLINES, buy, keep_card, make_invoiced_team, spend_ticks
from tests.billing.test_verify_ledger import tamper, unlock_final_rows, verify
from tests.factories import NOON, make_admin
from tests.worlds import made_once

pytestmark = pytest.mark.django_db

APRIL, MAY = (datetime(2026, month, 1, 0, 5, tzinfo=UTC) for month in (4, 5))
SOON: Final = timedelta(minutes=2)


@pytest.fixture(scope="module", autouse=True)
def world(
    django_db_setup: None,  # noqa: ARG001 -- the database is to be there
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    with override_settings(TAX_PERCENT=Decimal("7.25")):
        yield from made_once(make_world, django_db_blocker)


def make_world() -> None:
    """Make a team that owes an invoice and one that has paid, and between them all there is."""
    owing, paying = make_invoiced_team(usd=500), make_invoiced_team(usd=500)
    keep_card(owing, DECLINES)
    keep_card(paying)
    make_code()
    redeem(owing)
    _buy_in_every_way(paying)
    spend_ticks(owing, 40 * TICKS_PER_USD + 123)
    _spend_more_than_was_held(paying, held=30 * TICKS_PER_USD + 7_777, used=8_888)
    billing.close_months(now=APRIL)
    billing.collect_due(now=APRIL)
    spend_ticks(paying, TICKS_PER_USD // 10, now=APRIL)  # Too little, so it is carried over.
    billing.close_months(now=MAY)
    spend_ticks(paying, TICKS_PER_USD, now=MAY)
    billing.grant(
        team=paying,
        actor=SYSTEM,
        kind=billing.GrantKind.FREE,
        amount_ticks=1_000,
        label="Sorry",
        idempotency_key=f"{CreditGrant.STAFF_KEY}1",
        now=MAY,
    )
    live = HoldRequest(uuid7(), paying.pk, 100, 0, 1)
    billing.reserve([live], now=MAY, until=MAY + SOON)


def _buy_in_every_way(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    terms = TopUpTerms(trigger_cents=500, amount_cents=2_511, month_max_cents=3_000)
    billing.set_top_up(team=team, actor=actor, terms=terms, now=NOON)
    billing.run_top_ups(now=NOON)
    given_back = buy(team, cents=3_333)
    billing.refund(purchase=given_back, actor=actor, reason="Law", now=NOON)
    arrived, _ = (
        billing.begin_transfer(
            team=team, actor=actor, amount_cents=cents, idempotency_key=str(cents), now=NOON
        )
        for cents in (5_001, 7_001)
    )
    billing.transfer_arrived(purchase=arrived, actor=actor, now=NOON)
    # One that stays on its way: what came by bank transfer, staff send back.
    billing.refund(purchase=arrived, actor=actor, reason="Law", now=NOON)


def _spend_more_than_was_held(team: Team, *, held: int, used: int) -> None:
    request = HoldRequest(uuid7(), team.pk, held, 0, 1)
    billing.reserve([request], now=NOON, until=NOON + SOON)
    lines = [Line(BillingItem.COMPLETION, held, 1), Line(BillingItem.REASONING, used, 1)]
    billing.settle([Settlement(request.request_id, team.pk, "atlas", lines)], now=NOON)


CHANGES: Final = {
    "the first number of a series": (
        "UPDATE billing_invoice SET number = 0 WHERE series_id = 'R' AND number = 1",
        "series R has given 3 numbers, but has 3 documents, from 0 to 3",
    ),
    "what credits paid of a month": (
        (
            "UPDATE billing_invoice SET credits_used_ticks = credits_used_ticks + 1"
            " WHERE credits_used_ticks = 250000000000"
        ),
        "says that credits paid 250000000001 ticks, but they paid 250000000000 of its months",
    ),
    "the tax of a transfer": (
        "UPDATE billing_purchase SET tax_cents = 364 WHERE amount_cents = 5001",
        "has a tax of 364 cents, 7.25 %, but its receipt one of 363 cents, 7.25 %",
    ),
    "the tax of a transfer that has not come": (
        "UPDATE billing_purchase SET tax_cents = 509 WHERE amount_cents = 7001",
        "is of 7001 cents at 7.25 %, but its tax is 509",
    ),
    "the rate of a purchase's tax": (
        "UPDATE billing_purchase SET tax_percent = 7.26 WHERE amount_cents = 2511",
        "has a tax of 182 cents, 7.26 %, but its receipt one of 182 cents, 7.25 %",
    ),
    "the rate of a credit note's tax": (
        "UPDATE billing_invoice SET tax_percent = 8 WHERE kind = 'credit'",
        "is of a purchase taxed at 7.25 %, but its credit note at 8.00 %",
    ),
    "the tax that a refund on its way gives back": (
        "UPDATE billing_refund SET tax_cents = 362 WHERE status = 'pending'",
        "gives back a tax of 362 cents, but 5001 of 5001 cents had one of 363",
    ),
    "more paid back than was bought": (
        "UPDATE billing_refund SET amount_cents = 5002 WHERE status = 'pending'",
        "is of 5002 cents, but its purchase is succeeded and of 5001",
    ),
    "what was held for a request that used more": (
        "UPDATE billing_hold SET amount_ticks = 300000007778 WHERE amount_ticks = 300000007777",
        "costs 300000007777 ticks and lost 8888, but 300000007778 were held",
    ),
    "a card's purchase made a transfer": (
        "UPDATE billing_purchase SET kind = 'transfer' WHERE amount_cents = 3333",
        "is of the kind transfer, but was begun as card",
    ),
    "a top-up made a card's purchase": (
        "UPDATE billing_purchase SET kind = 'card' WHERE kind = 'auto'",
        "is of the kind card, but was begun as auto",
    ),
    "bought credits made free": (
        "UPDATE billing_creditgrant SET kind = 'free' WHERE amount_ticks = 333300000000",
        "is free, but was bought",
    ),
    "bought credits made a code's": (
        "UPDATE billing_creditgrant SET kind = 'promo' WHERE amount_ticks = 333300000000",
        "is promo, but was bought",
    ),
    "given credits made bought ones": (
        "UPDATE billing_creditgrant SET kind = 'prepaid' WHERE kind = 'free'",
        "is prepaid, but was given",
    ),
    "a charge made a refund": (
        "UPDATE billing_ledgerentry SET kind = 'refund' WHERE amount_ticks = -10000000000",
        "is of a request, but says refund",
    ),
    "the amount of a payment that failed": (
        "UPDATE billing_payment SET amount_cents = amount_cents + 1 WHERE status = 'failed'",
        "of 1610 cents is failed, but its invoice is over 1609",
    ),
    "the team of a payment that failed": (
        (
            "UPDATE billing_payment p SET team_id = other.id FROM accounts_team other"
            " WHERE status = 'failed' AND p.team_id <> other.id"
        ),
        "is made for team",
    ),
    "the method of a payment": (
        (
            "UPDATE billing_payment p SET method_id = m.id FROM billing_paymentmethod m"
            " WHERE p.status = 'failed' AND p.team_id <> m.team_id AND m.is_default"
        ),
        "by a card of team",
    ),
    "the cents of an invoice's line": (
        (
            "UPDATE billing_invoice SET lines = jsonb_set(lines, '{0,amount_cents}', '1')"
            " WHERE credits_used_ticks = 250000000000"
        ),
        "has a line of 400000000123 ticks that is over 1 cents",
    ),
    "the ticks of an invoice's line": (
        (
            "UPDATE billing_invoice SET lines = jsonb_set(lines, '{1,ticks}', '-250000000001')"
            " WHERE credits_used_ticks = 250000000000"
        ),
        "over 1500 cents, with lines of 150000000122 ticks, but its months add up to 150000000123",
    ),
}


@pytest.mark.parametrize(("statement", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_in_one_row_is_found_and_named(statement: str, sentence: str) -> None:
    assert verify()[0] == 0

    tamper(statement)

    code, told, _ = verify()
    assert code == 1
    assert sentence in told, told


# What is no amount of anybody's money, but a wish, a term, a word, or a count of something else.
NO_MONEY: Final = {
    "BillingAccount.spending_limit_ticks",
    "BillingAccount.hard_limit_ticks",
    "BillingAccount.least_tier",
    "Hold.tokens",
    "Invoice.buyer",
    "Invoice.seller",
    "Notice.number",
    "PaymentMethod.exp_month",
    "PaymentMethod.exp_year",
    "ProcessorEvent.tries",
    "PromoCode.grant_days",
    "PromoCode.max_uses",
    "PromoCode.uses_per_team",
    "Receivable.tries",
    "TopUpRule.trigger_cents",
    "TopUpRule.amount_cents",
    "TopUpRule.month_max_cents",
}
# The processor's own record, which is not ours to prove.
NOT_OURS: Final = {"SandboxMethod", "SandboxPayment", "SandboxRefund"}
# What a hold held that is over is free again, and a purchase that nobody paid may be of any amount.
BINDING: Final = {"Hold": Q(state="live"), "Purchase": Q(status="succeeded")}


def test_every_amount_of_every_row_is_proved_to_the_last_one() -> None:
    columns = {
        f"{model.__name__}.{column.name}": (model, column.name)
        for model in apps.get_app_config("billing").get_models()
        if model.__name__ not in NOT_OURS
        for column in model._meta.concrete_fields
        if isinstance(column, IntegerField | DecimalField | JSONField) and not column.primary_key
    }
    proved, unproved = set(), []

    unlock_final_rows()
    for name in sorted(columns.keys() - NO_MONEY):
        model, column = columns[name]
        rows = model._base_manager.filter(BINDING.get(model.__name__, Q()))
        for key, value in rows.values_list("pk", column):
            for other in nudged(value):
                if is_found(rows.filter(pk=key), {column: other}):
                    proved.add(name)
                else:
                    unproved.append(f"{name}: {value} to {other}")

    assert unproved == []
    assert proved == columns.keys() - NO_MONEY, "the world has one of everything"


def nudged(value: Any) -> Iterator[Any]:
    """Give every copy of a value in which one number is one more or one less."""
    if isinstance(value, int | Decimal):
        yield value + 1
        yield value - 1
    elif isinstance(value, list | dict):
        places = value if isinstance(value, dict) else range(len(value))
        for place in places:
            for other in nudged(value[place]):
                copy = value.copy()
                copy[place] = other
                yield copy


def is_found(row: QuerySet[Any], change: dict[str, Any]) -> bool:
    """Say whether the change would be refused by the database or found by us, and undo it."""
    try:
        with transaction.atomic():
            row.update(**change)
            found = next(billing.differences(), None)
            transaction.set_rollback(True)
    except IntegrityError:
        return True
    return found is not None
