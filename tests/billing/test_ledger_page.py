"""The ledger: every movement with the balance after it, found by kind and day, and as a file."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM
from accounts.models import Team, User
from accounts.rules import Permission
from audit.models import AuditEvent
from billing import services as billing
from billing.models import CreditGrant, LedgerEntry
from billing.rules import TICKS_PER_USD, BillingItem, Line
from billing.services.ledger_page import ledger_batches
from tests.billing.codes import make_code, redeem
from tests.billing.pages import give, page, text
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
EVERYTHING = billing.Wanted()


def spend(team: Team, ticks: int, *, now: datetime, model: str = "atlas") -> None:
    request = billing.HoldRequest(uuid4(), team.pk, ticks, 0, 1)
    billing.reserve([request], now=now, until=now)
    lines = [Line(BillingItem.COMPLETION, ticks, 1)]
    billing.settle([billing.Settlement(request.request_id, team.pk, model, lines)], now=now)


@pytest.fixture
def lived(team: Team) -> Team:
    """Let a team go through all kinds of movements, some of them at the same moment.

    Day by day: $5 that expire on day 4, $1 used, a code of $2, $3 used; then $5 used, of which
    $2 are left in credits and $3 go on the invoice of March; the first $1 of April.
    """
    limit = 10 * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=NOON)
    give(team, 5, expires_at=NOON + 4 * DAY)
    spend(team, 1 * TICKS_PER_USD, now=NOON + 1 * DAY)
    make_code(dollars=2)
    redeem(team, now=NOON + 2 * DAY)
    spend(team, 3 * TICKS_PER_USD, now=NOON + 3 * DAY)
    billing.expire_grants(now=NOON + 4 * DAY)
    spend(team, 5 * TICKS_PER_USD, now=NOON + 5 * DAY)
    spend(team, 1 * TICKS_PER_USD, now=NOON + 31 * DAY, model="=cmd()")
    return team


def dollars(movements: list[billing.Movement]) -> list[tuple[str, int, int]]:
    return [
        (
            movement.entry.kind,
            movement.entry.amount_ticks // TICKS_PER_USD,
            movement.balance_ticks // TICKS_PER_USD,
        )
        for movement in movements
    ]


# By hand, newest first: kind, amount, and what the credits or the month's invoice were after it.
BY_HAND = [
    ("charge", -1, -1),  # On the invoice of April.
    ("charge", -3, -3),  # On the invoice of March, at the moment of the next.
    ("charge", -2, 0),
    ("expiry", -1, 2),
    ("charge", -3, 3),
    ("grant", 2, 6),
    ("charge", -1, 4),
    ("grant", 5, 5),
]


def read(team: Team, wanted: billing.Wanted = EVERYTHING, size: int = 50) -> list[billing.Movement]:
    return billing.ledger_page(team, wanted, size=size).movements


def test_each_movement_has_the_balance_of_its_pot_after_it(lived: Team) -> None:
    assert sorted(dollars(read(lived))) == sorted(BY_HAND)
    # Of one moment, the order is that of the entries' ids.
    assert [row[0] for row in dollars(read(lived))] == [row[0] for row in BY_HAND]


def test_the_newest_balance_is_what_there_is(lived: Team) -> None:
    give(lived, 7, now=NOON + 40 * DAY)

    assert read(lived)[0].balance_ticks == 7 * TICKS_PER_USD
    standing = billing.balance(lived, now=NOON + 40 * DAY)
    assert standing.free_ticks == 7 * TICKS_PER_USD


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_of_any_size_tell_the_same_forwards_and_backwards(lived: Team, size: int) -> None:
    whole = read(lived)
    cut = billing.ledger_page(lived, EVERYTHING, size=size)
    pages = [cut]
    while cut.has_older:
        cut = billing.ledger_page(
            lived, EVERYTHING, size=size, older_than=cut.movements[-1].entry.pk
        )
        pages.append(cut)

    assert [movement for cut in pages for movement in cut.movements] == whole
    assert [cut.has_newer for cut in pages] == [False] + [True] * (len(pages) - 1)
    while cut.has_newer:
        cut = billing.ledger_page(
            lived, EVERYTHING, size=size, newer_than=cut.movements[0].entry.pk
        )
    assert cut == pages[0]


def test_movements_of_one_moment_count_once_each_wherever_a_page_ends(team: Team) -> None:
    for _ in range(3):
        give(team, 1)
    told, last = [], None
    for _ in range(3):
        cut = billing.ledger_page(team, EVERYTHING, size=1, older_than=last)
        told += dollars(cut.movements)
        last = cut.movements[0].entry.pk

    assert told == [("grant", 1, 3), ("grant", 1, 2), ("grant", 1, 1)]


def test_a_balance_counts_also_what_the_filter_leaves_out(lived: Team) -> None:
    for kind in ("grant", "charge", "expiry"):
        found = dollars(read(lived, billing.Wanted(kind=kind)))
        assert sorted(found) == sorted(row for row in BY_HAND if row[0] == kind)


def test_a_range_takes_its_first_moment_and_leaves_its_last(lived: Team) -> None:
    wanted = billing.Wanted(since=NOON + DAY, before=NOON + 3 * DAY)

    assert dollars(read(lived, wanted)) == [("grant", 2, 6), ("charge", -1, 4)]


def test_an_entry_of_another_team_leads_to_the_newest_page(lived: Team) -> None:
    other = make_team()
    give(other, 1)
    theirs = LedgerEntry.of(other).get().pk

    assert billing.ledger_page(lived, EVERYTHING, size=3, older_than=theirs).movements == read(
        lived, size=3
    )


def test_batches_are_all_of_it(lived: Team) -> None:
    assert [movement for batch in ledger_batches(lived, EVERYTHING) for movement in batch] == read(
        lived
    )


# --- The page


def test_the_page_shows_each_movement_and_what_was_left(alice: Client, lived: Team) -> None:
    words = text(alice.get(page("ledger", lived)))

    assert "Credits added Code SPRING25 3 Mar 2026, 12:00:00 $2.00 $6.00" in words
    assert "Request atlas Invoice of March 2026" in words
    assert "\N{MINUS SIGN}$3.00 on the invoice" in words
    assert "8 movements, newest first" in words
    assert "Days and times are in UTC." in words


def test_the_page_of_credits_leads_to_all_movements(alice: Client, lived: Team) -> None:
    assert f'href="{page("ledger", lived)}"' in alice.get(page("credits", lived)).content.decode()


def test_days_are_those_of_the_reader(alice: Client, lived: Team) -> None:
    give(lived, 9, label="Late", now=datetime(2026, 4, 10, 20, 0, tzinfo=UTC))
    days = {"kind": "grant", "from": "2026-04-11", "to": "2026-04-11"}
    assert "No movement found" in text(alice.get(page("ledger", lived), days))

    User.objects.update(timezone="Asia/Tokyo")

    words = text(alice.get(page("ledger", lived), days))
    assert "Late 11 Apr 2026, 05:00:00" in words
    assert "Days and times are in Asia/Tokyo, times in the file in UTC." in words


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"kind": "gifts"}, "Kind: There are no movements of this kind."),
        ({"from": "yesterday"}, "From: Write a day from 2000 to 2099 as in 2026-11-21."),
        ({"to": "9999-12-31"}, "To: Write a day from 2000 to 2099"),
        ({"from": "0001-01-01"}, "From: Write a day from 2000 to 2099"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "To: The last day is before the first."),
        ({"kind": "\x00"}, "Kind: There are no movements of this kind."),
    ],
)
def test_a_wrong_filter_is_explained_and_exports_nothing(
    alice: Client, lived: Team, query: dict[str, str], sentence: str
) -> None:
    assert sentence in text(alice.get(page("ledger", lived), query))

    exported = alice.get(page("ledger_csv", lived), query, follow=True)
    assert exported.request["PATH_INFO"] == page("ledger", lived)
    assert sentence in text(exported)


@pytest.mark.parametrize("beside", ["older=x", "newer=7", f"older={UUID(int=7)}"])
def test_an_address_that_was_mangled_shows_the_newest_page(
    alice: Client, lived: Team, beside: str
) -> None:
    assert "8 movements" in text(alice.get(f"{page('ledger', lived)}?{beside}"))


def test_a_team_without_credits_has_an_empty_ledger(alice: Client, team: Team) -> None:
    assert "No movements yet" in text(alice.get(page("ledger", team)))


def test_pages_keep_what_was_asked_for(alice: Client, team: Team) -> None:
    for number in range(51):
        give(team, 1, label=f"Grant {number:02}", now=NOON + number * DAY)
    first = alice.get(page("ledger", team), {"kind": "grant", "from": "2026-01-01"})
    oldest = first.context["movements"][-1].entry.pk

    older = first.context["pager"].older
    assert older == f"{page('ledger', team)}?kind=grant&from=2026-01-01&older={oldest}"
    second = alice.get(older)
    assert "1 movement, newest first" in text(second)
    assert "Grant 00" in text(second)
    assert (
        alice.get(second.context["pager"].newer).context["movements"]
        == (first.context["movements"])
    )


def test_the_page_asks_as_many_questions_of_many_movements_as_of_few(
    alice: Client, team: Team
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as queries:
            alice.get(page("ledger", team))
        return len(queries)

    give(team, 1)
    questions()
    few = questions()
    for _ in range(60):
        give(team, 1)

    assert questions() == few


# --- The file


def download(team: Team, user: User, **query: str) -> tuple[Any, list[dict[str, str]]]:
    async def ask() -> tuple[Any, bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        response: Any = await client.get(page("ledger_csv", team), query)
        return response, b"".join([part async for part in response.streaming_content])

    response, content = async_to_sync(ask)()
    return response, list(csv.DictReader(StringIO(content.decode())))


def test_the_file_has_what_the_page_shows_to_the_tick_and_in_utc(lived: Team) -> None:
    user = make_admin(lived)
    spend(lived, 1, now=NOON + 32 * DAY)

    response, rows = download(lived, user)

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="ledger-' in response.headers["Content-Disposition"]
    assert [row["id"] for row in rows] == [str(m.entry.pk) for m in read(lived)]
    assert rows[0]["amount_usd"] == "-0.0000000001"
    assert rows[0]["invoice_after_usd"] == "1.0000000001"
    assert rows[0]["paid_from"] == "Invoice of April 2026"
    assert rows[-1] == {
        "id": rows[-1]["id"],
        "time_utc": "2026-03-01T12:00:00.000000Z",
        "kind": "grant",
        "model": "",
        "request_id": "",
        "paid_from": "Welcome credits",
        "amount_usd": "5.0000000000",
        "credits_after_usd": "5.0000000000",
        "invoice_after_usd": "",
    }


@pytest.mark.django_db(transaction=True)
def test_whoever_reads_the_file_slowly_keeps_no_connection_from_others(lived: Team) -> None:
    user = make_admin(lived)

    async def begin() -> tuple[bytes, bool]:
        client = AsyncClient()
        await client.aforce_login(user)
        response: Any = await client.get(page("ledger_csv", lived))
        part = await anext(aiter(response.streaming_content))
        has_one = await sync_to_async(lambda: connection.connection is not None)()
        response.close()
        return part, has_one

    part, has_one = async_to_sync(begin)()
    assert part.startswith(b"id,time_utc")
    assert not has_one


def test_the_file_has_exactly_what_was_asked_for(lived: Team) -> None:
    _, rows = download(
        lived, make_admin(lived), kind="charge", **{"from": "2026-03-02", "to": "2026-03-04"}
    )

    assert [(row["kind"], row["amount_usd"]) for row in rows] == [
        ("charge", "-3.0000000000"),
        ("charge", "-1.0000000000"),
    ]


def test_no_cell_of_the_file_is_a_formula(lived: Team) -> None:
    for label in ("=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "fine, “really”"):
        give(lived, 1, label=label, now=NOON + 50 * DAY)

    _, rows = download(lived, make_admin(lived))

    labels = {row["paid_from"] for row in rows} | {row["model"] for row in rows}
    assert {"'=1+1", "'+1", "'-1", "'@sum", "'\t=1", "'\r=1", "'=cmd()", "fine, “really”"} <= labels
    assert not [label for label in labels if label.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_downloading_is_in_the_audit_log(lived: Team) -> None:
    download(lived, make_admin(lived, name="Alice"))

    event = AuditEvent.of(lived).get(operation="ExportLedgerEntries")
    assert (event.actor_label, event.description) == ("Alice", "Exported ledger entries")


def test_a_member_without_billing_reads_no_ledger(client: Client, lived: Team) -> None:
    client.force_login(make_member(lived, extra=[Permission.USAGE_READ]))

    for name in ("ledger", "ledger_csv"):
        assert client.get(page(name, lived)).status_code == 403


def test_grants_sum_up_to_the_balances_that_the_ledger_tells(lived: Team) -> None:
    left = sum(CreditGrant.of(lived).values_list("remaining_ticks", flat=True))

    assert left == next(m.balance_ticks for m in read(lived) if m.entry.grant)
