"""A secret that was found in many places: stopped first, noted in bulk, and not without end."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak
from api_keys.services import CreatedKey, Finding, Reporter, Verdict
from api_keys.services.leaks import PLACES_AT_MOST
from tests.factories import NOON, make_member, make_team

pytestmark = pytest.mark.django_db


def make_key() -> CreatedKey:
    team = make_team()
    return api_keys.create(team=team, actor=SYSTEM, owner=make_member(team), name="bot", now=NOON)


def at_places(secret: str, count: int) -> list[Finding]:
    return [Finding(secret, "commit", f"https://example.test/{number}") for number in range(count)]


def report(*findings: Finding) -> list[Verdict]:
    return api_keys.report_leaks(findings, reporter=Reporter.GITHUB, actor=SYSTEM, now=NOON)


def places(created: CreatedKey) -> int:
    return KeyLeak.of(created.key.team).filter(key=created.key).count()


def test_each_secret_is_stopped_before_any_other_place_is_noted() -> None:
    first, second = make_key(), make_key()

    with CaptureQueriesContext(connection) as asked:
        verdicts = report(*at_places(first.secret, 5), *at_places(second.secret, 5))

    done = [query["sql"] for query in asked]
    blocked = [n for n, sql in enumerate(done) if sql.startswith('UPDATE "api_keys_apikey"')]
    noted = [n for n, sql in enumerate(done) if sql.startswith('INSERT INTO "api_keys_keyleak"')]
    assert (len(blocked), len(noted)) == (2, 4)
    assert blocked[1] < noted[2]
    assert verdicts == [Verdict.BLOCKED] * 10
    assert (places(first), places(second)) == (5, 5)
    assert len(mail.outbox) == 2


def test_many_places_cost_no_more_queries_than_two_and_a_hundred_are_kept() -> None:
    few, many = make_key(), make_key()

    with CaptureQueriesContext(connection) as of_few:
        report(*at_places(few.secret, 2))
    with CaptureQueriesContext(connection) as of_many:
        report(*at_places(many.secret, 2_000))

    assert len(of_many) == len(of_few)
    assert places(many) == PLACES_AT_MOST


def test_reports_one_by_one_do_not_pass_the_hundred_either() -> None:
    created = make_key()
    report(*at_places(created.secret, PLACES_AT_MOST))

    report(Finding(created.secret, "npm"))
    assert places(created) == PLACES_AT_MOST


def test_why_the_next_secret_was_blocked_is_kept_although_a_hundred_places_are() -> None:
    created = make_key()
    report(*at_places(created.secret, PLACES_AT_MOST))
    rotated = api_keys.rotate(
        key=created.key, actor=SYSTEM, grace=timedelta(0), rotation=0, now=NOON
    )

    verdicts = report(*at_places(rotated.secret, 3))

    assert verdicts == [Verdict.BLOCKED] * 3
    assert ApiKey.of(created.key.team).get().status == ApiKey.Status.BLOCKED
    assert KeyLeak.of(created.key.team).filter(redacted=rotated.key.redacted).count() == 1
