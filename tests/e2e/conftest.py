"""A real Chromium for the tests of pages, which fails a test whose page complains."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

from tests import chromium
from tests.e2e.people import enter
from tests.servers import Console

# The address bar's popups: nobody sees them, and making them takes longer than making the window.
SUPERFLUOUS = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"]
# What Playwright switches off itself, since of two such lists Chromium heeds the last.
OF_PLAYWRIGHT = [
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
]
ARGUMENTS = [
    "--no-sandbox",  # Chromium refuses to run as root with it.
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--disable-features={','.join([*SUPERFLUOUS, *OF_PLAYWRIGHT])}",
]


# Not for the session: as long as it is there an event loop runs in this thread, in which Django
# would refuse the database to the tests that come after these.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def world(server: Console) -> dict[str, Any]:
    """Fill the shared console with the demo world; return who can sign in to it."""
    made: dict[str, Any] = json.loads(server.manage("demo", "--json"))
    return made


@pytest.fixture
def problems() -> list[str]:
    """List what the page has complained of; a test that provokes some clears it."""
    return []


@pytest.fixture
def page(browser: Browser, server: Console, problems: list[str]) -> Iterator[Page]:
    """Open a window at the shared console, signed in as nobody."""
    context = browser.new_context(base_url=server.base_url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    page = context.new_page()
    watch(page, problems)
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def staff(
    browser: Browser, server: Console, world: dict[str, Any], problems: list[str]
) -> Iterator[Page]:
    """Open a second window, in which support staff are signed in to the admin."""
    with browser.new_context(base_url=server.base_url) as context:
        page = context.new_page()
        watch(page, problems)
        enter(page, **world["staff"])
        yield page


def watch(page: Page, problems: list[str]) -> None:
    """Note what must not happen on any page: errors of scripts, of the policy, of the server."""

    def on_console(message: ConsoleMessage) -> None:
        # A refused page is no problem of the browser's; `on_response` judges what was refused.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            problems.append(f"{page.url}: {message.text}")

    def on_response(response: Response) -> None:
        part = response.request.resource_type not in {"document", "xhr", "fetch"}
        if response.status >= 500 or (part and response.status >= 400):
            problems.append(f"{response.status} for {response.request.method} {response.url}")

    page.on("console", on_console)
    page.on("response", on_response)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
