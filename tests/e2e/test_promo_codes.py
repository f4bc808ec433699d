"""A promo code from the admin to the ledger: made by staff, redeemed, refused, and downloaded."""

import csv

from playwright.sync_api import Page, expect

from tests.e2e.people import arrive


def test_a_code_that_staff_make_is_redeemed_once_and_is_in_the_ledger(
    page: Page, staff: Page
) -> None:
    staff.goto("/admin/billing/promocode/add/")
    staff.get_by_label("Code").fill("meadow 12")
    staff.get_by_label("Amount, US dollars").fill("12.34")
    staff.get_by_label("Days until the credits expire").fill("30")
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.locator(".messagelist")).to_contain_text("MEADOW12")

    arrive(page, "pia@example.com", "Pia Lund")
    page.goto(f"{page.url}billing/")
    dialog = page.get_by_role("dialog", name="Redeem a promo code")
    page.get_by_role("button", name="Redeem code").click()
    expect(dialog.get_by_label("Code")).to_be_focused()
    page.keyboard.type("meadow 13")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("There is no such code.")
    expect(dialog.get_by_label("Code")).to_be_focused()
    dialog.get_by_label("Code").fill("Meadow 12")
    page.keyboard.press("Enter")
    expect(page.locator(".toasts")).to_contain_text("Pia Lund has $12.34 more to spend.")
    expect(page.get_by_role("region", name="Available to spend").locator(".amount")).to_have_text(
        "$12.34"
    )

    page.get_by_role("button", name="Redeem code").click()
    dialog.get_by_label("Code").fill("MEADOW12")
    dialog.get_by_role("button", name="Redeem code").click()
    expect(dialog).to_contain_text("Pia Lund has already used MEADOW12.")
    dialog.get_by_role("button", name="Cancel").click()

    page.get_by_text("Latest movements").click()
    page.get_by_role("link", name="All movements").click()
    row = page.locator("#movements tbody tr")
    expect(row).to_contain_text("Code MEADOW12")
    page.get_by_label("Kind").select_option("Request")
    expect(page.locator("#movements")).to_contain_text("No movement found")
    assert page.url.endswith("?kind=charge&from=&to=")
    page.get_by_label("Kind").select_option("Credits added")
    expect(row).to_contain_text("$12.34")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    with download.value.path().open(newline="") as file:
        [entry] = csv.DictReader(file)
    assert (entry["paid_from"], entry["credits_after_usd"]) == ("Code MEADOW12", "12.3400000000")
