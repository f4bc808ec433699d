"""The spending limit in a browser: refused, set, told about, and out of use while one owes."""

from playwright.sync_api import Page, expect

from tests.e2e.people import arrive
from tests.e2e.test_payment_methods import enter
from tests.servers import Console

EMAIL = "lena@example.com"
# Dunning takes a week, and has tests of its own; here it is over.
OVERDUE = f"""
from django.utils import timezone
from billing.models import BillingAccount
BillingAccount.across_teams.filter(team__memberships__user__email={EMAIL!r}).update(
    invoicing_blocked_at=timezone.now())
"""


def test_a_limit_needs_a_card_is_set_within_its_bounds_and_says_when_it_is_out_of_use(
    page: Page, server: Console
) -> None:
    arrive(page, EMAIL, "Lena Ochs")
    page.get_by_role("link", name="Billing", exact=True).click()
    home = page.url
    dialog = page.get_by_role("dialog", name="Spending limit")

    page.get_by_role("button", name="Change limit").click()
    dialog.get_by_role("textbox").fill("$1,000")
    dialog.get_by_role("button", name="Save limit").click()
    expect(dialog).to_contain_text("Add a payment method first, under Billing details.")
    expect(dialog.get_by_role("textbox")).to_have_value("$1,000")
    dialog.get_by_role("link", name="add one first").click()
    page.get_by_role("button", name="Add payment method").click()
    enter(page, "4242 4242 4242 4242")
    page.get_by_role("button", name="Add card").click()
    expect(page.locator(".toasts")).to_contain_text("ending 4242 is on file")

    page.goto(home)
    page.get_by_role("button", name="Change limit").click()
    expect(dialog).to_contain_text("is charged to Visa ending 4242 when the month is over")
    dialog.get_by_role("textbox").fill("2000.01")
    dialog.get_by_role("button", name="Save limit").click()
    expect(dialog).to_contain_text("$2,000.01 is more than $2,000.00")
    dialog.get_by_role("textbox").fill("$1,000")
    dialog.get_by_role("button", name="Save limit").click()
    expect(page.get_by_role("region", name="Spending limit")).to_contain_text("of $1,000.00")

    page.get_by_role("button", name="Change alerts").click()
    alerts = page.get_by_role("dialog", name="Alerts")
    alerts.get_by_role("textbox").fill("50, 101")
    alerts.get_by_role("button", name="Save alerts").click()
    expect(alerts).to_contain_text("101")
    alerts.get_by_role("textbox").fill("90")
    alerts.get_by_role("button", name="Save alerts").click()
    expect(page.locator("main")).to_contain_text("Mail comes at 90% of the limit")

    server.manage("shell", "-c", OVERDUE)
    page.reload()
    expect(page.locator("main")).to_contain_text("until it is paid or credits are bought")
    page.get_by_role("link", name="Pay the invoice").click()
    expect(page).to_have_url(f"{home}invoices/")
