"""What a load balancer hears: `/healthz` of the process, `/readyz` of all that it needs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from console.health import Recently, recently_missing


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    recently_missing.forget()


def test_healthz_answers_anyone_without_the_database(client: Client) -> None:
    # pytest-django would refuse any use of the database here.
    response = client.get("/healthz")

    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_readyz_is_ready_when_a_worker_has_just_reported(client: Client) -> None:
    _report_worker(seconds_ago=5)

    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"ready": True, "missing": {}})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds_ago", [None, 31])
def test_readyz_names_a_worker_that_is_silent(client: Client, seconds_ago: int | None) -> None:
    _report_worker(seconds_ago=seconds_ago)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "missing": {"worker": "None has reported in the last 30 seconds."},
    }


@pytest.mark.django_db(transaction=True)
def test_readyz_counts_the_migrations_that_are_missing(client: Client) -> None:
    _report_worker(seconds_ago=5)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'accounts' RETURNING app, name")
        removed = cursor.fetchall()

    try:
        response = client.get("/readyz")
    finally:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", removed
            )

    assert response.status_code == 503
    assert response.json()["missing"] == {"migrations": f"{len(removed)} are not applied."}


def test_readyz_says_that_the_database_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "host", "/nowhere")
    monkeypatch.setitem(connection.settings_dict, "HOST", "")

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["missing"] == {"database": "It cannot be reached."}


@pytest.mark.django_db
def test_readyz_leaves_the_pages_connections_alone(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        client.get("/readyz")


def test_however_many_ask_at_once_the_database_is_asked_once() -> None:
    looks = []
    together = threading.Barrier(8)

    def look() -> dict[str, str]:
        looks.append(1)
        return {"worker": "It is away."}

    recently = Recently(look)

    def ask(_: int) -> dict[str, str]:
        together.wait(timeout=30)
        return recently.ask()

    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(ask, range(8)))

    assert answers == [{"worker": "It is away."}] * 8
    assert len(looks) == 1


def test_an_answer_is_kept_for_a_second_only() -> None:
    now = 100.0
    answers = iter([{"worker": "It is away."}, {}])
    recently = Recently(lambda: next(answers), clock=lambda: now)
    assert recently.ask() == {"worker": "It is away."}

    now += 0.9
    assert recently.ask() == {"worker": "It is away."}

    now += 0.2
    assert recently.ask() == {}


def _report_worker(*, seconds_ago: int | None) -> None:
    with connection.cursor() as cursor:
        # The table is procrastinate's, so pytest-django does not empty it after a test.
        cursor.execute("DELETE FROM procrastinate_workers")
        if seconds_ago is not None:
            cursor.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat)"
                " VALUES (now() - make_interval(secs => %s))",
                [seconds_ago],
            )
