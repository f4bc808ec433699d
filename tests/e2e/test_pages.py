"""The pages of a team that has lived for 90 days, as they are met: wide, narrow, without script."""

import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import enter, make_key, pay, sign_in
from tests.servers import Console

WIDTHS = {"desktop": 1440, "phone": 360}
DECLINED = "4000 0000 0000 0002"
ASKS_FIRST = "4000 0027 6000 3184"


@pytest.fixture(scope="module")
def signed_in(browser: Browser, server: Console, world: dict[str, Any]) -> Any:
    """Sign the admin in once, and keep the cookies."""
    context = browser.new_context(base_url=server.base_url)
    enter(context.new_page(), **world["admin"])
    cookies = context.storage_state()
    context.close()
    return cookies


@pytest.fixture
def context(browser: Browser, server: Console, signed_in: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=server.base_url, storage_state=signed_in)
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, problems: list[str]) -> Iterator[Page]:
    """Open a window in which the admin is signed in."""
    page = context.new_page()
    page.set_viewport_size({"width": WIDTHS["desktop"], "height": 900})
    watch(page, problems)
    yield page
    assert problems == []


@pytest.fixture
def home(world: dict[str, Any]) -> str:
    return f"/team/{world['team_id']}/"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_every_page_fits_the_window_and_complains_of_nothing(
    page: Page, home: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(home)
    links = page.locator("nav.side a[href]").evaluate_all("all => all.map(a => a.pathname)")
    # What no link of the sidebar leads to, and every dialog that an address opens.
    more = ["billing/invoices/", "billing/?dialog=buy", "api-keys/?dialog=create"]
    addresses = [*dict.fromkeys(links), *(home + rest for rest in more), "/account/teams/new/"]
    assert len(addresses) >= 9

    for address in addresses:
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert_fits(page)
    page.goto(f"{home}audit/")
    page.get_by_role("region", name="Events").get_by_role("link").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_fits(page)


def assert_fits(page: Page) -> None:
    expect(page.locator("[data-figure]:not(.js-plotly-plot)")).to_have_count(0)
    scroll, client = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert scroll <= client, page.url


def test_without_script_one_signs_in_makes_a_key_reads_usage_and_signs_out(
    browser: Browser, server: Console, world: dict[str, Any], home: str
) -> None:
    context = browser.new_context(base_url=server.base_url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, **world["admin"])

    page.locator("main").get_by_role("button", name="Create API key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("without-script")
    page.get_by_role("button", name="Create key").click()
    expect(page.locator(".secret code")).to_have_text(re.compile(r"^ck-[0-9A-Za-z]{80}$"))

    page.goto(f"{home}usage/?range=7d")
    table = page.get_by_role("region", name="Usage by day")
    expect(table.locator("tfoot td").nth(-2)).to_have_text(re.compile(r"^\$\d+\.\d\d$"))

    page.locator("[popovertarget=account]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    page.goto(home)
    expect(page).to_have_url(re.compile("/accounts/login/"))
    context.close()


def test_the_theme_is_kept_with_the_account(page: Page, home: str) -> None:
    page.goto(home)
    page.locator("[popovertarget=account]").click()
    with page.expect_response("**/account/theme/"):
        page.get_by_text("Dark", exact=True).click()

    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("[popovertarget=account]").click()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    with page.expect_response("**/account/theme/"):
        page.get_by_text("System", exact=True).click()


def test_back_shows_whole_pages_after_parts_were_exchanged(page: Page, home: str) -> None:
    page.goto(f"{home}usage/?range=30d")
    page.locator("[popovertarget=days]").click()
    with page.expect_response(re.compile(r"/usage/\?range=7d&")):
        page.get_by_role("link", name="7 days").click()
    expect(page).to_have_url(re.compile("range=7d"))
    expect(page.locator("tfoot th")).to_have_text("7 days")
    page.get_by_role("navigation", name="Team").get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit log")

    for days in ("7 days", "30 days"):
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("Usage")
        expect(page.get_by_role("navigation", name="Team")).to_be_visible()
        expect(page.locator("tfoot th")).to_have_text(days)


def test_a_declined_card_says_why_and_another_one_is_confirmed_with_the_bank(
    page: Page, home: str
) -> None:
    page.goto(f"{home}billing/?dialog=buy")
    page.get_by_role("button", name="Go to checkout").click()
    pay(page, "$25.00", DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("The bank declined the card.")

    pay(page, "$25.00", ASKS_FIRST)
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve the payment")
    page.get_by_role("button", name="Decline payment").click()
    expect(page.get_by_role("alert")).to_contain_text("was not approved")

    pay(page, "$25.00", ASKS_FIRST)
    page.get_by_role("button", name="Approve payment").click()
    expect(page.locator(".toasts")).to_contain_text("Larkspur Labs has $25.00 more to spend")
    page.get_by_role("link", name="Invoices").click()
    page.get_by_role("link", name=re.compile(r"^R-\d+$")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Receipt")
    expect(page.locator("main")).to_contain_text("Visa ending 3184")


def test_a_key_works_until_it_is_disabled_again_when_enabled_and_not_once_deleted(
    page: Page, home: str, server: Console
) -> None:
    secret = make_key(page, f"{home}api-keys/", "night-shift")
    row = page.get_by_role("row", name="night-shift")
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=secret, max_retries=0) as client:
        assert client.models.list().data

        choose(page, "Disable")
        expect(row).to_contain_text("Disabled")
        with pytest.raises(openai.PermissionDeniedError) as refused:
            client.models.list()
        assert refused.value.response.json()["reason"] == "key_disabled"

        choose(page, "Enable")
        expect(row).to_contain_text("Active")
        assert client.models.list().data

        choose(page, "Delete")
        dialog = page.get_by_role("dialog", name="Delete night-shift")
        dialog.get_by_label("Type night-shift to confirm").fill("night")
        dialog.get_by_role("button", name="Delete key").click()
        expect(dialog).to_contain_text("“night” is not the key's name.")
        assert client.models.list().data
        dialog.get_by_label("Type night-shift to confirm").fill("night-shift")
        dialog.get_by_role("button", name="Delete key").click()
        expect(page.locator(".toasts")).to_contain_text("night-shift is deleted")
        expect(row).to_have_count(0)
        with pytest.raises(openai.BadRequestError) as unknown:
            client.models.list()
        assert unknown.value.response.json()["reason"] == "key_unknown"


def choose(page: Page, action: str) -> None:
    """Open the menu in the key's row, and take an action from it."""
    page.get_by_role("button", name="Actions for night-shift").click()
    page.locator("menu:popover-open").get_by_text(action, exact=True).click()
