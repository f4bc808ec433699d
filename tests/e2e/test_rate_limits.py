"""The page of rate limits keeps itself up to date, and lets nobody lose what they typed."""

from typing import Any

import openai
from playwright.sync_api import Page, expect

from tests.e2e.people import sign_in
from tests.servers import Console

MODEL = "grok-4.3"  # Nothing else in the demo team asks for it.


def test_use_shows_without_a_click_and_a_dialog_that_is_open_stays_as_it_is(
    page: Page, server: Console, world: dict[str, Any]
) -> None:
    sign_in(page, world["admin"]["email"], world["admin"]["password"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Alice Moreau")
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
    expect(tokens).to_have_text(f"{answer.usage.total_tokens:,} of 25,000,000")
    expect(dialog.get_by_label("What for")).to_be_focused()

    dialog.get_by_role("button", name="Send request").click()
    expect(dialog).to_contain_text("Your team's limit is 75 requests per second already.")
    expect(dialog.get_by_label("Requests per second")).to_be_focused()
    dialog.get_by_label("Requests per second").fill("1,000")
    dialog.get_by_role("button", name="Send request").click()

    expect(page.locator("main")).to_contain_text("Asked for 1,000 requests per second")
    expect(page.locator(".toasts")).to_contain_text(f"Support was asked for more of {MODEL}")
