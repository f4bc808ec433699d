"""A refund in a browser: made by staff, once, and only of what is left; the team sees all of it."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.people import arrive, pay
from tests.servers import Console

# What the gateway does is asked of the services here; all that people do is done in the browser.
USE_UP = """
from django.utils import timezone
from uuid_utils.compat import uuid7
from accounts.models import Team
from billing import services as billing
now = timezone.now()
team = Team.objects.get(memberships__user__email={email!r})
cost = 25 * billing.TICKS_PER_USD
hold = billing.HoldRequest(uuid7(), team.pk, cost, 0, 1)
billing.reserve([hold], now=now, until=now)
lines = [billing.Line(billing.BillingItem.COMPLETION, cost, 1)]
billing.settle([billing.Settlement(hold.request_id, team.pk, "atlas", lines)], now=now)
"""


def test_staff_refund_a_purchase_once_and_the_team_gets_its_credit_note(
    page: Page, staff: Page
) -> None:
    billing = buy(page, "rhea@example.com", "Rhea Lund")
    open_purchase(staff, billing)
    expect(staff.locator(".field-refundable")).to_contain_text("$25.00")

    staff.get_by_role("link", name="Refund", exact=True).click()
    expect(staff.locator("#content")).to_contain_text(
        "The team Rhea Lund bought $25.00 of credits with Visa ending 4242."
    )
    staff.get_by_label("Reason").fill("Withdrawn within 14 days")
    stale = staff.url
    staff.get_by_role("button", name="Refund $25.00").click()
    expect(staff.locator(".messagelist")).to_contain_text("The team has a credit note.")

    staff.goto(stale)  # As from a tab that was left open.
    expect(staff.locator(".messagelist")).to_contain_text("refunded before, which is possible once")
    expect(staff.locator(".field-standing")).to_contain_text("Refunded")
    expect(staff.get_by_role("link", name="Refund", exact=True)).to_have_count(0)

    page.goto(billing)
    expect(page.get_by_role("region", name="Available to spend").locator(".amount")).to_have_text(
        "$0.00"
    )
    page.goto(f"{billing}invoices/")
    note = page.get_by_role("row", name="C-")
    expect(note).to_contain_text("\N{MINUS SIGN}$25.00")
    expect(note).to_contain_text("Credited")
    with page.expect_download() as file:
        note.get_by_role("link", name="as PDF").click()
    assert file.value.suggested_filename.startswith("C-")
    with staff.expect_download() as looked_at:
        open_document(staff, file.value.suggested_filename.removesuffix(".pdf"), billing)
    same = Path(looked_at.value.path()).read_bytes() == Path(file.value.path()).read_bytes()
    assert same


def test_a_purchase_whose_credits_are_spent_is_not_refunded(
    page: Page, staff: Page, server: Console
) -> None:
    billing = buy(page, "sven@example.com", "Sven Dahl")
    open_purchase(staff, billing)
    staff.get_by_role("link", name="Refund", exact=True).click()
    staff.get_by_label("Reason").fill("Withdrawn within 14 days")

    # While staff write the reason, the team goes on working.
    server.manage("shell", "-c", USE_UP.format(email="sven@example.com"))
    staff.get_by_role("button", name="Refund $25.00").click()

    told = "Nothing of this purchase can be paid back: its credits are used up"
    expect(staff.locator(".messagelist")).to_contain_text(told)
    expect(staff.locator(".field-refundable")).to_contain_text(told)
    expect(staff.get_by_role("link", name="Refund", exact=True)).to_have_count(0)
    page.goto(f"{billing}invoices/")
    expect(page.get_by_role("row", name="R-")).to_have_count(1)
    expect(page.get_by_role("row", name="C-")).to_have_count(0)


def buy(page: Page, email: str, name: str) -> str:
    """Sign up and buy credits for $25; return the address of the billing page."""
    arrive(page, email, name)
    billing = f"{page.url}billing/"
    page.goto(f"{billing}?dialog=buy")
    page.get_by_role("button", name="Go to checkout").click()
    pay(page, "$25.00")
    expect(page.locator(".toasts")).to_contain_text(f"{name} has $25.00 more to spend.")
    return billing


def open_purchase(staff: Page, billing: str) -> None:
    """Find the one purchase of a team, by the id in the address that the customer sends."""
    staff.goto(f"/admin/billing/purchase/?q={team_of(billing)}")
    row = staff.locator("#result_list tbody tr")
    expect(row).to_contain_text("Paid")
    row.locator("th a").click()


def open_document(staff: Page, reference: str, billing: str) -> None:
    """Download a document of a team in the admin."""
    staff.goto(f"/admin/billing/invoice/?q={team_of(billing)}")
    staff.locator("#result_list").get_by_role("link", name=reference).click()
    staff.get_by_role("link", name="Download PDF").click()


def team_of(billing: str) -> str:
    return billing.removesuffix("/billing/").rpartition("/")[2]
