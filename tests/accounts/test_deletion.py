"""Asking to be deleted, being asked first, and taking it back within 30 days."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertRedirects

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.consequences import BlockedError
from accounts.models import Membership, Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from audit import services as audit
from billing import services as billing
from billing.models import BillingCycle
from tests.accounts.people import last_mail, make_person, path_in, sign_in
from tests.clients import Browser
from tests.console.pages import PAGES, Page, ask
from tests.factories import NOON, PASSWORD, make_admin, make_member, make_team
from tests.races import race_behind

pytestmark = pytest.mark.django_db
DELETE, RESTORE = "/account/delete/", "/account/restore/"


def leave(user: User, now: datetime = NOON) -> None:
    accounts.request_deletion(user=user, actor=Actor.for_user(user), now=now)


# --- Asking for it


def test_who_types_their_email_is_signed_out_everywhere_and_mailed_the_date(
    client: Browser,
) -> None:
    person = make_person()
    other = Client()
    for browser in (client, other):
        sign_in(browser, person.email)

    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        client.force_login(person)
        answer = client.post(DELETE, {"confirm": person.email}, follow=True)

    assertRedirects(answer, reverse("account_login"))
    assert "Your account will be erased on 31 March 2026." in answer.content.decode()
    for browser in (client, other):
        assert browser.get("/account/").headers["Location"].startswith(reverse("account_login"))
    message = last_mail()
    assert message.to == [person.email]
    assert "It is erased on 31 March 2026" in message.body
    assert path_in(message) == reverse("account_login")
    assert "31 March 2026" in str(message.alternatives[0][0])  # type: ignore[attr-defined]
    event = audit.log(accounts.personal_team(person)).get(operation="DeleteAccount")
    assert event.after == {
        "deletion_requested_at": "2026-03-01T12:00:00Z",
        "erased_from": "2026-03-31T12:00:00Z",
    }


def test_the_email_may_be_typed_in_capitals(client: Browser) -> None:
    person = make_person()
    client.force_login(person)

    client.post(DELETE, {"confirm": person.email.upper()})

    person.refresh_from_db()
    assert person.is_leaving


@pytest.mark.parametrize("typed", ["", "alice", "nobody@example.test", "nul\0"])
def test_a_wrong_email_deletes_nothing_and_is_told(client: Browser, typed: str) -> None:
    person = make_person()
    client.force_login(person)

    page = client.post(DELETE, {"confirm": typed})

    assert page.status_code == 200
    assert 'aria-invalid="true"' in page.content.decode()
    person.refresh_from_db()
    assert person.deletion_requested_at is None
    assert mail.outbox == []


def test_it_asks_for_proof_when_the_last_is_older_than_15_minutes(client: Browser) -> None:
    person = make_person()
    client.force_login(person, age=16 * 60)

    for answer in (client.get(DELETE), client.post(DELETE, {"confirm": person.email})):
        assert answer.status_code == 302
    person.refresh_from_db()
    assert person.deletion_requested_at is None


def test_it_is_refused_from_another_site() -> None:
    person = make_person()
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(person)

    assert strict.post(DELETE, {"confirm": person.email}).status_code == 403
    person.refresh_from_db()
    assert person.deletion_requested_at is None


def test_the_page_says_what_is_lost_before_it_is(client: Browser) -> None:
    person = make_person()
    team = accounts.personal_team(person)
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.FREE,
        amount_ticks=12 * billing.TICKS_PER_USD,
        label="Welcome",
        idempotency_key="welcome",
        now=NOON,
    )
    actor = Actor.for_user(person)
    api_keys.create(team=team, actor=actor, owner=person, name="notebook", now=NOON)
    make_admin(shared := make_team("Larkspur Labs"))
    Membership.objects.create(team=shared, user=person)
    client.force_login(person)

    page = client.get(DELETE).content.decode()

    assert "$12.00 of credits are forfeited" in page
    assert "notebook" in page
    assert "Larkspur Labs will go on without this account." in page


def test_keys_of_the_personal_team_stop_and_those_of_other_teams_work_on() -> None:
    person = make_person()
    make_admin(shared := make_team())
    Membership.objects.create(team=shared, user=person)
    own, actor = accounts.personal_team(person), Actor.for_user(person)
    for team in (own, shared):
        api_keys.create(team=team, actor=actor, owner=person, name="bot", now=NOON)

    leave(person)

    assert ApiKey.of(own).get().status == ApiKey.Status.DISABLED
    assert ApiKey.of(shared).get().status == ApiKey.Status.ACTIVE
    assert audit.log(own).filter(operation="DisableApiKey").count() == 1

    accounts.restore(user=person, actor=actor, now=NOON)

    assert ApiKey.of(own).get().status == ApiKey.Status.DISABLED


def test_to_ask_twice_changes_nothing_and_mails_once() -> None:
    person = make_person()

    leave(person)
    leave(person, NOON + timedelta(days=9))

    person.refresh_from_db()
    assert person.deletion_requested_at == NOON
    assert len(mail.outbox) == 1


# --- What has to be settled first


def test_the_only_admin_of_a_team_is_told_to_hand_over_or_delete_it_first(client: Browser) -> None:
    person = make_person()
    team = accounts.create_team(name="Larkspur", owner=person, actor=SYSTEM, now=NOON)
    make_member(team)
    client.force_login(person)

    page = client.get(DELETE)
    answer = client.post(DELETE, {"confirm": person.email})

    assert "Larkspur has no other admin." in page.content.decode()
    assert 'name="confirm"' not in page.content.decode()
    assert answer.status_code == 409
    person.refresh_from_db()
    assert person.deletion_requested_at is None

    make_admin(team)

    assert client.post(DELETE, {"confirm": person.email}).status_code == 302


@pytest.mark.parametrize("absence", ["leaving", "closed by support"])
def test_an_admin_who_is_leaving_or_closed_does_not_count(absence: str) -> None:
    person = make_person()
    team = accounts.create_team(name="Larkspur", owner=person, actor=SYSTEM, now=NOON)
    other = make_admin(team)
    if absence == "leaving":
        leave(other)
    else:
        User.objects.filter(pk=other.pk).update(is_active=False)

    with pytest.raises(BlockedError, match="Larkspur has no other admin"):
        leave(person)


def test_debts_of_the_personal_team_come_first() -> None:
    person = make_person()
    BillingCycle.across_teams.create(
        team=accounts.personal_team(person),
        month=NOON.date().replace(day=1),
        charged_ticks=10**10,
        accrued_ticks=10**10,
    )

    with pytest.raises(BlockedError, match="is still to be invoiced"):
        leave(person)


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_leave_at_once_one_has_to_stay() -> None:
    first, second = make_person("Ann"), make_person("Ben")
    team = accounts.create_team(name="Larkspur", owner=first, actor=SYSTEM, now=NOON)
    Membership.objects.create(team=team, user=second, role=Membership.Role.ADMIN)

    told = race_behind(
        lambda: Team.objects.select_for_update().get(pk=team.pk),
        lambda: leave(first),
        lambda: leave(second),
    )

    [refused] = [answer for answer in told if answer is not None]
    assert isinstance(refused, BlockedError), refused
    assert "Larkspur has no other admin" in str(refused)
    assert User.objects.exclude(deletion_requested_at=None).count() == 1


# --- Until it is restored


@pytest.mark.parametrize("page", PAGES, ids=[page.route for page in PAGES])
def test_who_is_leaving_can_open_the_page_that_restores_sign_out_and_nothing_else(
    client: Browser, page: Page
) -> None:
    person = make_person(is_staff=True, is_superuser=True)
    leave(person)
    client.force_login(person)

    answer = ask(client, page.path(accounts.personal_team(person)))

    if page.route == RESTORE:
        assert answer.status_code == 200
        assert "Restore account" in answer.content.decode()
    elif page.name == "account_logout":
        assert "Sign out" in answer.content.decode()
    else:
        assert (answer.status_code, answer.headers["Location"]) == (302, RESTORE)


@pytest.mark.parametrize("path", ["/nothing/here", "/admin/nothing/", "/static-not/", "/v2"])
def test_not_even_a_missing_page_shows_them_their_teams(client: Browser, path: str) -> None:
    person = make_person()
    leave(person)
    client.force_login(person)

    assertRedirects(client.get(path), RESTORE)
    assertRedirects(client.post(path), RESTORE)
    assert accounts.personal_team(person).name not in client.get(RESTORE).content.decode()


def test_a_part_that_htmx_fetches_leads_there_as_a_whole_page(client: Browser) -> None:
    person = make_person()
    leave(person)
    client.force_login(person)

    answer = client.get("/account/", headers={"HX-Request": "true"})

    assert answer.headers["HX-Redirect"] == RESTORE
    assert answer.content == b""


def test_signing_in_leads_to_the_restore_page_and_confirming_restores(client: Browser) -> None:
    person = make_person()
    leave(person)

    landed = client.post(
        reverse("account_login"), {"login": person.email, "password": PASSWORD}, follow=True
    )
    assert landed.redirect_chain[-1][0] == RESTORE
    person.refresh_from_db()
    assert person.is_leaving  # To look at the page restores nothing.

    answer = client.post(RESTORE, follow=True)

    assert "Your account is restored." in answer.content.decode()
    assert client.get("/account/").status_code == 200
    person.refresh_from_db()
    assert person.deletion_requested_at is None
    assert last_mail().subject == "Your account at Console is restored"
    event = audit.log(accounts.personal_team(person)).get(operation="RestoreAccount")
    assert event.after == {"deletion_requested_at": None}


def test_restoring_twice_is_done_and_mailed_once(client: Browser) -> None:
    person = make_person()
    leave(person)
    client.force_login(person)

    for _ in range(2):
        client.post(RESTORE)

    assert len(mail.outbox) == 2  # That it begins, and that it does not.


def test_restoring_is_refused_from_another_site() -> None:
    person = make_person()
    leave(person)
    strict = Browser(enforce_csrf_checks=True)
    strict.force_login(person)

    answer = strict.post(RESTORE)

    assert answer.status_code == 403
    assert accounts.personal_team(person).name not in answer.content.decode()
    person.refresh_from_db()
    assert person.is_leaving


def test_who_is_not_leaving_has_nothing_to_restore(client: Browser) -> None:
    client.force_login(make_person())

    assertRedirects(client.get(RESTORE), "/account/")
    assertRedirects(client.post(RESTORE), "/account/")


def test_a_forgotten_password_can_still_be_reset_and_leads_to_the_same_page(
    client: Browser,
) -> None:
    person = make_person()
    leave(person)
    client.post(reverse("account_reset_password"), {"email": person.email})

    form = client.get(path_in(last_mail()), follow=True)
    landed = client.post(
        form.redirect_chain[-1][0], {"password1": "another-plain-sailing-7"}, follow=True
    )

    assert landed.redirect_chain[-1][0] == RESTORE
    assert client.session[SESSION_KEY] == str(person.pk)
    person.refresh_from_db()
    assert person.is_leaving
