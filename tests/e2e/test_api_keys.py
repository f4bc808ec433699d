"""A key from its form to its end, in a browser: limited, used, rotated, edited, and no script."""

import re
from typing import Any

import openai
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import enter
from tests.servers import Console


def ask(server: Console, secret: str, model: str) -> int:
    """Ask a question with the secret; return the status of the answer."""
    client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=secret, max_retries=0)
    try:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def take_secret(page: Page) -> str:
    """Read the secret that is shown once, and close the dialog."""
    dialog = page.get_by_role("dialog", name="Copy the secret of")
    secret = dialog.locator(".secret code").inner_text()
    dialog.get_by_role("button", name="I have stored it").click()
    expect(page.locator(".secret")).to_have_count(0)
    assert secret not in page.content()
    return secret


def test_a_key_lives_as_its_owner_says(page: Page, server: Console, world: dict[str, Any]) -> None:
    enter(page, **world["admin"])
    page.goto(f"/team/{world['team_id']}/api-keys/")
    page.get_by_role("button", name="Create API key").click()
    form = page.get_by_role("dialog", name="Create API key")
    form.get_by_label("Name").fill("returns-bot")
    models = form.get_by_role("group", name="Models")
    models.get_by_text("Only these").click()
    expect(form.get_by_text("the key may do nothing")).to_be_visible()
    models.get_by_label("grok-3-mini").check()
    expect(form.get_by_text("the key may do nothing")).to_be_hidden()
    form.get_by_text("Limits and addresses").click()
    form.get_by_label("Allowed addresses").fill("198.51.100.300")
    form.get_by_role("button", name="Create key").click()
    expect(form.get_by_text("198.51.100.300 is not an IP address or range.")).to_be_visible()
    form.get_by_label("Allowed addresses").fill("127.0.0.1, ::1")
    form.get_by_role("button", name="Create key").click()
    first = take_secret(page)

    assert ask(server, first, "grok-3-mini") == 200
    assert ask(server, first, "grok-4.6") == 404

    page.get_by_role("link", name="returns-bot").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("returns-bot")
    page.get_by_role("button", name="Rotate secret").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate secret").click()
    second = take_secret(page)
    assert [ask(server, secret, "grok-3-mini") for secret in (first, second)] == [200, 200]
    page.get_by_role("button", name="End now").click()
    expect(page.get_by_role("button", name="End now")).to_have_count(0)
    assert [ask(server, secret, "grok-3-mini") for secret in (first, second)] == [400, 200]

    page.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Edit returns-bot")
    form.get_by_label("Allowed addresses").fill("203.0.113.0/24")
    form.get_by_role("button", name="Save changes").click()
    expect(page.locator(".toasts")).to_contain_text("returns-bot is changed")
    assert ask(server, second, "grok-3-mini") == 403

    page.goto(f"/team/{world['team_id']}/api-keys/")
    page.get_by_placeholder("Name or last four characters").fill(second[-4:])
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("grok-3-mini")
    page.get_by_label("Actions for returns-bot").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("tbody tr")).to_contain_text("Disabled")


@pytest.mark.parametrize("width", [360, 1440])
def test_a_key_is_made_sorted_and_edited_without_script(
    browser: Browser, server: Console, world: dict[str, Any], problems: list[str], width: int
) -> None:
    viewport: Any = {"width": width, "height": 800}
    with browser.new_context(
        base_url=server.base_url, java_script_enabled=False, viewport=viewport
    ) as context:
        page = context.new_page()
        watch(page, problems)
        enter(page, **world["member"])
        page.goto(f"/team/{world['team_id']}/api-keys/?dialog=create")
        form = page.get_by_role("dialog", name="Create API key")
        form.get_by_label("Name").fill(f"plain-{width}")
        form.get_by_label("Expires").select_option("date")
        form.get_by_label("Last day").fill("2999-01-02")
        form.get_by_role("button", name="Create key").click()
        expect(page.get_by_role("dialog", name=re.compile("Copy the secret"))).to_be_visible()

        page.goto(f"/team/{world['team_id']}/api-keys/?q=plain-{width}&sort=-name")
        page.get_by_role("link", name=f"plain-{width}").click()
        page.get_by_role("button", name="Edit").click()
        form = page.get_by_role("dialog", name=f"Edit plain-{width}")
        expect(form.get_by_label("Last day")).to_have_value("2999-01-02")
        form.get_by_label("Expires").select_option("")
        form.get_by_role("button", name="Save changes").click()
        expect(page.get_by_text("is changed, from its next request on")).to_be_visible()
    assert problems == []
