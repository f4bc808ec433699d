"""Secrets found in public: what GitHub reports is stopped at once, and nothing else is."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Membership, Team
from api_keys import services as api_keys
from api_keys.models import ApiKey, RetiredSecret
from api_keys.secrets import checksum_of, digest_of, new_secret
from api_keys.services import CreatedKey, Finding, Reporter, Verdict
from audit import services as audit
from audit.models import AuditEvent
from tests.api_keys.github import Scanner, post
from tests.api_keys.reports import WHERE, labels, leaks, make_key, match, stored
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=1)


def events(team: Team) -> list[AuditEvent]:
    return list(audit.log(team).filter(operation="ReportLeakedApiKey"))


# --- A key's secret


@pytest.mark.parametrize(
    ("rest", "source", "url"),
    [
        ({}, "commit", WHERE),
        ({"source": "Gist_Content"}, "Gist_Content", WHERE),
        ({"url": ""}, "commit", ""),
        ({"url": None, "source": None, "type": None}, "", ""),
        ({"url": 7, "source": ["x"], "type": {}}, "", ""),
    ],
)
def test_a_leaked_key_is_blocked_at_once_and_the_answer_says_it_was_real(
    client: Client, scanner: Scanner, rest: dict[str, Any], source: str, url: str
) -> None:
    created = make_key()
    entry = match(created.secret, **rest)

    answer = scanner.send(client, [entry])

    kind = entry["type"] if isinstance(entry["type"], str) else ""
    assert json.loads(answer.content) == [
        {
            "token_hash": hashlib.sha256(created.secret.encode()).hexdigest(),
            "token_type": kind,
            "label": "true_positive",
        }
    ]
    assert stored(created).status == ApiKey.Status.BLOCKED
    assert leaks() == [
        {
            "key_id": created.key.pk,
            "redacted": created.key.redacted,
            "reporter": "github",
            "source": source,
            "url": url,
        }
    ]


@pytest.mark.parametrize("form", ["with source and url", "without"])
def test_reports_of_the_old_and_the_new_form_are_understood(
    client: Client, scanner: Scanner, form: str
) -> None:
    created = make_key()
    entry = {"token": created.secret, "type": "console_api_key"}
    if form == "with source and url":
        entry |= {"url": WHERE, "source": "commit"}

    assert labels(scanner.send(client, [entry])) == ["true_positive"]

    assert stored(created).blocked_at


def test_its_owner_and_the_admins_are_mailed_where_it_was_found_and_nobody_else(
    client: Client, scanner: Scanner
) -> None:
    team = make_team("Larkspur")
    created = make_key(team)
    make_member(team)
    admins = [make_admin(team), make_admin(team)]
    closed = make_admin(team)
    closed.is_active = False
    closed.save()

    scanner.send(client, [match(created.secret, source="gist_content")])

    owner = created.key.owner
    assert owner
    assert sorted(message.to[0] for message in mail.outbox) == sorted(
        person.email for person in (owner, *admins)
    )
    for message in mail.outbox:
        assert message.subject == "API key returns-bot was found in public and is blocked"
        body = str(message.body)
        assert f"Where: {WHERE} (gist content)" in body
        assert "Found by: GitHub secret scanning" in body
        assert reverse("api_keys:key", args=[team.pk, created.key.pk]) in body
        assert created.secret not in body


def test_an_owner_who_has_left_the_team_is_not_told_about_it(
    client: Client, scanner: Scanner
) -> None:
    team = make_team()
    created, admin = make_key(team), make_admin(team)
    Membership.objects.filter(user=created.key.owner).delete()

    scanner.send(client, [match(created.secret)])

    assert [message.to for message in mail.outbox] == [[admin.email]]


def test_the_audit_log_says_who_found_it_and_keeps_no_address_of_a_person(
    client: Client, scanner: Scanner
) -> None:
    created = make_key()

    scanner.send(client, [match(created.secret)])

    (event,) = events(created.key.team)
    assert event.description == (
        "Blocked the API key returns-bot: GitHub secret scanning found the secret "
        f"{created.key.redacted} in public"
    )
    assert (event.actor_kind, event.target_id) == ("system", str(created.key.pk))
    assert event.before == {"key": created.key.redacted, "status": "active"}
    assert event.after == {
        "key": created.key.redacted,
        "status": "blocked",
        "found_in": "commit",
    }
    assert event.is_change


@pytest.mark.parametrize("state", ["disabled", "expired"])
def test_a_key_that_does_not_work_just_now_is_blocked_all_the_same(
    client: Client, scanner: Scanner, state: str
) -> None:
    created = make_key()
    if state == "disabled":
        api_keys.disable(key=created.key, actor=SYSTEM, now=NOON)
    else:
        ApiKey.across_teams.update(expires_at=LATER)

    scanner.send(client, [match(created.secret)])

    assert stored(created).status == ApiKey.Status.BLOCKED
    assert mail.outbox


def test_enabling_does_not_lift_a_block_and_a_new_secret_does(
    client: Client, scanner: Scanner
) -> None:
    created = make_key()
    scanner.send(client, [match(created.secret)])
    key = stored(created)

    api_keys.disable(key=key, actor=SYSTEM, now=LATER)
    api_keys.enable(key=key, actor=SYSTEM, now=LATER)
    assert stored(created).status == ApiKey.Status.BLOCKED
    assert labels(scanner.send(client, [match(created.secret)])) == ["true_positive"]

    now = timezone.now()
    api_keys.rotate(key=key, actor=SYSTEM, grace=timedelta(hours=24), rotation=0, now=now)

    assert stored(created).status == ApiKey.Status.ACTIVE
    # What was found stays dead, however often it is found.
    assert labels(scanner.send(client, [match(created.secret, url="")])) == ["true_positive"]
    assert stored(created).status == ApiKey.Status.ACTIVE
    assert RetiredSecret.across_teams.get().expires_at == now


# --- Other secrets


def rotated() -> tuple[CreatedKey, CreatedKey]:
    created = make_key()
    newer = api_keys.rotate(
        key=created.key,
        actor=SYSTEM,
        grace=timedelta(days=1),
        rotation=0,
        now=timezone.now(),
    )
    return created, newer


def test_a_leaked_old_secret_ends_at_once_and_the_key_goes_on(
    client: Client, scanner: Scanner
) -> None:
    created, newer = rotated()

    assert labels(scanner.send(client, [match(created.secret)])) == ["true_positive"]

    assert RetiredSecret.across_teams.get().expires_at <= timezone.now()
    assert stored(created).status == ApiKey.Status.ACTIVE
    assert [message.subject for message in mail.outbox] == [
        "An old secret of the API key returns-bot was found in public"
    ]
    (event,) = events(created.key.team)
    assert event.description.startswith(f"Ended the old secret {created.key.redacted} of the API ")
    assert [leak["redacted"] for leak in leaks()] == [created.key.redacted]
    assert newer.key.redacted != created.key.redacted


def test_a_secret_that_is_over_is_noted_and_nothing_else_happens(
    client: Client, scanner: Scanner
) -> None:
    created, _ = rotated()
    RetiredSecret.across_teams.update(expires_at=NOON)

    assert labels(scanner.send(client, [match(created.secret)])) == ["true_positive"]

    assert stored(created).status == ApiKey.Status.ACTIVE
    assert len(leaks()) == 1
    assert not mail.outbox
    (event,) = events(created.key.team)
    assert event.description.startswith("Noted a leak of the API key returns-bot")
    assert not event.is_change


def test_a_deleted_key_is_real_and_stays_as_it_is(client: Client, scanner: Scanner) -> None:
    created = make_key()
    api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)

    assert labels(scanner.send(client, [match(created.secret)])) == ["true_positive"]

    assert stored(created).status == ApiKey.Status.DELETED
    assert not leaks()
    assert not mail.outbox
    assert not events(created.key.team)


@override_settings(API_KEY_PREFIX="acme")
def test_a_secret_from_before_the_prefix_was_changed_is_found(
    client: Client, scanner: Scanner
) -> None:
    with override_settings(API_KEY_PREFIX="ck"):
        created = make_key()

    assert labels(scanner.send(client, [match(created.secret)])) == ["true_positive"]

    assert stored(created).blocked_at


# --- False reports


def almost(secret: str) -> str:
    """Change one random character, and let the checksum fit again."""
    start = secret[:10] + ("a" if secret[10] != "a" else "b") + secret[11:-6]
    return start + checksum_of(start)


SPOILED: dict[str, Callable[[str], str]] = {
    "another": lambda _: new_secret("ck"),
    "one character changed": almost,
    "cut off": lambda secret: secret[:-1],
    "gone on": lambda secret: secret + "x",
    "in small letters": str.lower,
    "with a space": lambda secret: f" {secret}",
    "its digest": digest_of,
    "nothing": lambda _: "",
    "other signs": lambda _: "é\u0000☃",
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_false_report_changes_nothing(client: Client, scanner: Scanner, how: str) -> None:
    created = make_key()
    before = ApiKey.across_teams.values().get()

    assert labels(scanner.send(client, [match(SPOILED[how](created.secret))])) == ["false_positive"]

    assert ApiKey.across_teams.values().get() == before
    assert not leaks()
    assert not mail.outbox
    assert not events(created.key.team)


def test_matches_that_are_none_are_skipped_and_the_others_count(
    client: Client, scanner: Scanner
) -> None:
    created = make_key()
    noise: list[Any] = [7, None, "text", [], {}, match(None), match(7), match([created.secret])]

    answer = scanner.send(client, [*noise, match("noise"), match(created.secret), {"token": "x"}])

    assert labels(answer) == ["false_positive", "true_positive", "false_positive"]
    assert stored(created).blocked_at
    assert labels(scanner.send(client, [])) == []


@pytest.mark.parametrize(
    "odd",
    [
        rb'{"token": "\ud800"}',
        rb'{"token": "x", "source": "\udfff", "url": "https://\ud800/", "type": "\ud800"}',
        b'{"token": "\xff"}',
        b'{"token": "x", "line": ' + b"9" * 5000 + b"}",
        b'{"token": "x", "line": NaN}',
        rb'{"token": "\u0000", "url": "\u0000"}',
    ],
    ids=repr,
)
def test_one_odd_match_does_not_lose_the_others(
    client: Client, scanner: Scanner, odd: bytes
) -> None:
    created = make_key()
    good = json.dumps(match(created.secret)).encode()
    of_the_key = odd.replace(b'"x"', json.dumps(created.secret).encode())

    answer = scanner.send(client, b"[" + odd + b"," + good + b"," + of_the_key + b"]")

    assert "true_positive" in labels(answer)
    assert stored(created).blocked_at


# --- Again, often, at once


def test_a_report_that_comes_again_changes_nothing_and_is_answered_alike(
    client: Client, scanner: Scanner
) -> None:
    created = make_key()
    body = json.dumps([match(created.secret)]).encode()
    signature = scanner.sign(body)

    answers = [post(client, body, scanner.id, signature).content for _ in range(3)]

    assert len(set(answers)) == 1
    assert len(leaks()) == 1
    assert len(mail.outbox) == 1
    assert len(events(created.key.team)) == 1


def test_other_places_are_added_without_another_mail(client: Client, scanner: Scanner) -> None:
    created = make_key()

    for number in range(3):
        scanner.send(client, [match(created.secret, url=f"{WHERE}#{number}")])
    scanner.send(client, [match(created.secret, source="npm")] * 2)

    assert len(leaks()) == 4
    assert len(mail.outbox) == 1
    assert len(events(created.key.team)) == 1


def test_many_matches_are_looked_up_in_one_query(
    client: Client, scanner: Scanner, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_key()
    scanner.send(client, [])  # GitHub's keys are known from now on.
    tokens = [match(new_secret("ck")) for _ in range(2000)]

    with CaptureQueriesContext(connection) as few:
        scanner.send(client, tokens[:1])
    with django_assert_num_queries(len(few)):
        scanner.send(client, tokens)


@pytest.mark.django_db(transaction=True)
def test_reports_at_once_block_and_mail_once() -> None:
    created = make_key()
    finding = Finding(created.secret, source="commit", url=WHERE)

    def report() -> list[Verdict]:
        return api_keys.report_leaks([finding], reporter=Reporter.GITHUB, actor=SYSTEM, now=LATER)

    verdicts = race(*[report] * 6)

    assert sorted(map(str, verdicts)) == sorted(
        map(str, [[Verdict.BLOCKED], *[[Verdict.DEAD]] * 5])
    )
    assert len(leaks()) == len(mail.outbox) == len(events(created.key.team)) == 1
