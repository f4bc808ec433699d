"""The tables of billing in the admin: looked up in dollars and words, and none edited."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from billing import services as billing
from billing.models import (
    BillingAccount,
    Charge,
    LedgerEntry,
    Payment,
    PaymentMethod,
    Purchase,
    Receivable,
    TopUpRule,
)
from tests.billing.everything import APRIL, make_everything
from tests.billing.pages import text
from tests.billing.spending import DECLINES, buy, keep_card
from tests.factories import make_admin, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

MODELS = [model for model in admin.site._registry if model._meta.app_label == "billing"]


def list_of(model: type[Any]) -> str:
    return reverse(f"admin:billing_{model._meta.model_name}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:billing_{row._meta.model_name}_change", args=[row.pk])


def first(model: type[Any]) -> Any:
    row = model._base_manager.first()
    assert row is not None, model
    return row


def facts(staff: Client, row: Any) -> dict[str, str]:
    """Read the page of a row: what is said of what."""
    found = re.findall(
        r"<label>([^<]*):</label>.*?<div class=\"readonly\">(.*?)</div>",
        staff.get(page_of(row)).text,
        flags=re.DOTALL,
    )
    return {name: re.sub(r"<br>|\s+", " ", _bare(value)).strip() for name, value in found}


def listed(staff: Client, model: type[Any], **query: str) -> list[list[str]]:
    """Read a list: the words of each cell."""
    html = staff.get(list_of(model), query).text
    rows = re.findall(r"<tr><th.*?</tr>", html, flags=re.DOTALL)
    cells = (re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows)
    return [[_bare(cell) for cell in row] for row in cells]


def _bare(html: str) -> str:
    return re.sub(r"<(?!br)[^>]+>", "", html).strip()


def test_every_table_can_be_looked_up_by_team_and_no_row_deleted(staff: Client) -> None:
    team = make_everything("Larkspur Labs")

    for model in MODELS:
        row, name = first(model), f"admin:billing_{model._meta.model_name}"
        found = staff.get(list_of(model), {"q": str(team.pk)})
        deleted = staff.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"})
        answers = (found.status_code, staff.get(page_of(row)).status_code, deleted.status_code)
        assert answers == (200, 200, 403), model
        if "team" in {field.name for field in model._meta.fields}:
            assert page_of(row) in found.text, model
            assert not listed(staff, model, q=str(make_admin(team).pk)), model


def test_no_list_or_page_shows_bare_numbers_code_or_times_without_their_zone(
    staff: Client,
) -> None:
    make_everything("Larkspur Labs")

    for model in MODELS:
        for page in (list_of(model), page_of(first(model))):
            shown = text(staff.get(page))
            assert not re.search(r"\b(cents|ticks)\b|[\[{]&quot;|\{&#x27;", shown), page
            times = re.findall(r"\d{1,2}:\d{2}(?! UTC)", shown)
            assert not times, (page, times)


def test_no_list_asks_more_of_the_database_the_more_rows_it_has(staff: Client) -> None:
    def queries() -> dict[str, int]:
        counts = {}
        for model in MODELS:
            with CaptureQueriesContext(connection) as asked:
                assert staff.get(list_of(model)).status_code == 200
            counts[model.__name__] = len(asked)
        return counts

    make_everything("Larkspur Labs")
    queries()  # What is asked once per process.
    few = queries()

    for name in ("Juniper", "Sorrel", "Tansy"):
        make_everything(name)

    assert queries() == few


def test_support_finds_the_card_that_was_declined_and_why(staff: Client, team: Team) -> None:
    buy(team, number=DECLINES)

    payment = Payment.of(team).get()
    [row] = listed(staff, Payment, q=str(team.pk))
    page = facts(staff, payment)

    assert row[1:] == [
        "Larkspur Labs", "Purchase", "$25.00", "Visa ending 0341", "Failed",
    ]  # fmt: skip
    assert page["Reason"] == (
        "The bank declined the card. Try another card, or ask the bank why. (card_declined)"
    )


def test_support_sees_the_last_digits_of_a_card_and_not_what_it_could_be_known_by(
    staff: Client, team: Team
) -> None:
    method = keep_card(team)
    PaymentMethod.of(team).update(fingerprint="f1n6erpr1nt")

    [row] = listed(staff, PaymentMethod, q="4242")

    assert row[0] == "Visa ending 4242"
    assert "f1n6erpr1nt" not in staff.get(page_of(method)).text


def test_support_sees_how_often_an_invoice_was_tried_and_since_when_nothing_is_invoiced(
    staff: Client,
) -> None:
    team = make_everything("Larkspur Labs")
    Receivable.of(team).update(tries=3, next_try_at=APRIL)
    BillingAccount.of(team).update(invoicing_blocked_at=APRIL)

    [row] = listed(staff, Receivable, q="Larkspur")
    blocked = listed(staff, BillingAccount, invoicing_blocked_at__isempty="0")

    assert row[:5] == ["M-000001", "Larkspur Labs", "$3.00", "3", "1 Apr 2026, 09:43 UTC"]
    assert [cells[0] for cells in blocked] == ["Larkspur Labs"]
    told = facts(staff, BillingAccount.of(team).get())
    assert told["Invoicing blocked at"] == "1 Apr 2026, 09:43 UTC"


def test_support_sees_when_credits_are_bought_by_themselves_and_what_stopped_it(
    staff: Client,
) -> None:
    team = make_everything("Larkspur Labs")
    [row] = listed(staff, TopUpRule)
    assert row[2:5] == ["$20.00", "$50.00", "$1,000.00"]

    TopUpRule.of(team).update(is_on=False, stopped_by="insufficient_funds")

    stopped = facts(staff, TopUpRule.of(team).get())["Switched off by itself"]
    assert stopped == "The card does not have enough funds. Try another card."


def test_a_purchase_reads_as_what_became_of_it(staff: Client, team: Team) -> None:
    refunded, declined = buy(team), buy(team, number=DECLINES)
    actor = Actor.for_user(make_user("Sam"))
    billing.refund(purchase=refunded, actor=actor, reason="Withdrawn", now=APRIL)
    withdrawn = billing.begin_transfer(
        team=team, actor=actor, amount_cents=50_000, idempotency_key="t", now=APRIL
    )
    billing.cancel_transfer(purchase=withdrawn, actor=actor, now=APRIL)

    rows = {cells[-1]: cells for cells in listed(staff, Purchase)}

    assert set(rows) == {"Refunded", "Refused", "Withdrawn"}
    assert rows["Withdrawn"][2:4] == ["$500.00", f"By bank transfer {withdrawn.transfer_reference}"]
    assert facts(staff, withdrawn)["Reason"] == "The team withdrew it."
    assert "(card_declined)" in facts(staff, declined)["Reason"]
    page = facts(staff, refunded)
    assert page["Refund"] == "Refund of $25.00, paid back"
    assert page["Can be paid back"].startswith("This purchase was refunded before")


def test_a_request_reads_as_what_it_used_at_which_price(staff: Client) -> None:
    team = make_everything("Larkspur Labs")

    charge = facts(staff, Charge.of(team).get())
    entry = LedgerEntry.of(team).get(kind=LedgerEntry.Kind.CHARGE)

    assert charge["Items"] == "Completion text tokens: 30,000,000,000 at $0.0001 a million"
    assert charge["Cost"] == "$3.00"
    assert str(entry) == "Request \N{MINUS SIGN}$3.00"
    [row] = listed(staff, LedgerEntry, kind="charge")
    assert row[-1] == "The invoice of March 2026"


def test_the_admins_own_log_does_not_keep_the_name_of_a_team(staff: Client, team: Team) -> None:
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=0, now=APRIL)
    account = BillingAccount.of(team).get()

    answer = staff.post(page_of(account), {"hard_limit_usd": "50", "least_tier": "0"}, follow=True)

    assert "Billing account of Larkspur Labs ” was changed." in text(answer)
    assert "Larkspur" not in LogEntry.objects.get().object_repr
