"""Where a secret must never be: anywhere but in the one answer that shows it."""

import logging
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from django.views.debug import ExceptionReporter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.services import keys
from audit.models import AuditEvent
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

ACTIONS = ["list", "disable", "enable", "delete", "ask", "audit", "create"]


def act(client: Client, team: Team, key: ApiKey, action: str) -> str:
    """Do one thing that a person can do on the pages of keys and events; return what they read."""
    keys_url = reverse("api_keys:list", args=[team.pk])
    match action:
        case "list":
            response = client.get(keys_url)
        case "ask":
            response = client.get(keys_url, {"dialog": "delete", "key": str(key.pk)})
        case "create":
            again = {"name": key.name, "key_id": str(key.pk)}
            response = client.post(reverse("api_keys:create", args=[team.pk]), again, follow=True)
        case "audit":
            newest = AuditEvent.of(team).newest_first()[0]
            response = client.get(reverse("audit:event", args=[team.pk, newest.pk]))
        case _:
            there = reverse(f"api_keys:{action}", args=[team.pk, key.pk])
            response = client.post(there, {"confirm": key.name}, follow=True)
    hops = getattr(response, "redirect_chain", [])
    cookies = [morsel.OutputString() for morsel in client.cookies.values()]
    return f"{response.content.decode()} {dict(response.headers)} {hops} {cookies}"


def kept() -> Iterator[str]:
    """Read every text that the database keeps, apart from the digest where it belongs."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            hidden = " - 'digest'" if table == "api_keys_apikey" else ""
            cursor.execute(f'SELECT to_jsonb(t){hidden} FROM "{table}" AS t')  # noqa: S608
            yield from (str(row) for row in cursor.fetchall())
    for session in Session.objects.all():
        yield str(session.get_decoded())


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=6))
def test_neither_secret_nor_digest_is_anywhere_after_the_answer_that_shows_it(
    actions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    team = make_team()
    client = Browser()
    client.force_login(make_admin(team))
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("django.db.backends").setLevel(logging.INFO)  # Tells every parameter.
        made = client.post(
            reverse("api_keys:create", args=[team.pk]),
            {"name": "returns-bot", "key_id": str(uuid4())},
        ).context["created"]
        digest = api_keys.digest_of(made.secret)

        pages = [act(client, team, made.key, action) for action in actions]

    # The last four characters are meant to be seen, so a longer end is looked for.
    for secret in (made.secret, made.secret[3:40], made.secret[-12:], digest):
        for text in (*pages, *kept(), caplog.text):
            assert secret not in text


def test_the_answer_that_shows_the_secret_does_not_show_the_digest(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    response = client.post(
        reverse("api_keys:create", args=[team.pk]), {"name": "bot", "key_id": str(uuid4())}
    )

    digest = api_keys.digest_of(response.context["created"].secret)
    assert digest not in response.content.decode()


def test_an_error_while_a_key_is_made_does_not_report_its_secret() -> None:
    team = make_team()
    owner = make_admin(team)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE api_keys_apikey ADD CHECK (name <> 'bot')")

    with pytest.raises(IntegrityError) as failure:
        api_keys.create(team=team, actor=SYSTEM, owner=owner, name="bot", now=NOON)

    report = ExceptionReporter(None, failure.type, failure.value, failure.tb)
    frames = report.get_traceback_frames()
    assert keys.__file__ in {frame["filename"] for frame in frames}
    assert not re.search(r"ck-[0-9A-Za-z]{80}", str([frame["vars"] for frame in frames]))
