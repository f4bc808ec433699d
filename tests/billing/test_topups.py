"""Credits that are bought by themselves: when, how often, how much, and what stops them."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from audit.models import AuditEvent
from billing import services as billing
from billing.models import (
    CreditGrant,
    Invoice,
    Notice,
    Payment,
    ProcessorCustomer,
    Purchase,
    TopUpRule,
)
from billing.rules import TICKS_PER_USD, months_later
from tests.billing.pages import give
from tests.billing.spending import keep_card, spend_ticks
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ASKS_ALWAYS = "4000002760003184"
ASKS_PRESENT = "4000002500003155"


def person(team: Team) -> Actor:
    return Actor.for_user(make_admin(team, name="Alice"))


def rule(team: Team, *, trigger: int = 20, amount: int = 50, month_max: int = 1_000) -> None:
    billing.set_top_up(
        team=team,
        actor=person(team),
        terms=billing.TopUpTerms(trigger * 100, amount * 100, month_max * 100),
        now=NOON,
    )


def prepaid(team: Team) -> int:
    """Say what bought credits are left, in dollars."""
    return billing.balance(team, now=NOON).prepaid_ticks // TICKS_PER_USD


def use(team: Team, dollars: int, now: datetime = NOON) -> None:
    spend_ticks(team, dollars * TICKS_PER_USD, now=now)


def bought(team: Team) -> list[tuple[str, int]]:
    rows = Purchase.of(team).filter(kind=Purchase.Kind.AUTO).order_by("pk")
    return list(rows.values_list("status", "amount_cents"))


def subjects() -> list[str]:
    """List what is mailed besides receipts."""
    told = [str(message.subject) for message in mail.outbox]
    return [subject for subject in told if not subject.startswith("Receipt ")]


def stocked() -> Team:
    """Make a team with $30 prepaid and a card that pays."""
    team = make_team("Larkspur")
    keep_card(team)
    give(team, 30, kind=CreditGrant.Kind.PREPAID, label="Bought")
    return team


@pytest.fixture
def team() -> Team:
    return stocked()


# --- When


def test_nothing_is_bought_without_a_rule(team: Team) -> None:
    use(team, 30)

    billing.run_top_ups(now=NOON)

    assert bought(team) == []


def test_credits_are_bought_when_prepaid_ones_fall_below_the_trigger(team: Team) -> None:
    rule(team, trigger=20, amount=50)
    use(team, 10)
    billing.run_top_ups(now=NOON)
    assert bought(team) == []  # $20 are not below $20.

    spend_ticks(team, 1)
    billing.run_top_ups(now=NOON)

    assert bought(team) == [("succeeded", 5_000)]
    grant = CreditGrant.of(team).latest("granted_at", "pk")
    assert (grant.label, grant.kind) == ("Auto top-up", "prepaid")
    assert Invoice.of(team).get().kind == Invoice.Kind.PURCHASE
    assert Payment.of(team).get().is_off_session


def test_once_bought_nothing_more_is_bought(team: Team) -> None:
    rule(team)
    use(team, 15)

    for _ in range(3):
        billing.run_top_ups(now=NOON)

    assert bought(team) == [("succeeded", 5_000)]


def test_what_requests_in_flight_may_take_from_prepaid_credits_is_gone(team: Team) -> None:
    rule(team, trigger=20)
    ask = billing.HoldRequest(uuid4(), team.pk, 11 * TICKS_PER_USD, 0, 1)

    billing.reserve([ask], now=NOON, until=NOON + HOUR)
    billing.run_top_ups(now=NOON)

    assert len(bought(team)) == 1


def test_what_free_credits_cover_of_requests_in_flight_is_not_gone(team: Team) -> None:
    rule(team, trigger=20)
    give(team, 11)
    ask = billing.HoldRequest(uuid4(), team.pk, 11 * TICKS_PER_USD, 0, 1)

    billing.reserve([ask], now=NOON, until=NOON + HOUR)
    billing.run_top_ups(now=NOON)

    assert bought(team) == []


def test_free_credits_do_not_keep_a_rule_from_buying(team: Team) -> None:
    give(team, 5, expires_at=NOON + DAY)
    rule(team)
    use(team, 20)

    billing.run_top_ups(now=NOON)

    assert len(bought(team)) == 1


def test_what_expires_without_a_request_in_30_days_is_not_bought_again() -> None:
    other = make_team()
    keep_card(other)
    soon = NOON + 40 * DAY
    give(other, 30, kind=CreditGrant.Kind.PREPAID, label="Bought", expires_at=soon)
    rule(other)

    billing.run_top_ups(now=soon + DAY)
    assert bought(other) == []

    ask = billing.HoldRequest(uuid4(), other.pk, TICKS_PER_USD, 0, 1)
    billing.reserve([ask], now=soon + DAY, until=soon + DAY)  # Refused: nothing is left.
    billing.run_top_ups(now=soon + DAY)
    assert len(bought(other)) == 1


def test_the_default_card_is_charged_with_the_tax(team: Team, settings: Settings) -> None:
    settings.TAX_PERCENT = Decimal(19)
    newest = keep_card(team, "5555555555554444")
    billing.set_default_method(team=team, actor=SYSTEM, method_id=newest.pk, now=NOON)
    rule(team)
    use(team, 15)

    billing.run_top_ups(now=NOON)

    payment = Payment.of(team).get()
    assert (payment.method_id, payment.amount_cents) == (newest.pk, 5_950)


def test_a_card_that_asks_only_who_is_there_pays_by_itself() -> None:
    team = make_team()
    keep_card(team, ASKS_PRESENT)
    rule(team)

    billing.run_top_ups(now=NOON)

    assert bought(team) == [("succeeded", 5_000)]


def test_a_team_that_cannot_be_served_does_not_keep_the_rest_waiting(team: Team) -> None:
    broken = make_team()
    keep_card(broken)
    rule(broken)
    ProcessorCustomer.of(broken).delete()
    rule(team)
    use(team, 15)

    with pytest.raises(SomeFailedError, match="1 could not be done"):
        billing.run_top_ups(now=NOON)

    assert bought(team) == [("succeeded", 5_000)]


# --- How much


def test_a_month_buys_no_more_than_its_maximum_and_the_next_one_does(team: Team) -> None:
    rule(team, amount=50, month_max=120)
    mid = NOON + 14 * DAY
    use(team, 30, mid)
    for _ in range(4):
        billing.run_top_ups(now=mid)
        if prepaid(team):
            use(team, prepaid(team), mid)

    assert bought(team) == [("succeeded", 5_000)] * 2
    standing = billing.top_up(team, now=mid)
    assert standing is not None
    assert standing.is_month_full

    billing.run_top_ups(now=months_later(NOON, 1))
    assert len(bought(team)) == 3


def test_credits_bought_by_hand_do_not_count_for_the_maximum(team: Team) -> None:
    rule(team, amount=50, month_max=50)
    actor = person(team)
    by_hand = billing.begin(
        team=team, actor=actor, amount_cents=5_000, idempotency_key="hand", now=NOON
    )
    method = billing.default_method(team)
    assert method is not None
    billing.collect(target=by_hand, method=method, actor=actor, now=NOON)
    use(team, 80)

    billing.run_top_ups(now=NOON)

    assert bought(team) == [("succeeded", 5_000)]


def test_five_in_any_24_hours_and_the_sixth_when_the_first_is_a_day_ago(team: Team) -> None:
    rule(team, amount=25)
    use(team, 30)
    at = NOON
    for _ in range(7):
        billing.run_top_ups(now=at)
        if prepaid(team):
            use(team, prepaid(team))
        at += HOUR

    assert len(bought(team)) == 5
    standing = billing.top_up(team, now=at)
    assert standing is not None
    assert standing.free_at == NOON + DAY

    billing.run_top_ups(now=NOON + DAY - timedelta(microseconds=1))
    assert len(bought(team)) == 5
    billing.run_top_ups(now=NOON + DAY)
    assert len(bought(team)) == 6


def test_five_in_24_hours_count_over_the_end_of_a_month(team: Team) -> None:
    rule(team, amount=25)
    april = months_later(NOON, 1).replace(hour=0)
    use(team, 30, april - 4 * HOUR)
    for hours in (-3, -2, -1, 1, 2):
        billing.run_top_ups(now=april + hours * HOUR)
        use(team, prepaid(team), april)
    assert len(bought(team)) == 5

    billing.run_top_ups(now=april + 3 * HOUR)

    assert len(bought(team)) == 5
    standing = billing.top_up(team, now=april + 3 * HOUR)
    assert standing is not None
    assert (standing.today, standing.month_cents) == (5, 5_000)


def test_what_is_bought_in_the_first_instant_of_a_month_counts_for_it(team: Team) -> None:
    rule(team)
    april = months_later(NOON, 1).replace(hour=0)
    use(team, 15, april - HOUR)

    billing.run_top_ups(now=april)

    standing = billing.top_up(team, now=april + 5 * DAY)
    assert standing is not None
    assert standing.month_cents == 5_000


def test_the_receipt_names_the_team_and_nobody_who_may_have_left_it(team: Team) -> None:
    rule(team)
    use(team, 15)

    billing.run_top_ups(now=NOON)

    assert Invoice.of(team).get().buyer == {"name": "Larkspur"}


# --- Warnings


def test_mail_comes_at_80_percent_of_the_maximum_once_a_month(team: Team) -> None:
    rule(team, amount=40, month_max=100)
    use(team, 30)
    billing.run_top_ups(now=NOON)
    assert subjects() == []

    use(team, 40)
    billing.run_top_ups(now=NOON + 2 * DAY)
    billing.run_top_ups(now=NOON + 2 * DAY)

    told = "Larkspur has used 80% of its monthly maximum for auto top-up"
    assert set(subjects()) == {told}
    assert Notice.of(team).get().kind == Notice.Kind.TOP_UP_80


def test_mail_comes_when_one_of_five_is_left(team: Team) -> None:
    rule(team, amount=25, month_max=10_000)
    use(team, 30)
    for hours in range(4):
        assert subjects() == []
        billing.run_top_ups(now=NOON + hours * HOUR)
        use(team, 25)

    assert set(subjects()) == {"Larkspur has one auto top-up left for now"}


# --- Setting it


def test_it_is_off_by_default(team: Team) -> None:
    assert billing.top_up(team, now=NOON) is None


@pytest.mark.parametrize(
    ("terms", "field", "sentence"),
    [
        ((2_000, 2_499, 10_000), "amount", "One top-up can be from $25.00 to $10,000.00."),
        ((2_000, 1_000_001, 2_000_000), "amount", "One top-up can be from $25.00"),
        ((99, 5_000, 10_000), "trigger", "Choose from $1.00 to $10,000.00."),
        ((2_000, 5_000, 4_999), "month_max", "$49.99 is less than one top-up of $50.00"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    team: Team, terms: tuple[int, int, int], field: str, sentence: str
) -> None:
    with pytest.raises(billing.TopUpRuleError, match=sentence.replace("$", r"\$")) as refused:
        billing.set_top_up(
            team=team, actor=person(team), terms=billing.TopUpTerms(*terms), now=NOON
        )

    assert refused.value.field == field
    assert not TopUpRule.of(team).exists()


def test_it_needs_a_method_on_file() -> None:
    with pytest.raises(billing.TopUpRuleError, match="no payment method on file"):
        rule(make_team())


def test_a_change_leaves_what_was_and_what_is_in_the_audit_log(team: Team) -> None:
    rule(team)
    rule(team, amount=100)
    rule(team, amount=100)

    events = AuditEvent.of(team).filter(operation="SetTopUp").order_by("pk")
    assert len(events) == 2
    changed = events[1]
    assert (changed.before or {})["amount_ticks"] == 50 * TICKS_PER_USD
    assert (changed.after or {})["amount_ticks"] == 100 * TICKS_PER_USD
