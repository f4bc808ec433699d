"""How browser tests read mail: on the page that shows what the worker has sent."""

import re
from html import unescape

from playwright.sync_api import Page

from tests.servers import until


def find_link(page: Page, to: str, address: str) -> str:
    """Find the link whose address contains this in the newest mail to somebody, unseen."""

    def wanted() -> str:
        for item in unescape(page.request.get("/mail/").text()).split("<li")[1:]:
            if to in item:
                mail = page.request.get(item.partition('href="')[2].partition('"')[0]).text()
                found = re.search(rf'href="([^"]*{address}[^"]*)"', mail)
                return unescape(found[1]) if found else ""
        return ""

    return until(wanted, f"a mail to {to}")


def open_mail(page: Page, to: str, subject: str = "") -> None:
    """Open the newest mail to an address; the worker may still be at it."""

    def is_there() -> bool:
        # Not in the window: to draw the page takes many times as long as to ask for it.
        items = unescape(page.request.get("/mail/").text()).split("<li")
        return any(to in item and subject in item for item in items)

    until(is_there, f"a mail to {to}")
    page.goto("/mail/")
    mail = page.get_by_role("listitem").filter(has_text=to).filter(has_text=subject)
    mail.first.get_by_role("link").click()


def follow_link(page: Page, address: str) -> None:
    """Follow the link of the open mail whose address contains this."""
    page.locator(f'main a[href*="{address}"]').first.click()
