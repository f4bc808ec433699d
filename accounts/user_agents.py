"""What a browser calls itself, in words: "Firefox on Linux"."""

from functools import lru_cache
from typing import Final

READ_AT_MOST: Final = 300
NAME_AT_MOST: Final = 40
UNKNOWN: Final = "Unknown device"

BROWSERS: Final = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "HeadlessChrome": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Opera Mobile": "Opera",
    "Samsung Internet": "Samsung Internet",
}
SYSTEMS: Final = {"Mac OS X": "macOS", "Chrome OS": "ChromeOS"}


@lru_cache(maxsize=1024)
def device_of(user_agent: str) -> str:
    """Name a browser and its system without versions, so that an update makes no new device."""
    # Its patterns take a moment to load, and not every process needs them.
    from ua_parser import parse  # noqa: PLC0415

    parsed = parse(user_agent[:READ_AT_MOST])
    browser = parsed.user_agent.family if parsed.user_agent else ""
    system = parsed.os.family if parsed.os else ""
    browser = BROWSERS.get(browser, browser)[:NAME_AT_MOST]
    system = SYSTEMS.get(system, system)[:NAME_AT_MOST]
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"Unknown browser on {system}" if system else UNKNOWN)
