"""The page of rate limits keeps itself up to date, and lets nobody lose what they typed."""

from typing import Any

import openai
from playwright.sync_api import Page, Route, expect

from tests.e2e.people import enter
from tests.servers import Console

TURN = "**/rate-limits/use/**"
MODEL = "grok-4.3"  # Nothing else in the demo team asks for it.


def test_use_shows_without_a_click_and_a_dialog_that_is_open_stays_as_it_is(
    page: Page, server: Console, world: dict[str, Any]
) -> None:
    enter(page, **world["admin"])
    page.goto(f"/team/{world['team_id']}/rate-limits/")
    tokens = page.locator("#use tr", has_text=MODEL).locator("[data-label='Tokens per minute']")
    expect(tokens).to_have_text("0 of 25,000,000")
    page.get_by_role("button", name="Request an increase").click()
    dialog = page.get_by_role("dialog", name="Request an increase")
    expect(dialog.get_by_label("Model")).to_be_focused()
    dialog.get_by_label("Model").select_option(MODEL)
    dialog.get_by_label("Requests per second").fill("60")
    dialog.get_by_label("What for").fill("The winter sale.")

    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=world["api_key"]) as client:
        answer = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "What is a lark?"}]
        )

    assert answer.usage
    # A turn is every 5 seconds, and may have begun a moment before.
    expect(tokens).to_have_text(f"{answer.usage.total_tokens:,} of 25,000,000", timeout=15_000)
    expect(dialog.get_by_label("What for")).to_be_focused()

    dialog.get_by_role("button", name="Send request").click()
    expect(dialog).to_contain_text("Your team's limit is 75 requests per second already.")
    expect(dialog.get_by_label("Requests per second")).to_be_focused()
    dialog.get_by_label("Requests per second").fill("1,000")
    dialog.get_by_role("button", name="Send request").click()

    expect(page.locator("main")).to_contain_text("Asked for 1,000 requests per second")
    expect(page.locator(".toasts")).to_contain_text(f"Support was asked for more of {MODEL}")


def test_the_numbers_stand_still_from_one_press_of_a_key_to_the_next(
    page: Page, world: dict[str, Any]
) -> None:
    enter(page, **world["admin"])
    page.clock.install()
    page.goto(f"/team/{world['team_id']}/rate-limits/")
    turns: list[str] = []
    page.on("request", lambda request: turns.append(request.url))
    page.get_by_role("button", name="Pause").focus()
    with page.expect_response(TURN):
        page.clock.run_for(5_000)

    # What is on the way when the key is pressed does not arrive.
    on_the_way: list[Route] = []

    def hold(route: Route) -> None:
        on_the_way.append(route)

    page.route(TURN, hold, times=1)
    with page.expect_request(TURN):
        page.clock.run_for(5_000)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    numbers, seen = page.locator("#use").element_handle(), len(turns)
    with page.expect_event("requestfinished"):
        on_the_way[0].continue_()
    page.clock.run_for(60_000)

    assert turns[seen:] == []
    assert numbers.evaluate("element => element.isConnected")

    with page.expect_response(TURN):
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    with page.expect_response(TURN):
        page.clock.run_for(5_000)


def test_a_page_that_is_kept_up_no_longer_says_so_and_has_nothing_to_pause(
    page: Page, world: dict[str, Any]
) -> None:
    enter(page, **world["admin"])
    page.clock.install()
    # As if it had been open for long.
    page.route(TURN, lambda route: route.continue_(url=route.request.url.partition("?")[0]))
    page.goto(f"/team/{world['team_id']}/rate-limits/")
    as_of = page.locator("#as-of")
    opened = as_of.inner_text()

    with page.expect_response(TURN):
        page.clock.run_for(5_000)

    expect(as_of).to_have_text(f"{opened} · Not brought up to date any more. Reload")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    turns: list[str] = []
    page.on("request", lambda request: turns.append(request.url))
    page.clock.run_for(60_000)
    assert turns == []
