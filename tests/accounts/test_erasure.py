"""Erasing a person: nothing that says who it was is left anywhere, and nothing else is lost."""

from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts import tasks
from accounts.models import EmailChange, Invitation, Membership, SignIn, Team, User
from api_keys.models import ApiKey
from billing import services as billing
from billing.models import CreditGrant, Invoice, LedgerEntry
from tests.accounts.erasing import (
    BROWSER,
    DUE,
    EMAIL,
    GOOGLE_EMAIL,
    HANDLE,
    HOME_IP,
    NAME,
    OLD_EMAIL,
    OLD_NAME,
    PROGRAM_IP,
    ask,
    found,
    live,
    use,
)
from tests.accounts.people import make_person, sign_in, sign_up
from tests.clients import Browser
from tests.factories import NOON, make_team
from usage import services as usage
from usage import stores
from usage.models import UsageEvent
from usage.rules import Answer, Dimension, Question

pytestmark = pytest.mark.django_db


# --- What goes


def test_nothing_that_says_who_it_was_is_left_in_any_table_but_on_issued_receipts(
    person: User,
) -> None:
    client = Browser(REMOTE_ADDR=HOME_IP, headers={"user-agent": BROWSER})
    live(person, client)
    names = (NAME, OLD_NAME, HANDLE, EMAIL, OLD_EMAIL, GOOGLE_EMAIL)
    everything = (*names, HOME_IP, PROGRAM_IP, BROWSER, "Quillham")
    assert len(found(*everything)) > 20  # Or the search would prove nothing.

    ask(person)
    assert accounts.erase_due(now=DUE) == 1
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        tasks.clear_cache(timestamp=0)

    # The law has receipts kept as they were issued; docs/personal-data.md says so.
    assert found(*everything) == {("billing_invoice", "buyer")}


def test_what_is_sent_to_an_address_that_was_only_claimed_is_left_alone(person: User) -> None:
    stranger = "stranger@example.test"
    EmailAddress.objects.create(user=person, email=stranger)
    SocialAccount.objects.create(
        user=person, provider="oidc", uid="1", extra_data={"name": stranger}
    )
    Invitation.across_teams.create(
        team=make_team(),
        email=stranger,
        digest="1" * 64,
        created_at=DUE,
        sent_at=DUE,
        expires_at=DUE,
    )
    ask(person)

    accounts.erase_due(now=DUE)

    assert Invitation.across_teams.get().email == stranger


def test_an_erased_account_has_no_rows_that_could_open_it(person: User, client: Client) -> None:
    own, shared = live(person, client)
    key = ApiKey.of(own).get()
    ask(person)

    accounts.erase_due(now=DUE)

    for model in (EmailAddress, Authenticator, SocialAccount, SignIn, EmailChange, Membership):
        assert not model.objects.filter(user=person).exists(), model
    assert not Invitation.across_teams.filter(email=EMAIL).exists()
    assert Invitation.of(shared).get().invited_by is None
    person.refresh_from_db()
    assert (person.is_active, person.has_usable_password()) == (False, False)
    assert (person.timezone, person.last_login, person.last_team) == ("UTC", None, None)
    own.refresh_from_db()
    assert own.closed_at == DUE
    key.refresh_from_db()
    assert (key.status, key.name) == (ApiKey.Status.DELETED, "Deleted key")


def test_who_signed_in_to_think_about_it_is_signed_out_by_the_erasure(person: User) -> None:
    ask(person)
    sign_in(Client(), EMAIL)
    assert Session.objects.exists()

    accounts.erase_due(now=DUE)

    assert not Session.objects.exists()
    assert not UserSession.objects.exists()


def test_staff_who_are_erased_are_staff_no_more() -> None:
    staff = make_person("Sam", is_staff=True, is_superuser=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_team"))
    ask(staff)

    accounts.erase_due(now=DUE)

    staff.refresh_from_db()
    assert not any(accounts.standing(staff).values())


def test_who_is_erased_can_never_sign_in_and_their_address_is_free(person: User) -> None:
    ask(person)
    accounts.erase_due(now=DUE)

    again, reset = Client(), Client()
    assert "is not right" in sign_in(again, EMAIL).content.decode()
    for email in (EMAIL, f"deleted-{person.pk}@invalid"):
        reset.post("/accounts/password/reset/", {"email": email})
        assert not any("/password/reset/key/" in str(m.body) for m in mail.outbox)
    person.refresh_from_db()
    again.force_login(person)
    assert again.get("/account/").status_code == 302

    sign_up(Client(), EMAIL)

    newcomer = User.objects.get(email=EMAIL)
    assert newcomer.pk != person.pk
    assert accounts.personal_team(newcomer).closed_at is None


# --- What stays


def test_the_books_are_right_afterwards_and_say_what_was_forfeited(
    person: User, client: Client
) -> None:
    own, shared = live(person, client)
    receipts = list(Invoice.across_teams.order_by("pk").values())
    ask(person)

    accounts.erase_due(now=DUE)

    assert list(billing.differences()) == []
    assert list(Invoice.across_teams.order_by("pk").values()) == receipts
    assert billing.balance(own, now=DUE).total_ticks == 0
    lost = LedgerEntry.of(own).filter(kind=LedgerEntry.Kind.FORFEIT)
    assert sum(entry.amount_ticks for entry in lost) == -25 * billing.TICKS_PER_USD - 5
    assert billing.balance(shared, now=DUE).prepaid_ticks == 25 * billing.TICKS_PER_USD
    assert CreditGrant.of(shared).get().label == f"Bought by {person.pseudonym}"
    # What staff typed is not cut up, but replaced by what the credits are.
    assert {grant.label for grant in CreditGrant.of(own)} == {
        f"Bought by {person.pseudonym}",
        "Free",
    }


def test_usage_keeps_its_sums_without_the_addresses(person: User) -> None:
    own, key_id = accounts.personal_team(person), uuid4()
    use(own, key_id, HOME_IP, PROGRAM_IP, "0.0.0.0")  # noqa: S104 -- as unknown ones are kept
    others = make_team()
    use(others, key_id, HOME_IP)
    usage.feed(now=NOON)
    use(own, key_id, HOME_IP)  # Not in the sums yet when the time comes.
    ask(person)

    accounts.erase_due(now=DUE)

    for _ in range(2):
        ((_, ip), sums), *rest = by_address(own).items()
        assert (ip, sums.requests, sums.prompt_text, rest) == ("0.0.0.0", 4, 40, [])  # noqa: S104
        usage.feed(now=DUE)
    assert {event.ip for event in UsageEvent.of(own)} == {"0.0.0.0"}  # noqa: S104
    assert [ip for _, ip in by_address(others)] == [HOME_IP]


def by_address(team: Team) -> Answer:
    hour = (NOON, NOON + timedelta(hours=1))
    question = Question(team_id=team.pk, starts=hour, zone=ZoneInfo("UTC"), group=Dimension.IP)
    return stores.current().query(question)
