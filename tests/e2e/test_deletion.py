"""Leaving: an account is deleted, restored, deleted again and, 30 days later, gone."""

import re
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

from tests.e2e.mails import open_mail
from tests.e2e.people import NAME, PASSWORD, arrive, make_key, sign_in
from tests.servers import Console, until

EMAIL = "leaver@example.com"


def test_a_person_deletes_their_account_restores_it_and_leaves_for_good(
    page: Page, server: Console
) -> None:
    arrive(page, EMAIL)
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    home = page.url
    secret = make_key(page, home)
    assert status_with(server, secret) == 200

    delete(page)
    assert status_with(server, secret) in {401, 403}
    open_mail(page, EMAIL, "will be deleted")
    expect(page.locator("main")).to_contain_text("You asked to delete your account")

    sign_in(page, EMAIL)
    expect(page.get_by_role("heading", level=1)).to_have_text("Restore your account")
    for elsewhere in (home, "/account/", "/help/", "/nothing"):
        page.goto(elsewhere)
        expect(page.get_by_role("heading", level=1)).to_have_text("Restore your account")
    page.get_by_role("button", name="Restore account").click()
    expect(page.locator(".toasts")).to_contain_text("Your account is restored.")
    page.goto(f"{home}api-keys/")
    expect(page.get_by_role("row", name="notebook")).to_contain_text("Disabled")

    delete(page)
    thirty_days_pass(server)
    sign_in(page, EMAIL)
    expect(page.locator("main")).to_contain_text("The email or the password is not right.")
    assert status_with(server, secret) == 400  # As for a key that never was.

    sign_up_again(page)
    until(
        lambda: server.database.query("SELECT 1 FROM accounts_user WHERE email = %s", EMAIL),
        "a new account with the old address",
    )
    server.manage("verify_ledger")


def delete(page: Page) -> None:
    """Go from the profile to the page that says what it means, and through with it."""
    page.goto("/account/")
    page.locator("main").get_by_role("button", name="Delete account").click()
    expect(page.locator("main")).to_contain_text("You are signed out everywhere")
    expect(page.locator("main")).to_contain_text("notebook")
    page.get_by_label(re.compile("to confirm")).fill(EMAIL)
    page.get_by_role("button", name="Delete account").click()
    expect(page.locator(".toasts")).to_contain_text("Your account will be erased on")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in")


def sign_up_again(page: Page) -> None:
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("link", name="shows them here")).to_be_visible()


def thirty_days_pass(server: Console) -> None:
    """Put the request 30 days back, which is the same to the job, and have the worker do it."""
    [(person,)] = server.database.query(
        "UPDATE accounts_user"
        " SET deletion_requested_at = deletion_requested_at - interval '30 days'"
        " WHERE email = %s RETURNING id",
        EMAIL,
    )
    server.manage("procrastinate", "defer", "accounts.tasks.erase_accounts", '{"timestamp": 0}')
    until(
        lambda: server.database.query(
            "SELECT 1 FROM accounts_user WHERE id = %s AND erased_at IS NOT NULL", person
        ),
        "the worker to erase the account",
    )


def status_with(server: Console, secret: str) -> int:
    """Ask the gateway for its models with a key."""
    request = Request(  # noqa: S310 -- it is http
        f"{server.base_url}/v1/models", headers={"Authorization": f"Bearer {secret}"}
    )
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        return error.code
