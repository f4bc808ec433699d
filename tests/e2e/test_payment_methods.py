"""Cards on file, in a real browser: with the sandbox, and with Stripe's own fields."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import arrive
from tests.servers import Console, free_port, until
from tests.stripe_server import KEY, PUBLISHABLE_KEY, StripeServer

WEBHOOK_SECRET = "whsec_of_the_browser_tests"


def enter(page: Page, number: str) -> None:
    page.get_by_label("Card number", exact=True).fill(number)
    page.get_by_label("Expires", exact=True).fill("12/30")
    page.get_by_label("Security code", exact=True).fill("123")


def test_a_card_is_added_made_the_default_and_removed(page: Page) -> None:
    arrive(page, "cards@example.test", "Cara Cards")
    page.get_by_role("link", name="Billing", exact=True).click()
    page.get_by_role("link", name="Billing details", exact=True).click()
    page.get_by_role("button", name="Add payment method").click()

    enter(page, "4000 0035 6000 0008")
    page.get_by_role("button", name="Add card").click()
    expect(page.locator("main")).to_contain_text("issued in India")
    for number in ("4242 4242 4242 4242", "5555 5555 5555 4444"):
        enter(page, number)
        page.get_by_role("button", name="Add card").click()
        expect(page.locator(".toasts")).to_contain_text(f"ending {number[-4:]} is on file")
        if number.startswith("4242"):
            row = page.get_by_role("row", name="Visa ending 4242")
            expect(row).to_contain_text("Default")
            expect(row.get_by_role("button")).to_have_count(0)  # The last one is not removed.
            page.get_by_role("button", name="Add payment method").click()

    page.get_by_role("button", name="Actions for Mastercard ending 4444").click()
    page.get_by_role("button", name="Make it the default").click()
    expect(page.get_by_role("row", name="Mastercard ending 4444")).to_contain_text("Default")
    page.get_by_role("button", name="Actions for Mastercard ending 4444").click()
    page.get_by_role("link", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove Mastercard ending 4444")
    expect(dialog).to_contain_text("Visa ending 4242, expires 12 / 30, becomes the default")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("row", name="Visa ending 4242")).to_contain_text("Default")


def fill_stripes_fields(page: Page, number: str) -> None:
    card = {"number": number, "exp_month": "12", "exp_year": "30", "cvc": "123", "postal_code": "1"}
    for name, value in card.items():
        page.locator(f"input[placeholder={name}]").fill(value)


def test_cards_are_entered_at_stripes_fields_and_the_bank_asks_in_its_own_window(
    browser: Browser, make_console: Callable[..., Console]
) -> None:
    problems: list[str] = []
    with StripeServer(free_port()) as stripe:
        console = make_console(
            PAYMENTS="stripe",
            STRIPE_SECRET_KEY=KEY,
            STRIPE_PUBLISHABLE_KEY=PUBLISHABLE_KEY,
            STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
            STRIPE_API_URL=stripe.url,
            STRIPE_JS_URL=stripe.js_url,
        )
        until(stripe.is_up, "localstripe")
        with console:
            stripe.tell(f"{console.base_url}/api/payments/stripe", WEBHOOK_SECRET)
            context = browser.new_context(base_url=console.base_url)
            context.set_default_timeout(30_000)
            page = context.new_page()
            watch(page, problems)
            posted = _posted_to(page, console)
            _buy_with_questions(page)
            until(
                lambda: console.database.query(
                    "SELECT id FROM billing_processorevent WHERE handled_at IS NOT NULL"
                    " AND kind = 'payment_intent.succeeded'"
                ),
                "the webhook that tells of the payment",
            )
            context.close()
        assert [payment["amount"] for payment in stripe.succeeded()] == [2500]
    granted = console.database.query("SELECT amount_ticks FROM billing_creditgrant")
    assert granted == [(2500 * 100_000_000,)]
    assert any("setup=seti_" in body for body in posted)
    assert not any("3184" in body or "0002" in body for body in posted)
    assert problems == []


def _posted_to(page: Page, console: Console) -> list[str]:
    """Note what the browser sends to us."""
    posted: list[str] = []

    def note(request: Any) -> None:
        if request.method == "POST" and request.url.startswith(console.base_url):
            posted.append(request.post_data or "")

    page.on("request", note)
    return posted


def _buy_with_questions(page: Page) -> None:
    arrive(page, "stripe@example.test", "Strip Erskine")
    page.get_by_role("link", name="Billing", exact=True).click()
    page.get_by_role("button", name="Buy credits").first.click()
    page.get_by_role("button", name="Go to checkout").click()

    fill_stripes_fields(page, "4000000000000002")
    page.get_by_role("button", name="Pay $25.00").click()
    expect(page.locator("[data-stripe-trouble]")).to_be_visible()

    fill_stripes_fields(page, "4000002760003184")
    page.get_by_role("button", name="Pay $25.00").click()
    page.get_by_text("Complete authentication").click()  # The card is set up.
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve the payment")
    page.get_by_role("button", name="Go to the bank").click()
    page.get_by_text("Complete authentication").click()  # The payment is made.
    expect(page.locator(".toasts")).to_contain_text("$25.00 more to spend")
    page.get_by_role("link", name="Billing details", exact=True).click()
    expect(page.get_by_role("row", name="Visa ending 3184")).to_contain_text("Default")
