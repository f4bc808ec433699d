"""Where a secret must never be: anywhere but in the one answer that shows it."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.services import keys
from audit.models import AuditEvent
from tests.api_keys.github import Scanner
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_team
from tests.logs import written

pytestmark = pytest.mark.django_db

HOME_OF_DIGESTS = {"api_keys_apikey", "api_keys_retiredsecret"}


class Someone:
    """An admin with a key, who does what can be done with one and remembers all that is seen."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.team = make_team()
        self.client = Browser()
        self.client.force_login(make_admin(self.team))
        self.secrets: list[str] = []
        self.seen: list[str] = []
        self.show(self.url("create"), {"name": "returns-bot", "key_id": str(uuid4())})
        self.key = ApiKey.of(self.team).get()

    def url(self, name: str, *rest: object) -> str:
        return reverse(f"api_keys:{name}", args=[self.team.pk, *rest])

    def keep(self, response: Any) -> str:
        """Remember an answer whole, with its headers and cookies."""
        hops = getattr(response, "redirect_chain", [])
        cookies = [morsel.OutputString() for morsel in self.client.cookies.values()]
        text = f"{response.content.decode()} {dict(response.headers)} {hops} {cookies}"
        self.seen.append(text)
        return text

    def show(self, url: str, form: dict[str, Any]) -> None:
        """Ask for a new secret, which only this answer may show; and none of the others."""
        response = self.client.post(url, form, follow=True)
        text = self.keep(response)
        if created := (response.context or {}).get("created"):
            self.secrets.append(created.secret)
            assert created.secret in text
            self.seen[-1] = text.replace(created.secret, "")

    def rotate(self) -> None:
        rotation = api_keys.rotations_of(self.key)
        self.show(self.url("rotate", self.key.pk), {"grace": "24", "rotation": str(rotation)})

    def make_again(self) -> None:
        self.show(self.url("create"), {"name": "returns-bot", "key_id": str(self.key.pk)})

    def edit(self) -> None:
        self.keep(self.client.get(self.url("key", self.key.pk), {"dialog": "edit"}))
        seen_at = ApiKey.of(self.team).get().modified_at
        edited = {"name": "bot", "seen_at": seen_at.isoformat(), "requests_per_second": "3"}
        self.keep(self.client.post(self.url("edit", self.key.pk), edited, follow=True))

    def end_old(self) -> None:
        for secret in api_keys.retired_secrets(self.key, now=timezone.now()):
            url = self.url("end_secret", self.key.pk, secret.pk)
            self.keep(self.client.post(url, follow=True))

    def leak(self) -> None:
        """Report every secret; the answer names them by the digests that its reader has too."""
        found = [{"token": secret, "type": "x", "url": secret} for secret in self.secrets]
        assert self.scanner.send(self.client, found).status_code == 200
        page = self.client.get(self.url("key", self.key.pk))
        assert "Found in public" in self.keep(page) or self.key_is_deleted()

    def key_is_deleted(self) -> bool:
        return ApiKey.of(self.team).get().deleted_at is not None

    def read(self) -> None:
        self.keep(self.client.get(self.url("list")))
        self.keep(self.client.get(self.url("key", self.key.pk)))
        self.keep(self.client.get(reverse("audit:log", args=[self.team.pk])))
        for event in AuditEvent.of(self.team).newest_first()[:3]:
            self.keep(self.client.get(reverse("audit:event", args=[self.team.pk, event.pk])))

    def ask(self) -> None:
        for dialog in ("delete", "rotate"):
            query = {"dialog": dialog, "key": str(self.key.pk)}
            self.keep(self.client.get(self.url("list"), query))

    def search(self) -> None:
        """Paste a whole secret where its end is asked for."""
        secret = self.secrets[-1]
        self.keep(self.client.get(self.url("list"), {"q": secret}, follow=True))

    def lose(self) -> None:
        """Paste a secret into an address."""
        for secret in (self.secrets[-1], self.secrets[-1].partition("-")[2]):
            answer = self.client.get(f"/{secret}/", {"key": secret})
            assert answer.status_code == 404

    def press(self, button: str) -> None:
        url = self.url(button, self.key.pk)
        name = ApiKey.of(self.team).get().name
        self.keep(self.client.post(url, {"confirm": name}, follow=True))

    def download(self) -> None:
        key = ApiKey.of(self.team).get()
        assert key.redacted in self.keep(self.client.post(reverse("accounts:data")))


ACTIONS: dict[str, Callable[[Someone], None]] = {
    "rotate": Someone.rotate,
    "make again": Someone.make_again,
    "edit": Someone.edit,
    "end old": Someone.end_old,
    "leak": Someone.leak,
    "read": Someone.read,
    "ask": Someone.ask,
    "search": Someone.search,
    "lose": Someone.lose,
    "disable": partial(Someone.press, button="disable"),
    "enable": partial(Someone.press, button="enable"),
    "delete": partial(Someone.press, button="delete"),
    "download": Someone.download,
}


def kept() -> Iterator[str]:
    """Read every text that the database keeps, apart from the digests where they belong."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            hidden = " - 'digest'" if table in HOME_OF_DIGESTS else ""
            cursor.execute(f'SELECT to_jsonb(t){hidden} FROM "{table}" AS t')  # noqa: S608
            yield from (str(row) for row in cursor.fetchall())
    for session in Session.objects.all():
        yield str(session.get_decoded())


def mails() -> Iterator[str]:
    for message in mail.outbox:
        yield f"{message.subject} {message.body} {getattr(message, 'alternatives', '')}"


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=st.lists(st.sampled_from(sorted(ACTIONS)), max_size=8))
@example(actions=[action for action in ACTIONS if action != "delete"] + sorted(ACTIONS))
def test_neither_secret_nor_digest_is_anywhere_after_the_answer_that_shows_it(
    actions: list[str], scanner: Scanner
) -> None:
    mail.outbox.clear()
    with written() as log:
        someone = Someone(scanner)
        for action in actions:
            ACTIONS[action](someone)

    everything = [*someone.seen, *kept(), *mails(), log.getvalue()]
    for secret in someone.secrets:
        # The last four characters are meant to be seen, so a longer end is looked for.
        for part in (secret, secret[3:40], secret[-12:], api_keys.digest_of(secret)):
            assert not [text for text in everything if part in text]


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
