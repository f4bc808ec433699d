"""A team as its people live it: invited by mail, let in, promoted, locked out, removed, deleted."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import watch
from tests.e2e.mails import follow_link, open_mail
from tests.e2e.people import set_up_app
from tests.servers import Console

PASSWORD = "nine-herons-on-the-weir"


@pytest.fixture
def guest(browser: Browser, server: Console, problems: list[str]) -> Iterator[Page]:
    """Open a second window, at somebody else's computer."""
    with browser.new_context(base_url=server.base_url) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        watch(page, problems)
        yield page


@pytest.fixture
def plain(browser: Browser, server: Console, problems: list[str]) -> Iterator[Page]:
    """Open a window of somebody who has switched script off."""
    with browser.new_context(base_url=server.base_url, java_script_enabled=False) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        watch(page, problems)
        yield page


def fill_sign_up(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")


def confirm(page: Page, email: str) -> None:
    open_mail(page, email, "onfirm")
    follow_link(page, "confirm-email")
    page.get_by_role("button", name="Confirm your email").click()


def found_team(page: Page, *, name: str, email: str, team: str) -> str:
    """Sign up and make a team; return its home."""
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(email)
    fill_sign_up(page, name)
    confirm(page, email)
    page.goto("/account/teams/new/")
    page.get_by_label("Name").fill(team)
    page.get_by_role("button", name="Create team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(team)
    return page.url


def row(page: Page, region: str, text: str) -> Locator:
    return page.get_by_role("region", name=region).locator("tbody tr").filter(has_text=text)


def choose(page: Page, row: Locator, action: str) -> None:
    """Open the menu of a row and choose from it."""
    row.get_by_role("button", name="Actions for").click()
    menu = page.locator("menu:popover-open")
    menu.locator("a, button").filter(has_text=action).click()


def choice(dialog: Locator, group: str, label: str) -> Locator:
    return dialog.get_by_role("group", name=group).get_by_text(label, exact=True)


def test_a_person_is_invited_joins_is_promoted_locked_out_and_removed(
    page: Page, guest: Page
) -> None:
    home = found_team(page, name="Gina Rossi", email="gina@example.com", team="Meridian")
    invite(page, "hugo@example.com")

    join(guest, "hugo@example.com", home)
    meet_a_closed_page(guest, home)
    promote(page)
    guest.goto(f"{home}audit/")
    expect(guest.get_by_role("heading", level=1)).to_have_text("Audit log")
    require_a_factor(page, guest, home)
    remove(page, guest, home)
    delete(page, home)


def invite(page: Page, email: str) -> None:
    page.get_by_role("link", name="Members").click()
    page.get_by_role("button", name="Invite people").click()
    dialog = page.get_by_role("dialog", name="Invite people")
    dialog.get_by_label("Email addresses").fill("hugo")
    dialog.get_by_role("button", name="Send invitations").click()
    expect(dialog).to_contain_text("“hugo” is not an email address.")
    choice(dialog, "Role", "Admin").click()
    expect(choice(dialog, "Usage", "See")).to_be_hidden()
    choice(dialog, "Role", "Member").click()
    choice(dialog, "Usage", "See").click()
    dialog.get_by_label("Email addresses").fill(email)
    dialog.get_by_role("button", name="Send invitations").click()

    expect(dialog).to_be_hidden()
    expect(page.locator(".toasts")).to_contain_text(f"Invited {email}.")
    expect(row(page, "Invitations", email)).to_contain_text("See usage")


def join(guest: Page, email: str, home: str) -> None:
    """Come by the mailed link without an account, and leave as a member."""
    open_mail(guest, email, "invites you")
    follow_link(guest, "invitations")
    expect(guest.get_by_role("heading", level=1)).to_have_text("Join Meridian")
    expect(guest.locator("main")).to_contain_text("Gina Rossi invites you")
    guest.get_by_role("button", name="Create an account").click()
    expect(guest.get_by_label("Email")).to_have_value(email)
    fill_sign_up(guest, "Hugo Lind")
    confirm(guest, email)

    expect(guest.get_by_role("heading", level=1)).to_have_text("Join Meridian")
    link = guest.url
    guest.get_by_role("button", name="Join team").click()
    expect(guest).to_have_url(home)
    expect(guest.locator(".toasts")).to_contain_text("You joined Meridian.")
    guest.goto(link)
    expect(guest.get_by_role("heading", level=1)).to_have_text("You are already in Meridian")


def meet_a_closed_page(guest: Page, home: str) -> None:
    guest.goto(f"{home}audit/")
    expect(guest.locator("main")).to_contain_text(
        "You need permission to see the audit log in Meridian. Ask an admin of the team for it"
    )
    guest.get_by_role("button", name="See who is an admin").click()
    expect(row(guest, "Members", "Gina Rossi")).to_contain_text("Admin")
    expect(guest.get_by_role("button", name="Invite people")).to_have_count(0)


def promote(page: Page) -> None:
    page.get_by_role("link", name="Members").click()
    expect(page.get_by_role("region", name="Invitations")).to_have_count(0)
    choose(page, row(page, "Members", "Hugo Lind"), "Change role")
    dialog = page.get_by_role("dialog", name="Change the role of Hugo Lind")
    choice(dialog, "Audit log", "See").click()
    dialog.get_by_role("button", name="Save role").click()
    expect(dialog).to_be_hidden()
    expect(row(page, "Members", "Hugo Lind")).to_contain_text("See usage and the audit log")


def require_a_factor(page: Page, guest: Page, home: str) -> None:
    page.goto(f"{home}settings/")
    expect(page.locator("main")).to_contain_text("You have none yourself")
    set_up_app(page)
    page.goto(f"{home}settings/")
    page.get_by_role("button", name="Require a second factor").click()
    dialog = page.get_by_role("dialog", name="Require a second factor")
    expect(dialog).to_contain_text("1 member has no second factor.")
    expect(dialog.get_by_role("listitem")).to_contain_text("Hugo Lind")
    dialog.get_by_role("button", name="Require it").click()
    expect(page.locator("main")).to_contain_text("Required")

    guest.goto(f"{home}members/")
    expect(guest.get_by_role("heading", level=1)).to_have_text("Meridian requires a second factor")
    expect(guest.locator("main")).not_to_contain_text("Gina")
    guest.get_by_role("button", name="Set up a second factor").click()
    expect(guest).to_have_url(re.compile("/account/security/$"))


def remove(page: Page, guest: Page, home: str) -> None:
    page.goto(f"{home}members/")
    choose(page, row(page, "Members", "Hugo Lind"), "Remove")
    dialog = page.get_by_role("dialog", name="Remove Hugo Lind")
    expect(dialog).to_contain_text("can no longer open Meridian")
    dialog.get_by_role("button", name="Remove member").click()
    expect(page.locator(".toasts")).to_contain_text("Hugo Lind is removed from the team.")
    expect(row(page, "Members", "Hugo Lind")).to_have_count(0)

    answer = guest.goto(home)
    assert answer
    assert answer.status == 404
    open_mail(guest, "hugo@example.com", "You were removed from Meridian")


def delete(page: Page, home: str) -> None:
    page.goto(f"{home}settings/")
    page.get_by_role("button", name="Delete team").click()
    dialog = page.get_by_role("dialog", name="Delete Meridian")
    dialog.get_by_role("textbox").fill("meridian")
    dialog.get_by_role("button", name="Delete team").click()
    expect(page.get_by_role("dialog")).to_contain_text("“meridian” is not the team's name.")
    page.get_by_role("dialog").get_by_role("textbox").fill("Meridian")
    page.get_by_role("dialog").get_by_role("button", name="Delete team").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Gina Rossi")
    expect(page.locator(".toasts")).to_contain_text("Meridian is deleted.")
    answer = page.goto(home)
    assert answer
    assert answer.status == 404


def test_a_team_is_looked_after_without_script(plain: Page) -> None:
    page = plain
    home = found_team(page, name="Iris Okoye", email="iris@example.com", team="Quay")
    members = f"{home}members/"

    page.goto(f"{members}?dialog=invite")
    page.get_by_label("Email addresses").fill("one@example.com, two@example.com")
    page.get_by_role("button", name="Send invitations").click()
    expect(page.locator(".toasts")).to_contain_text("Invited one@example.com and two@example.com.")
    choose(page, row(page, "Invitations", "one@example.com"), "Send again")
    expect(page.locator(".toasts")).to_contain_text("Sent a new link to one@example.com.")
    choose(page, row(page, "Invitations", "two@example.com"), "Revoke")
    expect(row(page, "Invitations", "two@example.com")).to_have_count(0)

    choose(page, row(page, "Members", "Iris Okoye"), "Leave team")
    expect(page.get_by_role("dialog")).to_contain_text("You are the only admin.")
    page.get_by_role("dialog").get_by_role("link", name="delete the team").click()
    page.get_by_label("Name").fill("Quayside")
    page.get_by_role("button", name="Save name").click()
    expect(page.locator(".toasts")).to_contain_text("The team is called Quayside.")
    page.get_by_role("button", name="Delete team").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("Quayside")
    page.get_by_role("dialog").get_by_role("button", name="Delete team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Iris Okoye")
