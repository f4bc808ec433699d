"""What staff see of keys: which there are, and one thing to do: report that a secret leaked."""

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import User
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak
from audit import services as audit
from tests.accounts.people import make_person
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_team
from tests.support.door import enter

pytestmark = pytest.mark.django_db

FOUND = {"url": "https://forum.test/t/7", "source": "forum post"}


@pytest.fixture
def staff(client: Browser) -> User:
    """Sign in as support staff who may change keys, and are no superusers."""
    sam = make_person("Sam Support", is_staff=True)
    sam.user_permissions.set(Permission.objects.filter(content_type__app_label="api_keys"))
    enter(client, sam)
    return sam


@pytest.fixture
def key() -> ApiKey:
    team = make_team()
    created = api_keys.create(
        team=team, actor=SYSTEM, owner=make_admin(team), name="returns-bot", now=NOON
    )
    return created.key


def page_of(key: ApiKey) -> str:
    return reverse("admin:api_keys_apikey_report_leak", args=[key.pk])


@pytest.mark.usefixtures("staff")
def test_staff_see_keys_but_not_their_digests(client: Browser, key: ApiKey) -> None:
    listed = client.get(reverse("admin:api_keys_apikey_changelist"), {"q": "returns"})
    shown = client.get(reverse("admin:api_keys_apikey_change", args=[key.pk]))

    for page in (listed.content.decode(), shown.content.decode()):
        assert "returns-bot" in page
        assert key.redacted in page
        assert key.digest not in page


@pytest.mark.usefixtures("staff")
def test_staff_cannot_change_keys_here(client: Browser, key: ApiKey) -> None:
    for page in ("change", "delete"):
        there = reverse(f"admin:api_keys_apikey_{page}", args=[key.pk])
        assert client.post(there, {"name": "other", "post": "yes"}).status_code == 403
    assert client.get(reverse("admin:api_keys_apikey_add")).status_code == 403
    assert ApiKey.across_teams.get().name == "returns-bot"


def test_staff_report_a_leak_and_the_key_is_blocked_like_by_any_report(
    client: Browser, staff: User, key: ApiKey
) -> None:
    shown = client.get(reverse("admin:api_keys_apikey_change", args=[key.pk]))
    assert page_of(key) in shown.content.decode()
    assert "returns-bot" in client.get(page_of(key)).content.decode()

    answer = client.post(page_of(key), FOUND, follow=True)

    assert "The key returns-bot is blocked." in answer.content.decode()
    assert ApiKey.across_teams.get().status == ApiKey.Status.BLOCKED
    leak = KeyLeak.across_teams.get()
    assert (leak.get_reporter_display(), leak.url, leak.source) == ("Support", *FOUND.values())
    (message,) = mail.outbox
    assert "Where: https://forum.test/t/7 (forum post)" in str(message.body)
    event = audit.log(key.team).get(operation="ReportLeakedApiKey")
    assert (event.actor_kind, event.actor_label) == ("staff", staff.name)
    leaks = client.get(reverse("admin:api_keys_keyleak_changelist"), {"q": "forum.test"})
    assert key.redacted in leaks.content.decode()


@pytest.mark.usefixtures("staff")
def test_a_second_report_adds_where_it_was_found_and_mails_nobody(
    client: Browser, key: ApiKey
) -> None:
    client.post(page_of(key), FOUND)

    assert "It is blocked already" in client.get(page_of(key)).content.decode()
    client.post(page_of(key), FOUND)  # A double click.
    answer = client.post(page_of(key), FOUND | {"url": "https://paste.test/8"}, follow=True)

    assert "did not work any more. Nobody was mailed." in answer.content.decode()
    assert KeyLeak.across_teams.count() == 2
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"source": ""}, "Say what the secret was found in."),
        ({"source": "x" * 61}, "at most 60 characters"),
        ({"url": "javascript:alert(1)"}, "This is not a web address."),
        ({"url": f"https://x.test/?key=ck-{'a' * 80}"}, "Leave the secret out."),
        ({"source": f"ck-{'a' * 80}"}, "at most 60 characters"),
    ],
)
@pytest.mark.usefixtures("staff")
def test_a_report_says_what_was_found_and_never_the_secret(
    client: Browser, key: ApiKey, changed: dict[str, str], reason: str
) -> None:
    answer = client.post(page_of(key), FOUND | changed)

    assert reason in answer.content.decode()
    assert not ApiKey.across_teams.exclude(blocked_at=None).exists()


@pytest.mark.usefixtures("staff")
def test_a_deleted_key_needs_no_report(client: Browser, key: ApiKey) -> None:
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    assert "opens nothing any more" in client.get(page_of(key)).content.decode()
    client.post(page_of(key), FOUND)

    assert not KeyLeak.across_teams.exists()
    assert not mail.outbox


def test_staff_who_may_only_look_cannot_report(client: Browser, key: ApiKey) -> None:
    sam = make_person("Sam Support", is_staff=True)
    sam.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    enter(client, sam)

    shown = client.get(reverse("admin:api_keys_apikey_change", args=[key.pk]))

    assert page_of(key) not in shown.content.decode()
    assert client.post(page_of(key), FOUND).status_code == 403
    assert not ApiKey.across_teams.exclude(blocked_at=None).exists()
