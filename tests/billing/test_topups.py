"""Credits that are bought by themselves: when, how often, how much, and what stops them."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.services import personal_team, request_deletion
from audit.models import AuditEvent
from billing import services as billing
from billing.models import (
    CreditGrant,
    Invoice,
    Notice,
    Payment,
    PaymentMethod,
    Purchase,
    SandboxMethod,
    TopUpRule,
)
from billing.rules import TICKS_PER_USD, months_later
from tests.accounts.people import make_person
from tests.billing.pages import give
from tests.billing.spending import DECLINES, keep_card, spend_ticks
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


@pytest.fixture
def team() -> Team:
    """Make a team with $30 prepaid and a card that pays."""
    team = make_team("Larkspur")
    keep_card(team)
    give(team, 30, kind=CreditGrant.Kind.PREPAID, label="Bought")
    return team


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
    SandboxMethod.objects.filter(pk=PaymentMethod.of(broken).get().reference).update(
        customer="another"
    )
    rule(team)
    use(team, 15)

    with pytest.raises(Exception, match="1 team could not be topped up"):
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


# --- What stops it


@pytest.mark.parametrize(
    ("number", "code"), [(DECLINES, "card_declined"), (ASKS_ALWAYS, "authentication_required")]
)
def test_a_payment_that_fails_switches_the_rule_off_and_mails(number: str, code: str) -> None:
    team = make_team("Larkspur")
    keep_card(team, number)
    rule(team)

    billing.run_top_ups(now=NOON)
    billing.run_top_ups(now=NOON + HOUR)

    stopped = TopUpRule.of(team).get()
    assert (stopped.is_on, stopped.stopped_by) == (False, code)
    assert bought(team) == [("failed", 5_000)]
    assert set(subjects()) == {"Auto top-up of Larkspur has stopped"}
    assert CreditGrant.of(team).count() == 0
    event = AuditEvent.of(team).get(operation="SwitchOffTopUp")
    assert event.actor_kind == "system"


def test_while_the_processor_cannot_be_reached_it_is_tried_again_and_nobody_is_told(
    team: Team,
) -> None:
    rule(team)
    use(team, 15)
    billing.run_top_ups(now=NOON)
    # As `collecting` books an attempt that never arrived.
    Purchase.of(team).update(status="failed", completed_at=None, failure_code="not_charged")
    CreditGrant.of(team).filter(label="Auto top-up").update(remaining_ticks=0)

    billing.run_top_ups(now=NOON + 14 * MINUTE)
    assert len(bought(team)) == 1
    billing.run_top_ups(now=NOON + 15 * MINUTE)

    assert bought(team)[1:] == [("succeeded", 5_000)]
    assert subjects() == []


def test_what_failed_counts_for_nothing_and_the_rule_can_be_switched_on_again() -> None:
    team = make_team()
    keep_card(team, DECLINES)
    rule(team, month_max=50)
    billing.run_top_ups(now=NOON)
    good = keep_card(team)
    billing.set_default_method(team=team, actor=SYSTEM, method_id=good.pk, now=NOON)

    rule(team, month_max=50)
    billing.run_top_ups(now=NOON + MINUTE)

    assert bought(team) == [("failed", 5_000), ("succeeded", 5_000)]
    assert TopUpRule.of(team).get().stopped_by == ""


def test_without_a_method_on_file_the_rule_stops_and_nothing_is_begun(team: Team) -> None:
    rule(team)
    use(team, 15)
    billing.forget_methods(team=team, now=NOON)

    billing.run_top_ups(now=NOON)

    assert bought(team) == []
    assert TopUpRule.of(team).get().stopped_by == "no_method"
    assert set(subjects()) == {"Auto top-up of Larkspur has stopped"}


def test_switched_off_by_a_person_it_buys_nothing(team: Team) -> None:
    rule(team)
    use(team, 15)

    billing.switch_off_top_up(team=team, actor=person(team), now=NOON)
    billing.run_top_ups(now=NOON)

    assert bought(team) == []
    assert subjects() == []


def test_an_account_that_is_to_be_deleted_buys_nothing_by_itself() -> None:
    leaver = make_person("Alice")
    own = personal_team(leaver)
    keep_card(own)
    rule(own)

    request_deletion(user=leaver, actor=Actor.for_user(leaver), now=NOON)
    billing.run_top_ups(now=NOON)

    assert bought(own) == []
    assert not TopUpRule.of(own).get().is_on


# --- Crashes


def test_a_purchase_that_a_crash_left_behind_is_paid_once(team: Team) -> None:
    rule(team)
    use(team, 15)
    left = billing.begin(
        team=team,
        actor=SYSTEM,
        buyer=TopUpRule.of(team).get().set_by,
        amount_cents=5_000,
        idempotency_key="auto:1",
        kind=Purchase.Kind.AUTO,
        now=NOON,
    )

    billing.run_top_ups(now=NOON + MINUTE)

    left.refresh_from_db()
    assert left.status == Purchase.Status.SUCCEEDED
    assert bought(team) == [("succeeded", 5_000)]


def test_a_purchase_of_another_amount_that_was_left_behind_is_never_paid(team: Team) -> None:
    rule(team, amount=500)
    use(team, 15)
    billing.begin(
        team=team,
        actor=SYSTEM,
        buyer=TopUpRule.of(team).get().set_by,
        amount_cents=50_000,
        idempotency_key="auto:1",
        kind=Purchase.Kind.AUTO,
        now=NOON,
    )
    rule(team, amount=50, month_max=50)

    billing.run_top_ups(now=NOON + MINUTE)

    assert bought(team) == [("expired", 50_000), ("succeeded", 5_000)]


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
