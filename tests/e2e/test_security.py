"""Guarding an account as its person does: codes, passkeys, being asked again, mail on sign-ins."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.mails import follow_link, open_mail
from tests.e2e.people import NAME, PASSWORD, arrive, code_of, set_up_app, sign_in, sign_out, sign_up
from tests.servers import Console

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"


def test_from_signing_up_to_a_second_factor_to_signing_in_with_a_recovery_code(page: Page) -> None:
    email = "edda.codes@example.com"
    sign_up(page, email)
    secret, codes = set_up_app(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "recovery-codes.txt"
    assert all(code in download.value.path().read_text() for code in codes)
    page.reload()
    expect(page.locator("main")).to_contain_text("The codes were shown once")
    expect(page.get_by_text(codes[0])).to_have_count(0)

    sign_out(page)
    sign_in(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    page.get_by_label("Code").fill(codes[3])
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    page.goto("/account/security/")
    expect(page.get_by_role("region", name="Recovery codes")).to_contain_text("9 left")

    # It does not open the account again; the app does, and then not in a browser that is trusted.
    sign_out(page)
    sign_in(page, email)
    page.get_by_label("Code").fill(codes[3])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("main")).to_contain_text("The code is not right, or it was used already.")
    page.get_by_label("Code").fill(code_of(secret, ahead=1))
    page.get_by_label("Trust this browser").check()
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    sign_out(page)
    sign_in(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)


@pytest.fixture
def passkeys(page: Page) -> Any:
    """Give the browser an authenticator that always finds its person there."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    made = devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )

    def held() -> list[Any]:
        answer = devtools.send(
            "WebAuthn.getCredentials", {"authenticatorId": made["authenticatorId"]}
        )
        return list(answer["credentials"])

    return held


def test_a_passkey_signs_in_alone_is_a_second_factor_and_can_be_removed(
    page: Page, passkeys: Any
) -> None:
    email = "edda.keys@example.com"
    arrive(page, email)
    page.goto("/account/security/")
    page.get_by_role("button", name="Add passkey").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    assert [key["isResidentCredential"] for key in passkeys()] == [True]

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)

    sign_out(page)
    sign_in(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    # One box, for whichever factor is used.
    page.get_by_label("Trust this browser").check()
    page.get_by_role("button", name="Use passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    sign_out(page)
    sign_in(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)

    page.goto("/account/security/")
    keys = page.get_by_role("region", name="Passkeys and security keys")
    expect(keys).to_contain_text("Signs in without a password")
    keys.get_by_role("link", name="Rename Laptop").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Rename passkey").click()
    keys.get_by_role("link", name="Remove Old laptop").click()
    expect(page.locator("main")).to_contain_text("It is your last second factor.")
    page.get_by_role("button", name="Remove factor").click()
    expect(keys).to_contain_text("Your fingerprint")
    sign_out(page)
    sign_in(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)


def test_who_cancels_the_passkey_is_told_and_may_try_again(page: Page, passkeys: Any) -> None:
    page.goto("/accounts/login/")
    assert passkeys() == []  # None is there for this page.

    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_enabled()


@pytest.fixture
def elsewhere(browser: Browser, server: Console, problems: list[str]) -> Iterator[Page]:
    """Open a window on another device."""
    with browser.new_context(base_url=server.base_url, user_agent=FIREFOX) as context:
        page = context.new_page()
        watch(page, problems)
        yield page


def test_a_sign_in_from_another_device_is_mailed_and_its_session_ended(
    page: Page, elsewhere: Page
) -> None:
    email = "edda.mail@example.com"
    arrive(page, email)
    sign_in(elsewhere, email)
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text(NAME)

    open_mail(page, email, "New sign-in to Console: Firefox on Linux")
    expect(page.locator("main")).to_contain_text("The place is an approximation.")
    follow_link(page, "/account/sessions/")
    expect(page.get_by_role("row", name="Firefox on Linux")).to_be_visible()
    page.get_by_role("button", name="End all other sessions").click()
    expect(page.locator(".toasts")).to_contain_text("1 other session ended.")

    elsewhere.reload()
    expect(elsewhere.get_by_role("heading", level=1)).to_contain_text("Sign in to")


def age_proofs(server: Console, email: str) -> None:
    """Let an hour pass for the sessions of one person."""
    server.manage(
        "shell",
        "--no-imports",
        "-c",
        f"""
from django.contrib.sessions.backends.db import SessionStore
from allauth.usersessions.models import UserSession
for row in UserSession.objects.filter(user__email="{email}"):
    session = SessionStore(row.session_key)
    for record in session["account_authentication_methods"]:
        record["at"] -= 3600
    session["account_authentication_methods"] = session["account_authentication_methods"]
    session.save()
""",
    )


def test_what_a_dialog_sent_is_kept_while_one_proves_who_one_is_and_then_done(
    page: Page, server: Console
) -> None:
    email = "edda.proof@example.com"
    arrive(page, email)
    page.goto("/team/default/api-keys/")
    page.locator("main").get_by_role("button", name="Create API key").first.click()
    age_proofs(server, email)
    page.get_by_role("dialog", name="Create API key").get_by_label("Name").fill("kept")

    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    page.get_by_label("Password").fill("not-my-password")
    page.get_by_role("button", name="Confirm with password").click()
    expect(page.locator("main")).to_contain_text("The password is not right.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm with password").click()

    dialog = page.get_by_role("dialog", name="Copy the secret of kept")
    expect(dialog.locator(".secret code")).to_have_text(re.compile(r"^ck-[0-9A-Za-z]{80}$"))
    page.get_by_role("button", name="I have stored it").click()
    row = page.get_by_role("row", name="kept")
    expect(row).to_contain_text("Active")

    page.reload()
    expect(page).to_have_url(re.compile(r"/api-keys/$"))
    expect(row).to_have_count(1)
    expect(dialog).to_have_count(0)
