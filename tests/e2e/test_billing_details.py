"""Billing details in a browser: mistyped, corrected, changed by two, and printed on a receipt."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import PASSWORD, arrive, enter, pay
from tests.servers import Console

EMAIL = "irma@example.com"


@pytest.fixture
def plain(browser: Browser, server: Console, problems: list[str]) -> Iterator[Page]:
    """Open a second window, in which script is off."""
    with browser.new_context(base_url=server.base_url, java_script_enabled=False) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        watch(page, problems)
        yield page


def test_details_are_corrected_before_they_are_saved_and_printed_on_the_next_receipt(
    page: Page, plain: Page
) -> None:
    arrive(page, EMAIL, "Irma Okafor")
    address = f"{page.url}billing/details/"
    page.goto(address)
    page.get_by_role("button", name="Add billing details").click()
    dialog = page.get_by_role("dialog", name="Billing details")
    expect(dialog).to_contain_text("Invoices that are issued already stay as they are")
    dialog.get_by_label("Address", exact=True).fill("Torstraße 1")
    dialog.get_by_label("Postal code").fill("10119")
    dialog.get_by_label("City").fill("Berlin")
    dialog.get_by_label("Country").select_option("Germany")
    dialog.get_by_label("Kind of tax number").select_option("European Union: VAT number")
    dialog.get_by_label("Tax number", exact=True).fill("DE123456789")

    dialog.get_by_role("button", name="Save details").click()

    expect(dialog.get_by_label("Tax number", exact=True)).to_be_focused()
    expect(dialog).to_contain_text("a character is mistyped")
    dialog.get_by_label("Tax number", exact=True).fill("136 695 976")
    dialog.get_by_role("button", name="Save details").click()
    expect(page.locator(".toasts")).to_contain_text("Billing details saved.")
    expect(page.locator("main")).to_contain_text("VAT number (European Union): DE136695976")

    # Two change them at once; the second, whose browser runs no script, is told so.
    enter(plain, EMAIL, PASSWORD)
    plain.goto(f"{address}?dialog=edit")
    page.get_by_role("button", name="Change details").click()
    dialog.get_by_label("Address", exact=True).fill("Hafenweg 9")
    dialog.get_by_role("button", name="Save details").click()
    expect(page.locator("main")).to_contain_text("Hafenweg 9")
    plain.get_by_label("City").fill("Potsdam")
    plain.get_by_role("button", name="Save details").click()
    late = plain.get_by_role("dialog", name="Billing details")
    expect(late).to_contain_text("were changed since you opened this form")
    expect(late).to_contain_text("Hafenweg 9")
    plain.get_by_role("button", name="Save details").click()
    expect(plain.locator("main")).to_contain_text("10119 Potsdam")

    buy(page, address.replace("details/", "?dialog=buy"))
    page.goto(address.replace("details/", "invoices/"))
    page.get_by_role("link", name=re.compile(r"^R-\d+$")).click()
    expect(page.get_by_role("region", name="Billed to")).to_contain_text("DE136695976")
    expect(page.get_by_role("region", name="Billed to")).to_contain_text("10119 Potsdam")


def buy(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Go to checkout").click()
    expect(page.locator("main")).to_contain_text("Receipt to")
    expect(page.locator("main")).to_contain_text("10119 Potsdam")
    pay(page, "$25.00")
    expect(page.locator(".toasts")).to_contain_text("$25.00 more to spend")
