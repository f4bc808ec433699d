"""Giving credits, and taking back what is left of them at their expiry."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Team
from accounts.one_by_one import SomeFailedError
from audit.models import AuditEvent
from billing import services as billing
from billing.models import CreditGrant, LedgerEntry
from billing.rules import BillingItem, Line, Purse, in_order_of_use
from tests.factories import NOON, make_team

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def give(team: Team, ticks: int = 1000, *, key: str = "", **fields: Any) -> CreditGrant:
    return billing.grant(
        **{
            "team": team,
            "actor": SYSTEM,
            "kind": CreditGrant.Kind.FREE,
            "amount_ticks": ticks,
            "label": "Welcome",
            "idempotency_key": key or str(uuid4()),
            "now": NOON,
            **fields,
        }
    )


def hold(team: Team, ticks: int, now: datetime) -> UUID:
    request = billing.HoldRequest(uuid4(), team.pk, 0, 1, ticks)
    [answer] = billing.reserve([request], now=now, until=now + DAY)
    assert isinstance(answer, billing.Ceiling)
    return request.request_id


def settle(team: Team, request_id: UUID, ticks: int, now: datetime) -> None:
    lines = [Line(BillingItem.COMPLETION, ticks, 1)]
    billing.settle([billing.Settlement(request_id, team.pk, "m", lines)], now=now)


def available(team: Team, now: datetime = NOON) -> int:
    return billing.balance(team, now=now).available_ticks


def test_granted_credits_can_be_spent_at_once_and_are_explained_by_an_entry() -> None:
    team = make_team()

    given = give(team, 1000)

    assert available(team) == 1000
    entry = LedgerEntry.of(team).get()
    assert (entry.kind, entry.amount_ticks, entry.grant) == ("grant", 1000, given)


def test_a_grant_is_in_the_audit_log_under_the_name_of_who_gave_it() -> None:
    team = make_team()

    give(team, 5_0000_000_000, actor=Actor(ActorKind.STAFF, "Sam Support"))

    event = AuditEvent.of(team).get()
    assert (event.operation, event.actor_label) == ("GrantCredits", "Sam Support")
    assert event.description == "Granted $5.00 of free credits"


def test_a_grant_that_is_sent_twice_is_given_once() -> None:
    team = make_team()

    grants = {give(team, key="welcome").pk for _ in range(3)}

    assert len(grants) == 1
    assert available(team) == 1000
    assert AuditEvent.of(team).count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"amount_ticks": 2000},
        {"kind": CreditGrant.Kind.PROMO},
        {"label": "Other"},
        {"expires_at": NOON + DAY},
    ],
)
def test_one_key_with_other_contents_is_refused(other: dict[str, Any]) -> None:
    team = make_team()
    give(team, key="welcome")

    with pytest.raises(billing.IdempotencyConflictError):
        give(team, key="welcome", **other)

    assert available(team) == 1000


def test_one_key_in_two_teams_is_two_grants() -> None:
    teams = [make_team(), make_team()]

    for team in teams:
        give(team, key="welcome")

    assert [available(team) for team in teams] == [1000, 1000]


# --- Expiry -----------------------------------------------------------------------------------


def test_expired_credits_cannot_be_spent_even_before_the_job_has_come_by() -> None:
    team = make_team()
    give(team, expires_at=NOON + DAY)

    assert available(team, NOON + DAY - timedelta(microseconds=1)) == 1000
    assert available(team, NOON + DAY) == 0


def test_the_job_takes_what_remains_off_the_books_once() -> None:
    team = make_team()
    give(team, 1000, expires_at=NOON + DAY)
    give(team, 500)
    settle(team, hold(team, 300, NOON), 300, NOON)

    assert [billing.expire_grants(now=NOON + DAY) for _ in range(2)] == [1, 0]

    expiry = LedgerEntry.of(team).get(kind=LedgerEntry.Kind.EXPIRY)
    assert expiry.amount_ticks == -700
    assert available(team, NOON + DAY) == 500
    assert list(billing.differences()) == []


def test_a_request_that_began_before_the_expiry_is_still_paid_from_the_grant() -> None:
    team = make_team()
    grant = give(team, 1000, expires_at=NOON + DAY)
    request_id = hold(team, 400, NOON)
    later = NOON + DAY + timedelta(minutes=1)

    assert billing.expire_grants(now=later) == 0
    settle(team, request_id, 400, later)
    assert billing.expire_grants(now=later) == 1

    entries = LedgerEntry.of(team).filter(grant=grant).values_list("kind", "amount_ticks")
    assert set(entries) == {("grant", 1000), ("charge", -400), ("expiry", -600)}
    assert list(billing.differences()) == []


def test_a_request_that_began_after_the_expiry_does_not_keep_the_grant_alive() -> None:
    team = make_team()
    give(team, 1000, expires_at=NOON + DAY)
    give(team, 1000)
    hold(team, 400, NOON + DAY)

    assert billing.expire_grants(now=NOON + DAY) == 1


def test_a_team_whose_books_are_broken_does_not_keep_the_others_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, last = sorted((make_team(), make_team()), key=lambda team: team.pk)
    broken = give(first, 1000, expires_at=NOON + DAY)
    # It expired already, says the ledger; the grant says that nothing was taken.
    LedgerEntry.across_teams.create(
        team=first, kind="expiry", amount_ticks=-1000, grant=broken, happened_at=NOON
    )
    sound = give(last, 1000, expires_at=NOON + DAY)

    with pytest.raises(SomeFailedError, match="1 could not be done"):
        billing.expire_grants(now=NOON + DAY)

    sound.refresh_from_db()
    assert sound.remaining_ticks == 0
    assert str(first.pk) in caplog.text


def test_the_page_lists_grants_in_the_order_of_use_and_says_what_became_of_them() -> None:
    team = make_team()
    give(team, 100, label="Bought first", kind=CreditGrant.Kind.PREPAID)
    give(team, 100, label="Lasts", expires_at=NOON + 9 * DAY)
    give(
        team, 100, label="Promo, ends soon", kind=CreditGrant.Kind.PROMO, expires_at=NOON + 2 * DAY
    )
    give(team, 100, label="Over", expires_at=NOON + DAY, now=NOON - DAY)
    give(team, 50, label="Spent", expires_at=NOON + timedelta(hours=1))
    settle(team, hold(team, 50, NOON), 50, NOON)
    billing.expire_grants(now=NOON + DAY)

    rows = billing.standings(team, now=NOON + DAY)

    assert [(row.grant.label, str(row.standing), row.remaining_ticks) for row in rows] == [
        ("Promo, ends soon", "In use", 100),
        ("Lasts", "Next", 100),
        ("Bought first", "Next", 100),
        ("Spent", "Used up", 0),
        ("Over", "Expired", 0),
    ]


def test_the_database_and_the_rules_agree_on_the_order_of_use() -> None:
    team = make_team()
    for days, kind in ((3, "free"), (None, "promo"), (1, "promo"), (2, "prepaid"), (9, "prepaid")):
        expires_at = NOON + DAY * days if days else None
        for hour in (2, 1):
            give(
                team,
                kind=CreditGrant.Kind(kind),
                expires_at=expires_at,
                now=NOON - timedelta(hours=hour),
            )

    usable = list(CreditGrant.of(team).in_order_of_use())

    purses = [
        Purse(g.pk, g.kind == "prepaid", g.granted_at, g.expires_at, 1) for g in reversed(usable)
    ]
    ordered = in_order_of_use(purses)
    assert [g.pk for g in usable] == [purse.grant_id for purse in ordered]
