"""An invoice in a browser: foreseen, issued, downloaded, refused, paid."""

import csv
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.people import arrive
from tests.servers import Console

EMAIL = "ivo@example.com"
# Whoever waits for a month to pass waits long. What the gateway and the job at the month's end do
# is asked of the services here; all that people do is done in the browser.
USE = """
from django.utils import timezone
from uuid_utils.compat import uuid7
from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
now = timezone.now()
team = Team.objects.get(memberships__user__email={email!r})
billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10**12, now=now)
hold = billing.HoldRequest(uuid7(), team.pk, 10**12, 0, 1)
billing.reserve([hold], now=now, until=now)
lines = [billing.Line(billing.BillingItem.COMPLETION, 1_234_000, 100_000)]
billing.settle([billing.Settlement(hold.request_id, team.pk, "atlas", lines)], now=now)
"""
CLOSE = USE[: USE.index("billing.set")] + "billing.close_now(team=team, actor=SYSTEM, now=now)\n"


def test_a_month_is_previewed_invoiced_downloaded_and_paid(page: Page, server: Console) -> None:
    arrive(page, EMAIL, "Ivo Brandt")
    home = f"{page.url}billing/invoices/"
    page.goto(home)
    page.get_by_role("button", name="Preview this month").click()
    expect(page.locator("main")).to_contain_text("Nothing used this month")
    server.manage("shell", "-c", USE.format(email=EMAIL))
    page.reload()
    expect(page.get_by_role("row", name="Total (USD)")).to_contain_text("$12.34")

    server.manage("shell", "-c", CLOSE.format(email=EMAIL))
    page.get_by_role("link", name="Invoices").first.click()
    expect(page.locator("main")).to_contain_text("$12.34 is still to be paid.")
    with page.expect_download() as file:
        page.get_by_role("link", name="as PDF").click()
    assert file.value.suggested_filename.startswith("M-")
    assert Path(file.value.path()).read_bytes().startswith(b"%PDF-")
    page.get_by_role("link", name="M-", exact=False).first.click()
    with page.expect_download() as file:
        page.get_by_role("button", name="CSV").click()
    with Path(file.value.path()).open(encoding="utf-8", newline="") as lines:
        assert [row["amount_usd"] for row in csv.DictReader(lines)] == ["12.34"]

    page.get_by_role("button", name="Pay now").click()
    pay(page, "4000 0000 0000 0341")
    expect(page.locator("main")).to_contain_text("declined")
    pay(page, "4242 4242 4242 4242")
    page.goto(home)
    paid = page.get_by_role("row", name="M-")
    expect(paid).to_contain_text("Visa ending 4242")
    expect(paid).to_contain_text("Paid")
    expect(page.locator("main")).not_to_contain_text("still to be paid")


def pay(page: Page, number: str) -> None:
    page.get_by_label("Card number", exact=True).fill(number)
    page.get_by_label("Expires").fill("12 / 30")
    page.get_by_label("Security code").fill("123")
    with page.expect_navigation():
        page.get_by_role("button", name="Pay $12.34", exact=True).click()
