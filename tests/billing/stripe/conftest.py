"""A console in Stripe mode, and a Stripe that is empty before each test."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.servers import free_port, until
from tests.stripe_server import KEY, PUBLISHABLE_KEY, StripeServer

WEBHOOK_SECRET = "whsec_of_the_tests"


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeServer]:
    with StripeServer(free_port()) as server:
        until(server.is_up, "localstripe")
        yield server


@pytest.fixture
def stripe(stripe_server: StripeServer, settings: Settings) -> StripeServer:
    stripe_server.empty()
    settings.PAYMENTS = "stripe"
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_PUBLISHABLE_KEY = PUBLISHABLE_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_API_URL = stripe_server.url
    settings.STRIPE_JS_URL = stripe_server.js_url
    return stripe_server
