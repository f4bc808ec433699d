"""Signing in by accounts elsewhere in a real Chromium, whose policy for forms is a strict one."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.people import PASSWORD, arrive
from tests.providers.issuer import Issuer, issuer
from tests.providers.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer, oauth_server
from tests.servers import Console, until


@pytest.fixture(scope="module")
def larkspur() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def x() -> Iterator[OAuthServer]:
    with oauth_server() as running:
        yield running


@pytest.fixture(scope="module")
def console(
    larkspur: Issuer,
    x: OAuthServer,
    tmp_path_factory: pytest.TempPathFactory,
    make_database: Callable[[], Any],
) -> Iterator[Console]:
    """Run a console that lets people sign in by both."""
    client = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    environment = {
        "OIDC_ISSUER": larkspur.url,
        "OIDC_NAME": "Larkspur",
        "X_WEB_URL": x.url,
        "X_API_URL": x.url,
        **{f"{prefix}_{name}": value for prefix in ("OIDC", "X") for name, value in client.items()},
    }
    folder = tmp_path_factory.mktemp("social")
    with Console(folder, make_database(), **environment) as running:
        yield running


@pytest.fixture(scope="module")
def alice(console: Console, browser: Browser) -> dict[str, str]:
    """Be somebody who has an account with a password."""
    email = f"{uuid4().hex[:8]}@example.test"
    context = browser.new_context(base_url=console.base_url)
    arrive(context.new_page(), email)
    context.close()
    return {"email": email, "password": PASSWORD}


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def page(
    request: pytest.FixtureRequest, browser: Browser, console: Console, problems: list[str]
) -> Iterator[Page]:
    """Open a window at that console, signed in as nobody, with script and without."""
    context = browser.new_context(base_url=console.base_url, java_script_enabled=request.param)
    context.set_default_timeout(30_000)
    page = context.new_page()
    watch(page, problems)
    yield page
    context.close()
    # The issuer's own page looks for styles elsewhere in the world.
    ours = [problem for problem in problems if console.base_url in problem]
    assert ours == []


def go_to_issuer(page: Page, sub: str) -> None:
    """Press the button, and sign in over there."""
    page.get_by_role("button", name="Continue with Larkspur").click()
    page.get_by_placeholder("sub").fill(sub)
    page.get_by_role("button", name="Authorize", exact=True).click()


def sub_of(larkspur: Issuer, email: str) -> str:
    """Make somebody at the issuer, new to the console."""
    sub = f"person-{uuid4().hex[:8]}"
    larkspur.knows(
        sub, email=email, email_verified=True, name="Ada Lovelace", preferred_username=sub
    )
    return sub


def test_an_issuer_signs_up_and_then_in(page: Page, larkspur: Issuer) -> None:
    sub = sub_of(larkspur, f"{uuid4().hex[:8]}@example.test")
    page.goto("/accounts/signup/")

    go_to_issuer(page, sub)

    expect(page).to_have_url(re.compile(r"/team/[-0-9a-f]{36}/$"))
    page.goto("/account/methods/")
    expect(page.get_by_role("row", name=re.compile("Larkspur"))).to_contain_text(sub)
    page.locator("[popovertarget=account]").click()
    page.get_by_role("button", name="Sign out").click()

    go_to_issuer(page, sub)

    expect(page).to_have_url(re.compile(r"/team/[-0-9a-f]{36}/$"))


def test_an_address_with_an_account_is_linked_after_signing_in_to_it(
    page: Page, larkspur: Issuer, alice: dict[str, str]
) -> None:
    sub = sub_of(larkspur, alice["email"])
    page.goto("/accounts/login/")
    go_to_issuer(page, sub)
    expect(page.get_by_role("heading", level=1)).to_have_text("You already have an account")

    page.get_by_role("button", name="Sign in to link").click()
    page.get_by_label("Email").fill(alice["email"])
    page.get_by_label("Password").fill(alice["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Link Larkspur to this account?")
    page.get_by_role("button", name="Link Larkspur").click()

    row = page.get_by_role("row", name=re.compile(sub))
    expect(row).to_contain_text("Larkspur")
    page.locator("[popovertarget=account]").click()
    page.get_by_role("button", name="Sign out").click()
    go_to_issuer(page, sub)
    page.goto("/account/methods/")
    expect(page.get_by_role("row", name=re.compile("Password"))).to_contain_text(alice["email"])


def test_an_address_with_an_account_becomes_a_second_account(
    page: Page, larkspur: Issuer, alice: dict[str, str]
) -> None:
    page.goto("/accounts/login/")
    go_to_issuer(page, sub_of(larkspur, alice["email"]))

    page.get_by_label("Name").fill("Alice at work")
    page.get_by_role("button", name="Create account").click()

    expect(page).to_have_url(re.compile(r"/team/[-0-9a-f]{36}/$"))
    expect(page.locator(".team")).to_contain_text("Alice at work")
    page.goto("/account/methods/")
    expect(page.get_by_role("row")).to_have_count(2)


def test_x_asks_its_two_endpoints_and_the_address_is_asked_for_here(
    page: Page, x: OAuthServer, console: Console
) -> None:
    person = {"id": uuid4().hex, "name": "Jack", "username": "jack"}
    x.people = {"/2/users/me": {"data": person}}
    email = f"{uuid4().hex[:8]}@example.test"
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Continue with X").click()
    expect(page.get_by_label("Name")).to_have_value("Jack")

    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")
    link = mailed_link(page, email)
    page.goto(link)
    page.get_by_role("button", name="Confirm your email").click()

    expect(page).to_have_url(re.compile(rf"^{console.base_url}/team/[-0-9a-f]{{36}}/$"))


def mailed_link(page: Page, email: str) -> str:
    """Find the link in the mail to an address, once it has come, on the page that shows mails."""
    mails = page.get_by_role("listitem").filter(has_text=email)

    def has_come() -> bool:
        page.goto("/mail/")
        return mails.count() > 0

    until(has_come, f"a mail to {email}")
    mails.get_by_role("link").first.click()
    found = page.get_by_role("link", name=re.compile("confirm-email")).get_attribute("href")
    assert found
    return found


def test_a_denial_leads_back_to_signing_in(page: Page, x: OAuthServer) -> None:
    x.denies = True
    page.goto("/accounts/login/")

    page.get_by_role("button", name="Continue with X").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("You came back without signing in")
    x.denies = False
    page.get_by_role("button", name="Back to sign-in").click()
    expect(page.get_by_label("Password")).to_be_visible()
