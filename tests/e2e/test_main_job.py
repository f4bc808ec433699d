"""What the product exists for, from signing up to running out of credits; no part is replaced."""

import json
from typing import Any

import openai
import pytest
from playwright.sync_api import Page, expect

from billing.rules import TICKS_PER_USD, usd
from tests.e2e.people import NAME, make_key, pay, sign_up
from tests.servers import Console, until

MODEL = "grok-4.3"
PROMPT_TICKS, COMPLETION_TICKS = 12_500, 25_000  # $1.25 and $2.50 per million tokens.
CHOICES = 128
QUESTION = "What is a tick?"


def test_a_new_person_buys_credits_and_is_served_until_they_are_gone(
    page: Page, staff: Page, server: Console
) -> None:
    sign_up(page, "dora@example.com")
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    home = page.url

    page.locator("main").get_by_role("button", name="Buy credits").click()
    buy(page, "$25")
    secret = make_key(page, home)
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key=secret, max_retries=0) as client:
        cost = ask(client)
        assert stream(client, stream_options={"include_usage": True}) == cost
        assert stream(client) is None  # It is told what it cost only if it asks, and pays alike.
        rest = 25 * TICKS_PER_USD - 3 * cost
        assert_pages_tell(page, home, spent=3 * cost, requests=3, rest=rest)
        assert_log_tells_who(page, home)

        requests = 3 + spend_all(client, staff, rest)
        assert_refused(client, team_id=home.split("/")[-2])
        page.goto(home)
        expect(page.locator("main")).to_contain_text("The credits are used up.")
        assert_pages_tell(page, home, spent=25 * TICKS_PER_USD, requests=requests, rest=0)

        page.goto(home)
        page.locator("main").get_by_role("link", name="Buy credits").click()
        buy(page, "$5")
        assert ask(client) == cost

    assert_pages_tell(
        page,
        home,
        spent=25 * TICKS_PER_USD + cost,
        requests=requests + 1,
        rest=5 * TICKS_PER_USD - cost,
    )
    server.manage("verify_ledger")


def buy(page: Page, amount: str) -> None:
    """Go through the checkout, from the dialog that asks how much."""
    dialog = page.get_by_role("dialog", name="Buy credits")
    if dialog.get_by_text(amount, exact=True).count():
        dialog.get_by_text(amount, exact=True).click()
    else:
        dialog.get_by_text("Other", exact=True).click()
        dialog.get_by_label("Other amount").fill(amount.removeprefix("$"))
    dialog.get_by_role("button", name="Go to checkout").click()
    pay(page, f"{amount}.00")
    expect(page.locator(".toasts")).to_contain_text(f"has {amount}.00 more to spend")
    available = page.get_by_role("region", name="Available to spend")
    expect(available.locator(".amount")).to_have_text(f"{amount}.00")


def ask(client: openai.OpenAI) -> int:
    """Ask and be answered at once; return what it cost."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    assert QUESTION in str(answer.choices[0].message.content)
    return cost_of(answer.usage)


def stream(client: openai.OpenAI, **options: Any) -> int | None:
    """Ask and be answered bit by bit; return what it cost, if the stream told."""
    text, usages, chunks = "", [], 0
    for chunk in client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], stream=True, **options
    ):
        chunks += 1
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usages += [chunk.usage] if chunk.usage else []
    assert QUESTION in text
    assert chunks > 10
    assert len(usages) <= 1
    return cost_of(usages[0]) if usages else None


def cost_of(usage: Any) -> int:
    told: int = usage.model_extra["cost_in_usd_ticks"]
    counted = usage.prompt_tokens * PROMPT_TICKS + usage.completion_tokens * COMPLETION_TICKS
    assert told == counted > 0
    return told


def spend_all(client: openai.OpenAI, staff: Page, rest: int) -> int:
    """Have staff list models so dear that a few tokens cost all that is left, and ask them.

    Returns how many requests it took. No price may be so high that one token would do: 256 of the
    first cost all but some ticks, and one of the second costs these.
    """
    price, dust = divmod(rest, 2 * CHOICES)
    spend(client, staff, "gold", price=price, cost=price * 2 * CHOICES, choices=CHOICES)
    if dust:
        spend(client, staff, "dust", price=dust, cost=dust, choices=1)
    return 2 if dust else 1


def spend(
    client: openai.OpenAI, staff: Page, name: str, *, price: int, cost: int, choices: int
) -> None:
    staff.goto("/admin/gateway/inferencemodel/add/")
    for field, value in {
        "name": name,
        "context_length": "4096",
        "max_output_tokens": "4096",
        "prompt_text_price": "0",
        "cached_prompt_text_price": "0",
        "prompt_image_price": "0",
        "completion_price": str(price),
        "reasoning_price": "0",
        "deployments-0-upstream_name": name,
    }.items():
        staff.locator(f"[name={field}]").fill(value)
    staff.locator("[name=deployments-0-cluster]").select_option(label="us-east-1")
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.locator(".messagelist")).to_contain_text("was added")
    until(lambda: name in [listed.id for listed in client.models.list()], "the new model")

    answer = client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": QUESTION}], n=choices
    )

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage
    assert (answer.usage.model_extra or {})["cost_in_usd_ticks"] == cost


def assert_refused(client: openai.OpenAI, *, team_id: str) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask(client)
    assert refused.value.response.json() == {
        "code": "permission-denied",
        "error": f"Your team {team_id} has either used all available credits or reached its "
        "monthly spending limit. To continue making API requests, please purchase more credits "
        "or raise your spending limit.",
        "reason": "credits_exhausted",
    }


def assert_pages_tell(page: Page, home: str, *, spent: int, requests: int, rest: int) -> None:
    """Look at the pages once, without waiting for anything: an answered request is on them."""
    page.goto(f"{home}usage/?range=7d")
    figure = json.loads(page.locator("#usage-figure").inner_text())
    # A chart is drawn to six digits.
    assert sum(figure["data"][0]["y"]) * TICKS_PER_USD == pytest.approx(spent, rel=1e-5)
    total = page.get_by_role("region", name="Usage by day").locator("tfoot tr")
    assert total.locator("td").first.inner_text() == str(requests)
    assert total.locator("td").nth(-2).inner_text() == usd(spent)
    expect(page.locator("[data-figure] .bars .point path")).not_to_have_count(0)

    page.goto(home)
    assert stat(page, "Available") == usd(rest)


def stat(page: Page, name: str) -> str:
    return page.locator("dl.stats > div").filter(has_text=name).locator("dd").first.inner_text()


def assert_log_tells_who(page: Page, home: str) -> None:
    page.goto(f"{home}audit/")
    rows = page.get_by_role("region", name="Events").locator("tbody tr").filter(has_text=NAME)
    done = set(rows.locator("th code").all_inner_texts())
    assert done >= {"SignUp", "ConfirmEmail", "CreateTeam", "BuyCredits", "CreateApiKey"}
