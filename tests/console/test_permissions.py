"""Who may open which page. These tables are the whole truth; a page missing from them fails."""

import re

import pytest
from django.apps import apps
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import Membership
from accounts.rules import MEMBER_PERMISSIONS, Permission, with_reading
from accounts.scoping import TeamOwned
from tests.accounts.people import text_of
from tests.console.pages import OF_STAFF, OF_TEAMS, OTHERS, Page, ask
from tests.factories import make_admin, make_member, make_team, make_user

# Under /team/<id>/: what a member needs.
PERMISSIONS = {
    "accounts_team:members": Permission.TEAM_READ,
    "accounts_team:members_invite": Permission.TEAM_WRITE,
    "accounts_team:members_leave": Permission.TEAM_READ,
    "accounts_team:members_remove": Permission.TEAM_WRITE,
    "accounts_team:members_resend": Permission.TEAM_WRITE,
    "accounts_team:members_revoke": Permission.TEAM_WRITE,
    "accounts_team:members_update": Permission.TEAM_WRITE,
    "accounts_team:settings": Permission.TEAM_READ,
    "accounts_team:settings_delete": Permission.TEAM_WRITE,
    "accounts_team:settings_mfa": Permission.TEAM_WRITE,
    "accounts_team:settings_rename": Permission.TEAM_WRITE,
    "api_keys:create": Permission.API_KEYS_WRITE,
    "api_keys:delete": Permission.API_KEYS_WRITE,
    "api_keys:disable": Permission.API_KEYS_WRITE,
    "api_keys:edit": Permission.API_KEYS_WRITE,
    "api_keys:enable": Permission.API_KEYS_WRITE,
    "api_keys:end_secret": Permission.API_KEYS_WRITE,
    "api_keys:key": Permission.API_KEYS_READ,
    "api_keys:list": Permission.API_KEYS_READ,
    "api_keys:rotate": Permission.API_KEYS_WRITE,
    "api_keys:settings": Permission.TEAM_WRITE,
    "audit:event": Permission.AUDIT_READ,
    "audit:log": Permission.AUDIT_READ,
    "billing:add_method": Permission.BILLING_WRITE,
    "billing:alerts": Permission.BILLING_WRITE,
    "billing:begin_entry": Permission.BILLING_WRITE,
    "billing:buy": Permission.BILLING_WRITE,
    "billing:cancel_transfer": Permission.BILLING_WRITE,
    "billing:charge": Permission.BILLING_WRITE,
    "billing:charge_invoice": Permission.BILLING_WRITE,
    "billing:checkout": Permission.BILLING_WRITE,
    "billing:confirm": Permission.BILLING_WRITE,
    "billing:confirm_invoice": Permission.BILLING_WRITE,
    "billing:credits": Permission.BILLING_READ,
    "billing:details": Permission.BILLING_READ,
    "billing:invoice": Permission.BILLING_READ,
    "billing:invoice_csv": Permission.BILLING_READ,
    "billing:invoice_pdf": Permission.BILLING_READ,
    "billing:invoice_preview": Permission.BILLING_READ,
    "billing:invoices": Permission.BILLING_READ,
    "billing:ledger": Permission.BILLING_READ,
    "billing:ledger_csv": Permission.BILLING_READ,
    "billing:pay_invoice": Permission.BILLING_WRITE,
    "billing:redeem": Permission.BILLING_WRITE,
    "billing:remove_method": Permission.BILLING_WRITE,
    "billing:save_details": Permission.BILLING_WRITE,
    "billing:set_default_method": Permission.BILLING_WRITE,
    "billing:invoice_now": Permission.BILLING_WRITE,
    "billing:spending_limit": Permission.BILLING_WRITE,
    "billing:top_up": Permission.BILLING_WRITE,
    "billing:top_up_off": Permission.BILLING_WRITE,
    "gateway:models": Permission.TEAM_READ,
    "gateway:rate_limits": Permission.TEAM_READ,
    "gateway:rate_limits_increase": Permission.TEAM_WRITE,
    "gateway:rate_limits_use": Permission.TEAM_READ,
    "home": Permission.TEAM_READ,
    "usage:alerts": Permission.USAGE_READ,
    "usage:cancel_export": Permission.USAGE_READ,
    "usage:create_alert": Permission.USAGE_WRITE,
    "usage:delete_alert": Permission.USAGE_WRITE,
    "usage:edit_alert": Permission.USAGE_WRITE,
    "usage:explorer": Permission.USAGE_READ,
    "usage:export": Permission.USAGE_READ,
    "usage:export_file": Permission.USAGE_READ,
    "usage:exports": Permission.USAGE_READ,
    "usage:request": Permission.USAGE_READ,
    "usage:requests": Permission.USAGE_READ,
    "usage:retry_export": Permission.USAGE_READ,
    "usage:table_csv": Permission.USAGE_READ,
    "usage:table_json": Permission.USAGE_READ,
    "usage:values": Permission.USAGE_READ,
}
# Everywhere else. Visitors may open these.
PUBLIC = {
    "/",
    "/account/invitations/<token>/",
    "/account/email/undo/<token>/",
    "/accounts/cancelled/",
    "/accounts/confirm-email/",
    "/accounts/confirm-email/<key>/",
    "/accounts/factor/",
    "/accounts/inactive/",
    "/accounts/login/",
    "/accounts/logout/",
    "/accounts/passkey/",
    "/accounts/new/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/<uidb36>-<key>/",
    "/accounts/signup/",
    "/accounts/social/<provider_id>/",
    "/accounts/social/<provider_id>/callback/",
    "/healthz",
    "/help/",
    "/help/accounts/",
    "/help/api-keys/",
    "/help/billing/",
    "/readyz",
}
# Programs of others post to these, and show by a signature who they are.
SIGNED = {"/api/payments/stripe", "/api/secret-scanning/github"}
# Everyone who is signed in may open these.
SIGNED_IN = {
    "/account/",
    "/account/data/",
    "/account/delete/",
    "/account/email/",
    "/account/email/keep/",
    "/account/email/link/",
    "/account/methods/",
    "/account/methods/add/",
    "/account/methods/link/",
    "/account/methods/remove/",
    "/account/password/",
    "/account/password/set/",
    "/account/restore/",
    "/account/security/",
    "/account/security/app/add/",
    "/account/security/app/remove/",
    "/account/security/browsers/forget/",
    "/account/security/codes/",
    "/account/security/codes/file/",
    "/account/security/codes/make/",
    "/account/security/keys/<pk>/remove/",
    "/account/security/keys/<pk>/rename/",
    "/account/security/keys/add/",
    "/account/security/mail/",
    "/account/security/prove/",
    "/account/sessions/",
    "/account/sessions/<session_id>/end/",
    "/account/sessions/end/",
    "/account/teams/new/",
    "/account/theme/",
    "/team/default/",
    "/team/default/<rest>",
}
# These exist only in a console with DEBUG and without EMAIL_URL.
DEBUG_ONLY = {"/mail/", "/mail/<mail_id>/", "/mail/<mail_id>/html/"}


NOT_FOR_ALL = [page for page in OF_TEAMS if page.permission not in MEMBER_PERMISSIONS]


def each(chosen: list[Page]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", chosen, ids=[page.route for page in chosen])


def among(routes: set[str]) -> list[Page]:
    return [page for page in OTHERS if page.route in routes]


def without_ids(answer: HttpResponse) -> str:
    """Read a page without what the address itself put there."""
    return re.sub(r"[0-9a-f]{8}-[-0-9a-f]{27}", "id", text_of(answer))


def test_every_page_of_a_team_is_in_the_table_with_the_permission_it_asks_for() -> None:
    assert {page.name: page.permission for page in OF_TEAMS} == PERMISSIONS


def test_every_other_page_is_in_exactly_one_table() -> None:
    tables = (PUBLIC, SIGNED, SIGNED_IN, DEBUG_ONLY)
    assert {page.route for page in OTHERS} == set().union(*tables)
    assert len(set().union(*tables)) == sum(map(len, tables))


# --- Pages of a team


@each(OF_TEAMS)
@pytest.mark.django_db
def test_a_stranger_cannot_tell_that_the_team_exists(client: Client, page: Page) -> None:
    client.force_login(make_admin(make_team()))

    team = make_team()
    existing, imagined = ask(client, page.path(team)), ask(client, page.path())

    assert existing.status_code == imagined.status_code == 404
    assert without_ids(existing) == without_ids(imagined)


@each(OF_TEAMS)
@pytest.mark.django_db
def test_a_visitor_is_sent_to_sign_in(client: Client, page: Page) -> None:
    for answer in (client.get(page.path(make_team())), client.post(page.path(make_team()))):
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("account_login"))


@each(NOT_FOR_ALL)
@pytest.mark.django_db
def test_a_member_without_the_permission_is_told_which_one_the_page_needs(
    client: Client, page: Page
) -> None:
    team = make_team("Larkspur")
    needed = PERMISSIONS[page.name]
    others = [p for p in Permission if needed not in with_reading(frozenset({p}))]
    client.force_login(make_member(team, extra=others))

    answer = ask(client, page.path(team))

    assert answer.status_code == 403
    assert f"You need permission to {needed.sentence} in Larkspur." in answer.content.decode()


@each(OF_TEAMS)
@pytest.mark.django_db
def test_a_member_with_that_one_permission_is_let_in(client: Client, page: Page) -> None:
    team = make_team()
    client.force_login(make_member(team, extra=[PERMISSIONS[page.name]]))

    answer = ask(client, page.path(team))

    # 404 where the address names a thing that does not exist.
    expected = {404} if "<" in page.route.removeprefix("/team/<team_id>/") else {200, 302}
    assert answer.status_code in expected


@each(NOT_FOR_ALL)
@pytest.mark.django_db
def test_who_leaves_a_team_is_a_stranger_at_once(client: Client, page: Page) -> None:
    team = make_team()
    member = make_member(team, Membership.Role.ADMIN)
    client.force_login(member)
    Membership.objects.filter(user=member, team=team).delete()

    assert ask(client, page.path(team)).status_code == 404


# --- All other pages


@each(among(PUBLIC))
@pytest.mark.django_db
def test_a_visitor_may_open_the_public_pages(client: Client, page: Page) -> None:
    answer = client.get(page.path())

    # 404 where the address names a thing that does not exist.
    assert answer.status_code in {200, 302, 503, *({404} if "<" in page.route else ())}
    if answer.status_code == 302:
        # The start leads on to the door, but not as from a locked page.
        assert answer.headers["Location"] == reverse("account_login")


@each(among(SIGNED))
@pytest.mark.django_db
def test_nobody_is_heard_without_a_signature_signed_in_or_not(client: Client, page: Page) -> None:
    for _ in range(2):
        assert client.get(page.path()).status_code == 405
        assert client.post(page.path()).status_code == 400
        client.force_login(make_user())


@each(among(SIGNED_IN))
@pytest.mark.django_db
def test_who_is_signed_in_may_open_pages_that_need_no_team_and_a_visitor_may_not(
    client: Client, page: Page
) -> None:
    visit = client.get(page.path())
    assert visit.status_code == 302
    assert visit.headers["Location"].startswith(reverse("account_login") + "?next=")

    client.force_login(make_user())

    answer = ask(client, page.path())
    assert answer.status_code in {200, 302}
    assert not answer.headers.get("Location", "").startswith(reverse("account_login") + "?next=")


@each(among(DEBUG_ONLY))
@pytest.mark.django_db
def test_nobody_may_open_pages_for_development_without_debug(client: Client, page: Page) -> None:
    assert client.get(page.path()).status_code == 404

    client.force_login(make_user())

    assert client.get(page.path()).status_code == 404


@pytest.mark.django_db
def test_no_page_of_the_admin_is_open_to_visitors_or_customers(client: Client) -> None:
    customer = Client()
    customer.force_login(make_admin(make_team()))

    for page in OF_STAFF:
        visit = client.get(page.path(), follow=True)
        assert visit.redirect_chain[-1][0].startswith(reverse("account_login")), page
        for ask_for in (customer.get, customer.post):
            assert ask_for(page.path(), follow=True).status_code == 403, page


# --- Rows of a team


def test_every_model_that_belongs_to_a_team_has_a_door_and_no_other_entrance() -> None:
    owned = [
        model
        for model in apps.get_models()
        if "team" in {field.name for field in model._meta.fields}
        and model._meta.app_label != "accounts"
    ]

    assert owned
    for model in owned:
        assert issubclass(model, TeamOwned), model
        assert hasattr(model, "of"), model
        assert not hasattr(model, "objects"), model
