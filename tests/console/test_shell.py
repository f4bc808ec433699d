"""What surrounds every page: the way around, the teams, the theme, news, and pages for errors."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.messages import constants
from django.contrib.messages.storage.session import SessionStorage
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path, resolve, reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Membership, Team, User
from accounts.rules import Permission
from console.context_processors import NAV
from console.middleware import TimezoneMiddleware
from tests.factories import NOON, make_admin, make_member, make_team, make_user

pytestmark = pytest.mark.django_db


def home_of(team: Team) -> str:
    return reverse("home", args=[team.pk])


def sidebar(html: str) -> list[str]:
    nav = html[html.index('<nav id="nav"') :]
    return re.findall(r"</svg>([^<]+)</a>", nav[: nav.index("</nav>")])


# --- The way around ---------------------------------------------------------------------------


def test_every_link_of_the_sidebar_asks_for_the_permission_of_its_page() -> None:
    team = make_team()

    for entry in NAV:
        view = resolve(reverse(entry.url_name, args=[team.pk])).func

        assert vars(view)["permission"] == entry.permission, entry.label


def test_an_admin_finds_every_page_and_the_balance(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    html = client.get(home_of(team)).content.decode()

    assert sidebar(html) == [
        "Home", "API keys", "Models", "Rate limits", "Usage", "Audit log", "Billing", "Members",
        "Settings",
    ]  # fmt: skip
    assert "<span>Available</span> <output>$0.00</output>" in html


def test_a_member_finds_only_what_they_may_open(client: Client) -> None:
    team = make_team()
    client.force_login(make_member(team))

    html = client.get(home_of(team)).content.decode()

    assert sidebar(html) == [
        "Home", "API keys", "Models", "Rate limits", "Members", "Settings",
    ]  # fmt: skip
    assert "<span>Available</span>" not in html


def test_a_single_permission_adds_its_page(client: Client) -> None:
    team = make_team()
    client.force_login(make_member(team, extra=[Permission.AUDIT_READ]))

    html = client.get(home_of(team)).content.decode()

    assert sidebar(html) == [
        "Home", "API keys", "Models", "Rate limits", "Audit log", "Members", "Settings",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url_name", "label"),
    [
        ("billing:invoices", "Billing"),
        ("gateway:models", "Models"),
        ("gateway:rate_limits", "Rate limits"),
        ("home", "Home"),
        ("accounts_team:members", "Members"),
        ("accounts_team:settings", "Settings"),
    ],
)
def test_the_sidebar_says_where_one_is(client: Client, url_name: str, label: str) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    html = client.get(reverse(url_name, args=[team.pk])).content.decode()

    nav = html[html.index('<nav id="nav"') :]
    [current] = re.findall(r'aria-current="page">.*?</svg>([^<]+)</a>', nav[: nav.index("</nav>")])
    assert current == label


def test_the_switcher_has_ones_own_teams_and_no_other(client: Client) -> None:
    mine, other, strange = make_team("Larkspur"), make_team("Staging"), make_team("Rivals")
    alice = make_admin(mine, "Alice")
    Membership.objects.create(team=other, user=alice)
    client.force_login(alice)

    html = client.get(home_of(mine)).content.decode()

    assert f'href="{home_of(mine)}" aria-current="true"' in html
    assert f'href="{home_of(other)}"' in html
    assert home_of(strange) not in html


def test_a_page_costs_the_same_in_many_teams_as_in_few(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    team = make_team()
    alice = make_admin(team)
    client.force_login(alice)
    client.get(home_of(team))
    with CaptureQueriesContext(connection) as few:
        client.get(home_of(team))

    for _ in range(20):
        Membership.objects.create(team=make_team(), user=alice)

    with django_assert_num_queries(len(few)):
        client.get(home_of(team))


# --- /, /team/default/ ------------------------------------------------------------------------


def test_the_bare_address_leads_to_the_team_or_to_sign_in(client: Client) -> None:
    visitor = client.get("/")
    client.force_login(make_user())
    person = client.get("/")

    assert visitor["Location"] == reverse("account_login")
    assert person["Location"] == "/team/default/"


def test_head_is_answered_as_get_is_without_the_page(client: Client) -> None:
    client.force_login(make_admin(make_team()))

    for address in (reverse("default_team"), reverse("accounts:new_team")):
        head, get = client.head(address), client.get(address)

        assert (head.status_code, head.headers.get("Location")) == (
            get.status_code,
            get.headers.get("Location"),
        )
        assert head.content == b""


def test_the_default_team_is_the_one_last_used(client: Client) -> None:
    first, second = make_team(), make_team()
    alice = make_admin(first)
    Membership.objects.create(team=second, user=alice)
    client.force_login(alice)
    client.get(home_of(second))

    response = client.get("/team/default/billing/?dialog=buy")

    assert response["Location"] == f"{home_of(second)}billing/?dialog=buy"


def test_a_team_one_has_left_is_not_the_default(client: Client) -> None:
    team = make_team()
    alice = make_admin(team, "Alice")
    client.force_login(alice)
    client.get(home_of(team))
    Membership.objects.filter(team=team).delete()

    response = client.get("/team/default/")

    assert response["Location"] != home_of(team)
    assert client.get(response["Location"]).status_code == 200


# --- The theme --------------------------------------------------------------------------------


def test_a_theme_is_kept_with_the_account_and_drawn_by_the_server(client: Client) -> None:
    team = make_team()
    alice = make_admin(team)
    client.force_login(alice)

    response = client.post(reverse("theme"), {"theme": "dark", "next": home_of(team)})

    assert response["Location"] == home_of(team)
    assert '<html lang="en" data-theme="dark">' in client.get(home_of(team)).content.decode()


def test_the_systems_theme_is_no_theme(client: Client) -> None:
    team = make_team()
    alice = make_admin(team)
    client.force_login(alice)
    client.post(reverse("theme"), {"theme": "dark"})

    client.post(reverse("theme"), {"theme": ""})

    assert '<html lang="en">' in client.get(home_of(team)).content.decode()


@pytest.mark.parametrize(
    "next_url",
    ["https://evil.example/", "//evil.example/", "javascript:0", "foo", "a:b", "foo.bar", ""],
)
def test_a_theme_leads_back_to_our_own_pages_only(client: Client, next_url: str) -> None:
    alice = make_user()
    client.force_login(alice)

    response = client.post(reverse("theme"), {"theme": "purple", "next": next_url})

    alice.refresh_from_db()
    assert response["Location"] == "/team/default/"
    assert alice.theme == User.Theme.SYSTEM


# --- The policy -------------------------------------------------------------------------------


@pytest.mark.parametrize("url_name", [entry.url_name for entry in NAV])
def test_no_page_has_styles_or_scripts_of_its_own(client: Client, url_name: str) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    response = client.get(reverse(url_name, args=[team.pk]))

    html = response.content.decode()
    assert "style-src 'self'" in response["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert not re.search(r"<script(?![^>]*(?:\ssrc=|application/json))", html)


def test_published_styles_find_their_font_and_their_base_by_hashed_names(tmp_path: Path) -> None:
    storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}

    with override_settings(STATIC_ROOT=tmp_path, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)

    published = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    css = (tmp_path / published["console.css"]).read_text()
    for name in ("vendor/pico/pico.min.css", "vendor/inter/inter-latin.woff2"):
        assert published[name] in css
    assert "http" not in css


# --- htmx -------------------------------------------------------------------------------------


def test_htmx_is_sent_to_sign_in_with_the_whole_page_and_back_to_it(client: Client) -> None:
    team = make_team()
    page = f"http://testserver{home_of(team)}?day=1"

    response = client.get(
        reverse("api_keys:list", args=[team.pk]),
        headers={"HX-Request": "true", "HX-Current-URL": page},
    )

    assert response.status_code == 200
    next_page = f"{home_of(team)}%3Fday%3D1"
    assert response["HX-Redirect"] == f"{reverse('account_login')}?next={next_page}"


def test_a_browser_is_redirected_to_sign_in_as_ever(client: Client) -> None:
    response = client.get(reverse("api_keys:list", args=[make_team().pk]))

    assert response.status_code == 302
    assert "HX-Redirect" not in response


def test_news_reaches_a_part_of_a_page_by_header_and_once(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))
    keys_url = reverse("api_keys:list", args=[team.pk])
    leave_a_message(client, "Disabled the key “web”.")
    part = {"HX-Request": "true", "HX-Target": "api-keys"}

    first = client.get(keys_url, headers=part)
    second = client.get(keys_url, headers=part)

    news = {"text": "Disabled the key “web”.", "tone": "good", "icon": "check"}
    assert json.loads(first["HX-Trigger"]) == {"console:news": {"news": [news]}}
    assert "HX-Trigger" not in second


def test_a_whole_page_shows_its_news_itself(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))
    leave_a_message(client, "Saved <b>it</b>.")

    response = client.get(home_of(team))

    html = response.content.decode()
    assert '<div class="note" data-tone="good">' in html
    assert "Saved &lt;b&gt;it&lt;/b&gt;." in html
    assert "HX-Trigger" not in response


def leave_a_message(client: Client, text: str) -> None:
    """Put a message into the session, as the request before would have."""
    request = RequestFactory().get("/")
    request.session = client.session
    storage = SessionStorage(request)
    storage.add(constants.SUCCESS, text)
    storage.update(HttpResponse())
    request.session.save()


# --- Clocks -----------------------------------------------------------------------------------


def test_times_are_in_the_persons_zone_while_their_page_is_made() -> None:
    alice = make_user()
    alice.timezone = "Asia/Tokyo"
    seen = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(timezone.localtime(datetime(2026, 3, 1, 12, tzinfo=UTC)).hour)
        return HttpResponse()

    request = RequestFactory().get("/")
    request.user = alice
    TimezoneMiddleware(view)(request)

    assert seen == [21]
    assert timezone.localtime(NOON).hour == 12


# --- Errors -----------------------------------------------------------------------------------


@override_settings(DEBUG=False)
def test_a_wrong_address_says_so_in_the_look_to_people_and_to_visitors(client: Client) -> None:
    visitor = client.get("/nowhere/")
    client.force_login(make_user())
    person = client.get("/nowhere/")

    assert visitor.status_code == person.status_code == 404
    assert "There is nothing at this address" in visitor.content.decode()
    assert '<body class="door"' in visitor.content.decode()
    assert '<body class="shell"' in person.content.decode()


def test_a_refusal_names_the_permission_that_is_missing(client: Client) -> None:
    team = make_team("Larkspur")
    client.force_login(make_member(team))

    response = client.get(reverse("billing:credits", args=[team.pk]))

    assert response.status_code == 403
    assert "billing:read" in response.content.decode()
    assert "Larkspur" in response.content.decode()


def test_a_form_without_its_token_is_told_to_reload() -> None:
    client = Client(enforce_csrf_checks=True)

    response = client.post(reverse("account_login"), {"login": "a@example.test"})

    assert response.status_code == 403
    assert "This page was open for too long" in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "500.html"])
def test_a_page_for_a_broken_server_asks_nothing_of_it(
    template: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        html = render_to_string(template)

    assert "console.css" in html
    assert "<h1" in html


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This view is broken.")


urlpatterns = [path("broken/", login_not_required(broken))]


@override_settings(DEBUG=False, ROOT_URLCONF=__name__)
def test_a_broken_page_says_that_it_is_our_fault(client: Client) -> None:
    client.raise_request_exception = False

    response = client.get("/broken/")

    assert response.status_code == 500
    assert "The fault is ours" in response.content.decode()
