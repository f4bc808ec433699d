"""How browser tests read mail: on the page that shows what the worker has sent."""

from playwright.sync_api import Page

from tests.servers import until


def open_mail(page: Page, to: str, subject: str = "") -> None:
    """Open the newest mail to an address; the worker may still be at it."""

    def is_there() -> bool:
        page.goto("/mail/")
        return bool(mail.count())

    mail = page.get_by_role("listitem").filter(has_text=to).filter(has_text=subject)
    until(is_there, f"a mail to {to}")
    mail.first.get_by_role("link").click()


def follow_link(page: Page, address: str) -> None:
    """Follow the link of the open mail whose address contains this."""
    page.locator(f'main a[href*="{address}"]').first.click()
