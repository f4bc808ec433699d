"""The usage explorer in a browser: choose, drill, go back, isolate, and filter among thousands."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import sign_in
from tests.servers import Console

# A team of the admin's own, so that nobody else's numbers change: 14 models, 2,000 addresses.
MAKE_TEAM = """
from datetime import timedelta
from uuid import UUID
from django.utils import timezone
from uuid_utils.compat import uuid7
from accounts.models import Membership, Team, User
from usage import services as usage
now = timezone.now()
team = Team.objects.create(name="Thousands", created_at=now)
user = User.objects.get(email="{email}")
Membership.objects.create(team=team, user=user, role="admin", joined_at=now)
usage.record([
    usage.RequestRecord(
        request_id=uuid7(), team_id=team.pk, key_id=UUID(int=1), model=f"many-{{n % 14:02}}",
        cluster="fra-1", ip=f"10.7.{{n // 250}}.{{n % 250}}", at=now - timedelta(days=n % 5),
        status=200, streamed=False, first_token_ms=None, latency_ms=5,
        cost_ticks=(n % 14 + 1) * 10**8, items=[("prompt_text", 100, (n % 14 + 1) * 10**8)],
    )
    for n in range(2_000)
])
print("team", team.pk)
"""


@pytest.fixture(scope="module")
def address(server: Console, world: dict[str, Any]) -> str:
    made = server.manage("shell", "-c", MAKE_TEAM.format(email=world["admin"]["email"]))
    team_id = made.split("team ")[-1].strip()
    return f"/team/{team_id}/usage/"


@pytest.fixture(scope="module")
def context(browser: Browser, server: Console, world: dict[str, Any]) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=server.base_url)
    context.set_default_timeout(30_000)
    page = context.new_page()
    sign_in(page, **world["admin"])
    expect(page).to_have_url(re.compile("/team/"))
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, problems: list[str]) -> Iterator[Page]:
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    watch(page, problems)
    yield page
    page.close()
    assert problems == []


def bars(page: Page) -> Locator:
    return page.locator("[data-figure] .bars .point path")


def test_controls_change_the_view_and_its_address_and_back_brings_the_last_one(
    page: Page, address: str
) -> None:
    page.goto(f"{address}?range=7d")
    expect(bars(page)).not_to_have_count(0)
    heading = page.get_by_role("heading", level=1).element_handle()

    page.get_by_label("Dimension").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("figcaption strong")).to_have_text("Tokens per day")
    expect(page).to_have_url(re.compile(r"\?range=7d&tz=[^&]+&dimension=tokens$"))
    # It is still where it was, for whoever uses the keyboard.
    expect(page.get_by_label("Dimension")).to_be_focused()
    page.get_by_label("Group by").select_option("Model")
    expect(page).to_have_url(re.compile(r"\?range=7d&tz=[^&]+&dimension=tokens&group=model$"))
    expect(page.locator("tfoot th")).to_have_text("14 models")
    page.get_by_role("link", name="By day").click()
    expect(page.locator("tfoot th")).to_have_text("7 days")
    expect(page.get_by_role("link", name="By day")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="Tokens per day")).to_be_attached()
    # Only a part of the page was replaced.
    assert heading is not None
    assert heading.evaluate("element => element.isConnected")

    page.go_back()
    expect(page.locator("tfoot th")).to_have_text("14 models")
    page.go_back()
    expect(page).to_have_url(re.compile("dimension=tokens$"))
    expect(page.locator("tfoot th")).to_have_text("7 days")
    page.go_back()
    expect(page.locator("figcaption strong")).to_have_text("Cost per day")
    expect(page.get_by_label("Dimension")).to_have_value("cost")


def test_a_click_on_a_bar_leads_to_its_hours_once(page: Page, address: str) -> None:
    page.goto(f"{address}?range=7d&group=model")
    expect(bars(page)).not_to_have_count(0)
    # Each draws the chart again.
    for group in ("many-12", "many-12"):
        page.get_by_role("button", name=group, exact=True).click()
    expect(page.locator("[data-figure] .bars")).to_have_count(13)
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if "from=" in request.url else None
    )
    box = page.locator("[data-figure] .nsewdrag").first.bounding_box()
    assert box

    # The fifth of seven days.
    page.mouse.click(box["x"] + box["width"] * 4.5 / 7, box["y"] + box["height"] * 0.9)

    expect(page.locator("figcaption strong")).to_have_text("Cost per hour")
    expect(page).to_have_url(re.compile(r"\?from=(\d{4}-\d\d-\d\d)&to=\1&tz=[^&]+&group=model$"))
    expect(page.get_by_label("Granularity")).to_have_value("hour")
    assert len(asked) == 1
    page.go_back()
    expect(page.locator("figcaption strong")).to_have_text("Cost per day")


def test_a_click_in_the_legend_shows_one_group_alone(page: Page, address: str) -> None:
    page.goto(f"{address}?range=7d&group=model")
    expect(page.locator("[data-isolate]")).to_have_count(13)
    expect(page.locator("[data-figure] .bars")).to_have_count(13)
    group = page.get_by_role("button", name="many-12", exact=True)

    group.click()

    expect(group).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-figure] .bars")).to_have_count(1)
    group.click()
    expect(page.locator("[data-figure] .bars")).to_have_count(13)


def test_a_filter_is_found_among_thousands_chosen_and_taken_away(page: Page, address: str) -> None:
    page.goto(f"{address}?range=7d")
    page.get_by_role("button", name="Filters").click()
    page.locator("summary", has_text="Request IP").click()
    expect(page.get_by_text("There are more. Type to find them.")).to_be_visible()

    page.get_by_label("Search Request IP").press_sequentially("10.7.3.24")
    expect(page.locator("#values-ip label")).to_have_count(11)
    page.get_by_label("10.7.3.249").check()
    # What is chosen stays, whatever is searched for next.
    page.get_by_label("Search Request IP").fill("10.7.5.111")
    expect(page.locator("#values-ip label")).to_have_count(2)
    page.get_by_label("10.7.5.111").check()
    page.get_by_role("button", name="Apply filters").click()

    expect(page.locator(".chip")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"\?range=7d&tz=[^&]+&ip=10\.7\.3\.249&ip=10\.7\.5\.111$"))
    requests = page.locator("tfoot td").first
    expect(requests).to_have_text("2")
    page.get_by_role("link", name="Without: Request IP is 10.7.3.249").press("Enter")
    expect(requests).to_have_text("1")
    expect(page.get_by_role("link", name="Without: Request IP is 10.7.5.111")).to_be_focused()
    page.locator("[popovertarget=days]").click()
    page.get_by_role("button", name="Show range").press("Enter")
    expect(page.locator("[popovertarget=days]")).to_be_focused()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Request IP is or is not").select_option("is not")
    page.get_by_role("button", name="Apply filters").click()
    expect(requests).to_have_text("1,999")
    expect(page).to_have_url(re.compile(r"\?range=7d&tz=[^&]+&not_ip=10\.7\.5\.111$"))


def test_it_fits_a_phone_with_its_panels_open(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{address}?range=30d&group=ip&model=many-01&compare=1")
    expect(bars(page)).not_to_have_count(0)
    for panel in ("days", "narrow"):
        page.locator(f"[popovertarget={panel}]").click()
        expect(page.locator(f"#{panel}")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.keyboard.press("Escape")
