"""The page of sign-in methods: what is listed, added and removed, and never the last one."""

from collections.abc import Callable

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.models import User
from tests.accounts.people import last_mail, make_person, sign_in, text_of
from tests.accounts.social import (
    X,
    address_in,
    agree,
    come_back,
    event,
    jack,
    ways,
    with_x,
    without_password,
)
from tests.clients import Browser
from tests.factories import NOON
from tests.providers.oauth import OAuthServer
from tests.races import race

METHODS = "/account/methods/"
REMOVE = "/account/methods/remove/"
ADD = "/account/methods/add/"
NEW = "quite-another-1"


# --- Listing


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_page_lists_each_way_with_the_name_there(client: Browser, insider: User) -> None:
    with_x(insider)

    page = text_of(client.get(METHODS))

    assert "Password" in page
    assert "@jack" in page
    assert "Add X" in page
    assert "The only way" not in page


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_long_list_costs_no_more_queries_than_a_short_one(client: Browser, insider: User) -> None:
    with_x(insider)
    client.get(METHODS)
    with CaptureQueriesContext(connection) as short:
        client.get(METHODS)
    for number in range(10):
        with_x(insider, uid=f"10{number}", name=f"@jack{number}")

    with CaptureQueriesContext(connection) as long:
        client.get(METHODS)

    assert len(long) == len(short)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_another_way_is_asked_for_only_where_one_can_be_added(
    client: Browser, insider: User, settings: Settings
) -> None:
    assert insider.has_usable_password()
    assert "Add another one" in text_of(client.get(METHODS))

    settings.SOCIALACCOUNT_PROVIDERS = {}

    page = text_of(client.get(METHODS))
    assert "cannot be removed" in page
    assert "Add another one" not in page


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_the_last_use_is_that_of_each_way(client: Client) -> None:
    person = make_person()
    with_x(person)
    SocialAccount.objects.update(last_login=NOON)

    sign_in(client, person.email)

    person.refresh_from_db()
    password, by_x = accounts.methods_of(person)
    assert password.used_at is not None
    assert password.used_at > NOON
    assert by_x.used_at == NOON

    come_back(Client(), X)

    assert accounts.methods_of(person)[1].used_at > password.used_at  # type: ignore[operator]


# --- Adding


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_social_account_is_added_by_signing_in_to_it(client: Browser, insider: User) -> None:
    answer = client.get(agree(address_in(client.post(ADD, {"provider": X}))))

    assertRedirects(answer, METHODS)
    assert ways(insider) == ["Password", "X as @jack"]
    assert event(insider, "AddSignInMethod").before == {"sign_in_methods": ["Password"]}
    assert last_mail().to == [insider.email]
    assert "X as @jack signs in to your account" in last_mail().subject
    assert "signs in with a password or X as @jack" in str(last_mail().body)
    assert client.session[SESSION_KEY] == str(insider.pk)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_adding_it_twice_adds_it_once(client: Browser, insider: User) -> None:
    for _ in range(2):
        client.get(agree(address_in(client.post(ADD, {"provider": X}))))

    assert ways(insider) == ["Password", "X as @jack"]
    assert len(mail.outbox) == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_what_signs_in_to_another_account_cannot_be_added(client: Browser, insider: User) -> None:
    other = without_password()

    page = client.get(agree(address_in(client.post(ADD, {"provider": X}))), follow=True)

    assert "X as @jack signs in to another account here." in page.content.decode()
    assert ways(insider) == ["Password"]
    assert ways(other) == ["X as @jack"]


@pytest.mark.django_db
def test_adding_needs_a_recent_proof_and_a_form_of_ours(insider: User, x: OAuthServer) -> None:
    late = Browser()
    late.force_login(insider, age=16 * 60)
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(insider)

    answer = late.post(ADD, {"provider": X})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert strict.post(ADD, {"provider": X}).status_code == 403
    assert x.asked == []


@pytest.mark.django_db
@pytest.mark.usefixtures("insider")
def test_adding_what_is_switched_off_leads_back(client: Browser) -> None:
    assertRedirects(client.post(ADD, {"provider": "google"}), METHODS)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_what_was_begun_by_one_person_is_not_added_to_another(
    client: Browser, insider: User
) -> None:
    """Or Eve could have Alice's account open to the account at X that is Eve's."""
    eve = Browser()
    eve.force_login(make_person())
    answer = agree(address_in(eve.post(ADD, {"provider": X})))

    page = client.get(answer)

    assert page.status_code == 400
    assert ways(insider) == ["Password"]


@pytest.mark.django_db
def test_the_provider_of_the_account_is_a_proof_and_that_of_another_is_none(
    client: Browser, x: OAuthServer
) -> None:
    user = without_password()
    client.force_login(user, age=16 * 60)
    late = client.post(REMOVE, {"method": "0"})
    assert late.headers["Location"].startswith(reverse("account_reauthenticate"))
    x.people = jack(id="8", username="other")

    answer = come_back(client, X, process="redirect", next=METHODS)

    assertRedirects(answer, METHODS, fetch_redirect_response=False)
    assert "@other does not sign in to this account" in client.get(METHODS).content.decode()
    assert client.post(REMOVE, {"method": "0"}).headers["Location"] != METHODS
    x.people = jack()

    answer = come_back(client, X, process="redirect", next=METHODS)

    assertRedirects(answer, METHODS)
    assertRedirects(client.post(REMOVE, {"method": "0"}), METHODS)
    assert client.session[SESSION_KEY] == str(user.pk)


# --- Removing


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_removing_asks_first_and_then_it_opens_nothing(client: Browser, insider: User) -> None:
    account = with_x(insider)
    question = text_of(client.get(f"{METHODS}?dialog=remove&method={account.pk}"))
    assert "X as @jack will no longer sign in to this account, and" in question

    assertRedirects(client.post(REMOVE, {"method": account.pk}), METHODS)

    assert ways(insider) == ["Password"]
    removed = event(insider, "RemoveSignInMethod")
    assert removed.before == {"sign_in_methods": ["Password", "X as @jack"]}
    assert removed.after == {"sign_in_methods": ["Password"]}
    assert "X as @jack was removed" in last_mail().subject
    again = Client()
    come_back(again, X)
    assert again.session.get(SESSION_KEY) != str(insider.pk)


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_removing_a_linked_account_ends_the_sessions_that_it_may_have_opened(
    client: Browser, insider: User
) -> None:
    account = with_x(insider)
    thief = Client()
    come_back(thief, X)
    assert thief.get(METHODS).status_code == 200
    assert "all your other sessions end" in text_of(
        client.get(f"{METHODS}?dialog=remove&method={account.pk}")
    )

    client.post(REMOVE, {"method": account.pk})

    assert client.get(METHODS).status_code == 200
    assert thief.get(METHODS).status_code == 302


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_removing_the_password_ends_the_other_sessions(client: Browser, insider: User) -> None:
    with_x(insider)
    elsewhere = Browser()
    elsewhere.force_login(insider)

    assertRedirects(client.post(REMOVE, {"method": "password"}), METHODS)

    insider.refresh_from_db()
    assert ways(insider) == ["X as @jack"]
    assert client.get(METHODS).status_code == 200
    assert elsewhere.get(METHODS).status_code == 302
    assert event(insider, "RemovePassword").after == {"sign_in_methods": ["X as @jack"]}
    assert last_mail().subject == "Your password for Console was removed"
    by_password = Client()
    sign_in(by_password, insider.email)
    assert SESSION_KEY not in by_password.session


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["password", "social"])
@pytest.mark.usefixtures("x")
def test_the_last_way_cannot_be_removed(client: Browser, method: str) -> None:
    user = make_person() if method == "password" else without_password()
    client.force_login(user)
    (last,) = accounts.methods_of(user)
    asked = {"dialog": "remove", "method": last.account_id or "password"}
    question = text_of(client.get(METHODS, asked))
    assert "from then on" not in question
    assert "An account keeps a password or a linked account" in question

    page = client.post(REMOVE, {"method": last.account_id or "password"}, follow=True)

    assert f"{last} cannot be removed: every account keeps" in page.content.decode()
    assert accounts.methods_of(user) == [last]
    assert mail.outbox == []


@pytest.mark.django_db
def test_a_way_that_is_switched_off_does_not_count(client: Browser, insider: User) -> None:
    account = with_x(insider)

    page = client.post(REMOVE, {"method": "password"}, follow=True)

    assert "Password cannot be removed" in page.content.decode()
    assert "Switched off" in page.content.decode()
    client.post(REMOVE, {"method": account.pk})
    assert ways(insider) == ["Password"]


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_a_strangers_way_and_nonsense_remove_nothing(client: Browser, insider: User) -> None:
    with_x(insider, uid="8", name="@alice")
    theirs = SocialAccount.objects.get(user=without_password())

    for method in (theirs.pk, "", "0", "x", "-1", "9" * 30, "9" * 5000, "²"):
        assertRedirects(client.post(REMOVE, {"method": method}), METHODS)

    assert SocialAccount.objects.count() == 2
    assert insider.has_usable_password()


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_removing_twice_is_as_good_as_once(client: Browser, insider: User) -> None:
    account = with_x(insider)

    for _ in range(2):
        assertRedirects(client.post(REMOVE, {"method": account.pk}), METHODS)

    assert len(mail.outbox) == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("x")
def test_removing_needs_a_recent_proof_and_a_form_of_ours(insider: User) -> None:
    account = with_x(insider)
    late = Browser()
    late.force_login(insider, age=16 * 60)
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(insider)

    answer = late.post(REMOVE, {"method": account.pk})

    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert strict.post(REMOVE, {"method": account.pk}).status_code == 403
    assert ways(insider) == ["Password", "X as @jack"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("x")
def test_of_two_ways_removed_at_once_one_stays() -> None:
    cache.clear()
    person = make_person()
    account = with_x(person)

    def removing(method: object) -> Callable[[], int]:
        browser = Browser()
        browser.force_login(person)
        return lambda: browser.post(REMOVE, {"method": method}).status_code

    assert race(removing("password"), removing(account.pk)) == [302, 302]
    assert len(accounts.methods_of(User.objects.get(pk=person.pk))) == 1


@pytest.mark.django_db
def test_what_was_asked_for_is_done_after_the_proof_at_the_provider(
    client: Browser, x: OAuthServer
) -> None:
    user = without_password()
    second = with_x(user, uid="8", name="@second")
    client.force_login(user, age=16 * 60)
    asked = client.post(REMOVE, {"method": second.pk}).headers["Location"]
    assert "Confirm with X" in text_of(client.get(asked))
    x.people = jack()

    back = come_back(client, X, process="redirect", next=asked)
    page = client.get(back.headers["Location"], follow=True)

    assert "X as @second no longer signs in to this account." in page.content.decode()
    assert ways(user) == ["X as @jack"]
