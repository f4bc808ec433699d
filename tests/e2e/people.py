"""What people do in many browser tests: sign up, in and out, guard the account, make a key."""

import re
import time
from urllib.parse import parse_qs, urlsplit

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.e2e.mails import find_link, follow_link, open_mail

NAME = "Dora Lindqvist"
PASSWORD = "one-tick-is-1e-10-dollars"


def sign_up(page: Page, email: str, name: str = NAME) -> None:
    """Come as a stranger and leave signed in, by the link that was mailed."""
    page.goto("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("link", name="shows them here")).to_be_visible()
    open_mail(page, email)
    follow_link(page, "confirm-email")
    page.get_by_role("button", name="Confirm your email").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def arrive(page: Page, email: str, name: str = NAME) -> None:
    """Be there as after `sign_up`, by the same forms and mail, of which only the last is drawn."""
    _send(page, "/accounts/signup/", name=name, email=email, password1=PASSWORD)
    _send(page, find_link(page, email, "confirm-email"))
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def enter(page: Page, email: str, password: str = PASSWORD) -> None:
    """Be signed in, by the form of `sign_in`, which is not drawn."""
    _send(page, "/accounts/login/", login=email, password=password)


def _send(page: Page, address: str, **fields: str) -> None:
    """Send the form of a page as the window would, without opening the page there."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.request.get(address).text())
    assert found, address
    form = {"csrfmiddlewaretoken": found[1], **fields}
    answer = page.request.post(address, form=form, max_redirects=0)
    assert answer.status == 302, answer.text()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form; where it leads is for the test to say."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.locator("[popovertarget=account]").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in to")


def code_of(secret: str, ahead: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead)))


def set_up_app(page: Page) -> tuple[str, list[str]]:
    """Set up an authenticator app; return its secret and the recovery codes."""
    page.goto("/account/security/")
    page.get_by_role("button", name="Set up app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    assert page.locator(".qr").evaluate("image => image.naturalWidth") > 0
    link = page.get_by_role("link", name="open the app").get_attribute("href") or ""
    secret = parse_qs(urlsplit(link).query)["secret"][0]
    assert page.locator(".secret code").inner_text().replace(" ", "") == secret
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Set up app").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_role("button", name="Show codes").click()
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    codes = page.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    return secret, codes


def pay(page: Page, amount: str, number: str = "4242 4242 4242 4242") -> None:
    """Pay at the checkout with a card that is entered there, whichever are on file."""
    page.get_by_label("Card number", exact=True).fill(number)
    page.get_by_label("Expires", exact=True).fill("12 / 40")
    page.get_by_label("Security code").fill("123")
    page.get_by_role("button", name=f"Pay {amount}", exact=True).click()


def make_key(page: Page, where: str, name: str = "notebook") -> str:
    """Make a key as a person does, and read its secret from the dialog that shows it once."""
    page.goto(where)
    page.locator("main").get_by_role("button", name="Create API key").first.click()
    page.get_by_role("dialog", name="Create API key").get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create key").click()
    secret = page.get_by_role("dialog", name="Copy the secret").locator(".secret code").inner_text()
    page.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_role("row", name=name)).to_contain_text("Active")
    expect(page.get_by_text(secret)).to_have_count(0)
    return secret
