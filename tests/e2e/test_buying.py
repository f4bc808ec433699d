"""Buying in a browser: with a card, with the same card again, by bank transfer, and by itself."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.people import arrive


def test_a_card_is_entered_once_chosen_the_next_time_and_charged_by_a_rule_that_is_set(
    page: Page,
) -> None:
    arrive(page, "bea@example.com", "Bea Holm")
    billing = f"{page.url}billing/"
    page.goto(billing)
    page.get_by_role("button", name="Buy credits").first.click()
    dialog = page.get_by_role("dialog", name="Buy credits")
    expect(dialog).to_contain_text("Credits go to Bea Holm")
    expect(dialog.get_by_label("Pay with")).to_have_value("card")
    expect(dialog).to_contain_text("Nothing is charged before you confirm it on the next page.")
    expect(dialog.get_by_text("The transfer is awaited")).to_be_hidden()
    dialog.get_by_role("button", name="Go to checkout", exact=True).click()
    page.get_by_label("Card number", exact=True).fill("4242 4242 4242 4242")
    page.get_by_label("Expires").fill("12 / 40")
    page.get_by_label("Security code").fill("123")
    page.get_by_role("button", name="Pay $25.00").click()
    expect(page.locator(".toasts")).to_contain_text("Bea Holm has $25.00 more to spend.")

    page.get_by_role("button", name="Buy credits").first.click()
    dialog.get_by_label("Pay with").select_option(label="Visa ending 4242, expires 12 / 40")
    dialog.get_by_role("button", name="Go to checkout").click()
    expect(page.locator("main h2").first).to_have_text("Pay with a card on file")
    expect(page.get_by_role("radio", name="Visa ending 4242, expires 12 / 40")).to_be_checked()
    page.get_by_role("button", name="Pay $25.00 with it").click()
    expect(page.locator(".toasts")).to_contain_text("Bea Holm has $25.00 more to spend.")
    expect(page.get_by_role("region", name="Available to spend").locator(".amount")).to_have_text(
        "$50.00"
    )
    switch_top_up_on_and_off(page)


def test_a_bank_transfer_is_pending_until_staff_see_it_arrive(page: Page, staff: Page) -> None:
    arrive(page, "tea@example.com", "Tea Lind")
    billing = f"{page.url}billing/"
    references = [begin_transfer(page, billing) for _ in range(2)]
    expect(
        page.get_by_role("region", name="Pending bank transfers").get_by_role("row")
    ).to_have_count(3)

    page.get_by_role("row", name=references[0]).get_by_role("button", name="Instructions").click()
    page.get_by_role("button", name="Withdraw transfer").click()
    dialog = page.get_by_role("dialog", name="Withdraw the bank transfer")
    dialog.get_by_role("button", name="Withdraw transfer").click()
    expect(page.locator(".toasts")).to_contain_text(f"{references[0]} is withdrawn.")
    expect(page.get_by_role("row", name=references[0])).to_have_count(0)

    staff.goto(f"/admin/billing/purchase/?q={references[1]}")
    staff.locator("#result_list tbody th a").click()
    staff.get_by_role("link", name="Mark as arrived").click()
    expect(staff.locator("#content")).to_contain_text(f"$250.00 with the reference {references[1]}")
    staff.get_by_role("button", name="Mark as arrived").click()
    expect(staff.locator(".messagelist")).to_contain_text("The credits are added")

    page.reload()
    expect(page.get_by_role("heading", name="Pending bank transfers")).to_have_count(0)
    expect(page.get_by_role("region", name="Available to spend").locator(".amount")).to_have_text(
        "$250.00"
    )


def begin_transfer(page: Page, billing: str) -> str:
    """Announce a transfer of $250; return its reference."""
    page.goto(f"{billing}?dialog=buy")
    dialog = page.get_by_role("dialog", name="Buy credits")
    dialog.get_by_text("$250", exact=True).click()
    dialog.get_by_label("Pay with").select_option(label="Bank transfer")
    expect(dialog).to_contain_text("The transfer is awaited as soon as you begin it.")
    dialog.get_by_role("button", name="Begin bank transfer", exact=True).click()
    expect(page.get_by_role("heading", name="Pay by bank transfer")).to_be_visible()
    found = re.search(r"[2-9B-Z]{4}-[2-9B-Z]{4}", page.locator("main").inner_text())
    assert found
    page.get_by_role("button", name="Back to billing").click()
    return found[0]


def switch_top_up_on_and_off(page: Page) -> None:
    """Set a rule, after one that cannot be, and end it."""
    panel = page.get_by_role("region", name="Auto top-up")
    expect(panel).to_contain_text("Nothing is bought by itself.")
    panel.get_by_role("button", name="Switch on").click()
    dialog = page.get_by_role("dialog", name="Auto top-up")
    dialog.get_by_label("When prepaid credits fall below").fill("1")
    dialog.get_by_label("Buy, US dollars").fill("10")
    dialog.get_by_label("At most per calendar month").fill("100")
    dialog.get_by_role("button", name="Switch on").click()
    expect(dialog).to_contain_text("One top-up can be from $25.00 to $10,000.00.")
    dialog.get_by_label("Buy, US dollars").fill("25")
    dialog.get_by_role("button", name="Switch on").click()
    expect(page.locator(".toasts")).to_contain_text("Auto top-up is on.")
    expect(panel).to_contain_text("$0.00 of $100.00 this month")

    panel.get_by_role("button", name="Switch off").click()
    page.get_by_role("dialog", name="Switch auto top-up off").get_by_role(
        "button", name="Switch off"
    ).click()
    expect(page.locator(".toasts")).to_contain_text("Auto top-up is off.")
    expect(panel).to_contain_text("Nothing is bought by itself.")
