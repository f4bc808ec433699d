"""Credits that are bought by themselves: what stops that, and what a crash leaves behind."""

from datetime import datetime, timedelta

import pytest

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.services import personal_team, request_deletion
from audit.models import AuditEvent
from billing import services as billing
from billing.models import CreditGrant, PaymentMethod, Purchase, TopUpRule
from billing.rules import TICKS_PER_USD
from billing.services.topup_rules import MOST_UNREACHED
from billing.services.topups import PAUSE
from tests.accounts.people import make_person
from tests.billing.crashes import before_asking
from tests.billing.spending import DECLINES, keep_card
from tests.billing.test_topups import DAY, HOUR, bought, person, rule, stocked, subjects, use
from tests.factories import NOON, make_team

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
ASKS_ALWAYS = "4000002760003184"


@pytest.fixture
def team() -> Team:
    return stocked()


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


def not_reached(team: Team, now: datetime) -> None:
    """Buy by itself what the processor is never asked for, and have it given up."""
    purchase = billing.begin(
        team=team,
        actor=SYSTEM,
        buyer=TopUpRule.of(team).get().set_by,
        amount_cents=5_000,
        idempotency_key=f"auto:{now}",
        kind=Purchase.Kind.AUTO,
        now=now,
    )
    before_asking(purchase, SYSTEM, now=now)
    billing.reconcile_all(now=now + 5 * MINUTE)


def test_a_processor_that_is_out_of_reach_for_hours_switches_the_rule_off_and_mails(
    team: Team,
) -> None:
    rule(team)
    for times in range(MOST_UNREACHED):
        assert (TopUpRule.of(team).get().is_on, subjects()) == (True, [])
        not_reached(team, NOON + times * PAUSE)

    assert TopUpRule.of(team).get().stopped_by == "not_charged"
    assert set(subjects()) == {"Auto top-up of Larkspur has stopped"}

    later = NOON + DAY
    billing.set_top_up(
        team=team, actor=person(team), terms=billing.TopUpTerms(2_000, 5_000, 100_000), now=later
    )
    not_reached(team, later)
    assert TopUpRule.of(team).get().is_on, "switched on again, it is counted anew"


def test_one_that_arrives_between_begins_the_count_anew(team: Team) -> None:
    rule(team)
    for times in range(MOST_UNREACHED - 1):
        not_reached(team, NOON + times * PAUSE)
    use(team, 15)
    billing.run_top_ups(now=NOON + MOST_UNREACHED * PAUSE)
    assert bought(team)[-1] == ("succeeded", 5_000)

    not_reached(team, NOON + (MOST_UNREACHED + 1) * PAUSE)

    assert TopUpRule.of(team).get().is_on


def test_a_card_that_the_processor_knows_no_more_switches_the_rule_off_and_mails(
    team: Team,
) -> None:
    rule(team)
    use(team, 15)
    PaymentMethod.of(team).update(reference="0198c2a5-0000-7000-8000-000000000000")

    for minutes in range(3):
        billing.run_top_ups(now=NOON + minutes * HOUR)

    assert bought(team) == [("failed", 5_000)]
    assert TopUpRule.of(team).get().stopped_by == "method_unusable"
    assert set(subjects()) == {"Auto top-up of Larkspur has stopped"}


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


def test_what_was_left_behind_is_not_paid_beyond_a_maximum_that_was_lowered(team: Team) -> None:
    rule(team, amount=50, month_max=150)
    for _ in range(2):
        use(team, billing.balance(team, now=NOON).prepaid_ticks // TICKS_PER_USD)
        billing.run_top_ups(now=NOON)
    use(team, 50)
    left = billing.begin(
        team=team,
        actor=SYSTEM,
        buyer=TopUpRule.of(team).get().set_by,
        amount_cents=5_000,
        idempotency_key="auto:3",
        kind=Purchase.Kind.AUTO,
        now=NOON,
    )
    rule(team, amount=50, month_max=100)

    billing.run_top_ups(now=NOON + MINUTE)

    left.refresh_from_db()
    assert left.status == Purchase.Status.EXPIRED
    assert bought(team) == [("succeeded", 5_000)] * 2 + [("expired", 5_000)]
