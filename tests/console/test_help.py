"""The help pages: open to everyone, complete, and without a dead link."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import services as accounts
from accounts.actors import SYSTEM
from tests.accounts.people import make_person
from tests.factories import NOON

pytestmark = pytest.mark.django_db
HELP, ACCOUNTS, KEYS = "/help/", "/help/accounts/", "/help/api-keys/"
BILLING = "/help/billing/"


def links(page: str) -> set[str]:
    return set(re.findall(r'href="([^"]+)"', page))


def read(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("path", [HELP, ACCOUNTS, KEYS, BILLING])
def test_everyone_can_read_it(client: Client, path: str) -> None:
    assert "Skip to content" in read(client, path)
    assert 'aria-label="Team"' not in read(client, path)

    client.force_login(make_person())

    # Signed in it has the console around it.
    assert 'aria-label="Team"' in read(client, path)


@pytest.mark.parametrize("path", [HELP, ACCOUNTS, KEYS, BILLING])
def test_every_link_on_it_leads_somewhere(client: Client, path: str) -> None:
    client.force_login(make_person())
    page = read(client, path)

    for link in links(page):
        target, _, anchor = link.partition("#")
        if not target.startswith("/") or target.startswith(("/static/", "/team/")):
            continue
        answer = client.get(target, follow=True)
        assert answer.status_code == 200, link
        if anchor:
            assert f'id="{anchor}"' in answer.content.decode(), link


@pytest.mark.parametrize(
    "answer",
    [
        "at most one of them has a password",
        "two accounts can never be merged",
        "one of your recovery codes",
        "Support can neither switch off nor replace a second factor",
        "Paying is separate",
        "estimated from the IP address",
        "For 30 days nothing is erased.",
        "Once it is erased, 30 days later, you can sign up with the same address and a password",
    ],
)
def test_it_answers_what_people_ask(client: Client, answer: str) -> None:
    assert answer in read(client, ACCOUNTS)


@pytest.mark.parametrize(
    "answer",
    [
        "Make sure at the top of the page that you are in the right team",
        "<li>Free and promo credits, those that expire first</li>",
        "The spending limit of a team is $0.00 until somebody raises it",
        "when you buy them. They go to the team that the checkout names.",
        "is charged at the end of the month",
        "the cost is calculated when a request is answered",
        "never changed and never issued a second time",
        "No, except where the law requires it.",
        "cards that were issued in India",
        "adds tokens of its own to every prompt",
        "With the tax office it is not verified.",
        "A transfer takes 2 to 3 business days.",
        "If nothing arrives within 10 days, the transfer lapses",
        "below how much is bought, how much is bought each time, and how much in a month at most",
        "At most 5 top-ups are made in 24 hours",
        "A payment that fails stops auto top-up",
        "is kept on file for the team once it has paid",
        "The last one cannot be removed",
    ],
)
def test_it_answers_what_people_ask_about_billing(client: Client, answer: str) -> None:
    assert answer in read(client, BILLING)


def test_it_has_no_answer_about_a_way_to_pay_that_is_not_offered(
    client: Client, settings: Settings
) -> None:
    settings.PAYMENTS = "stripe"  # Without an account for transfers.
    settings.PURCHASE_MAX_USD = 10  # Less than the least top-up.

    for path in (HELP, BILLING):
        page = read(client, path)
        assert "ransfer" not in page
        assert "op-up" not in page


def test_it_bears_the_names_that_the_operator_chose(client: Client, settings: Settings) -> None:
    settings.CONSOLE_NAME = "Larkspur Inference"
    settings.SUPPORT_EMAIL = "care@larkspur.example"
    settings.PRIVACY_URL = "https://larkspur.example/privacy"

    page = read(client, ACCOUNTS)

    assert "Larkspur Inference" in page
    assert "mailto:care@larkspur.example" in page
    assert "https://larkspur.example/privacy" in page


def test_the_door_and_the_menu_lead_to_it(client: Client) -> None:
    assert HELP in links(read(client, reverse("account_login")))

    client.force_login(make_person())

    assert HELP in links(read(client, "/account/"))


def test_who_is_leaving_reads_it_signed_out(client: Client) -> None:
    person = make_person()
    accounts.request_deletion(user=person, actor=SYSTEM, now=NOON)
    client.force_login(person)
    assert client.get(HELP).status_code == 302

    client.post(reverse("account_logout"))

    read(client, HELP)
