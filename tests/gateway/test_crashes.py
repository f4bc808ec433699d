"""Killed gateways and databases: what was in flight is paid once or not at all, and never stuck."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from billing import services as billing
from billing.models import Charge, Hold
from billing.rules import BillingItem
from billing.tasks import sweep_holds
from console import embedded_postgres
from console.embedded_postgres.programs import shipped_programs
from tests.gateway.clients import Got, Task, calling
from tests.gateway.world import PRICES, PROMPT_TOKENS, UPSTREAM_KEY, Caller, World, working_on
from tests.servers import Console, Database, until
from tests.upstreams import Upstream

COST = PROMPT_TOKENS * PRICES[BillingItem.PROMPT_TEXT] + 8 * PRICES[BillingItem.COMPLETION]
HOLD_SECONDS = 5
FIVE = {"max_tokens": 5}


@pytest.fixture(scope="module")
def console(
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: str,
    upstream: Upstream,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Console]:
    """Serve with an embedded database of its own, of the lasting kind that waits for the disk."""
    folder = tmp_path_factory.mktemp("crashes")
    url = embedded_postgres.ensure_running(folder / "data")
    console = Console(
        folder,
        Database.at(url),
        DATABASE_URL="",
        HOLD_SECONDS=str(HOLD_SECONDS),
        UPSTREAM_KEY_FOR_TESTS=UPSTREAM_KEY,
    )
    copy_database(migrated_database, url)
    with django_db_blocker.unblock(), working_on(url):
        World("", upstream).furnish()
    try:
        with console:
            yield console
    finally:
        embedded_postgres.release(url)


def copy_database(name: str, url: str) -> None:
    """Fill a database of another server with what one of the tests' server has in it."""
    source = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    programs = shipped_programs()
    plain = ["--no-owner", "--no-comments"]
    dump = subprocess.run(
        [programs / "pg_dump", *plain, source], check=True, stdout=subprocess.PIPE
    ).stdout
    subprocess.run(
        [programs / "psql", "--quiet", "--set=ON_ERROR_STOP=1", url],
        check=True,
        input=dump,
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture
def world(
    console: Console, upstream: Upstream, django_db_blocker: DjangoDbBlocker
) -> Iterator[World]:
    """Work on its database; holds that a crash left behind are swept before the books are read."""
    upstream.forget()
    upstream.shut_gate()
    with django_db_blocker.unblock(), working_on(console.database_url):
        world = World(console.base_url, upstream)
        yield world
        upstream.open_gate()
        until(all_swept, "all holds to end or to lapse")
        world.assert_accounted()


def all_swept() -> bool:
    billing.sweep(now=timezone.now())
    return not Hold.across_teams.filter(state="live").exists()


def states(caller: Caller) -> list[str]:
    return sorted(Hold.of(caller.team).values_list("state", flat=True))


def task(caller: Caller, model: str, calls: int, **fields: object) -> Task:
    return Task(caller.base_url, caller.secret, [model] * calls, fields, streams=(False, True))


def test_what_a_killed_gateway_had_in_flight_costs_nothing_and_its_credits_come_back(
    world: World, console: Console
) -> None:
    busy, idle = world.caller(ticks=5 * 50), world.caller(ticks=50)
    assert busy.ask("fifty", **FIVE).status == 200
    with calling(
        task(busy, "fifty-gated", 4, **FIVE), task(idle, "fifty-gated", 1, **FIVE)
    ) as results:
        until(lambda: world.upstream.count() == 6, "all requests at the upstream")
        assert (busy.available_ticks(), idle.available_ticks()) == (0, 0)

        console.kill()

        assert not [got for result in results for got in result if got.is_whole]
    console.start()
    console.wait_until_ready()
    # The next request takes back what has lapsed; of a team that makes none, the worker does.
    holds = Hold.of(busy.team).filter(state="live")
    until(lambda: not holds.filter(expires_at__gte=timezone.now()).exists(), "all holds to lapse")
    assert busy.ask("fifty", **FIVE).status == 200
    assert states(busy) == ["expired"] * 4 + ["settled"] * 2
    assert busy.available_ticks() == 3 * 50
    until(lambda: Hold.of(idle.team).get().expires_at < timezone.now(), "the hold to lapse")
    sweep_holds.configure().defer(timestamp=0)
    until(lambda: states(idle) == ["expired"], "the worker's sweep")
    assert idle.available_ticks() == 50


def test_a_stream_may_last_longer_than_a_hold(world: World) -> None:
    caller = world.caller(ticks=50)
    with calling(task(caller, "fifty-gated", 2, **FIVE)) as results:
        hold = until(Hold.of(caller.team).first, "the hold")
        until(lambda: timezone.now() > hold.expires_at, "the time at which it was to lapse")

        assert billing.sweep(now=timezone.now()) == 0
        assert caller.ask("fifty", **FIVE).refusal() == (403, "credits_exhausted")
        world.upstream.open_gate()

        [got] = results
        assert sorted(each.status for each in got) == [200, 403]
    assert states(caller) == ["settled"]
    assert caller.available_ticks() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "restarted"])
def test_a_database_that_goes_away_and_comes_back_loses_and_makes_no_money(
    world: World, console: Console, how: signal.Signals
) -> None:
    caller = world.caller(ticks=10**9)
    with calling(task(caller, "gated", 40)) as early:
        until(lambda: world.upstream.count() == 40, "all requests at the upstream")
        connection.close()
        stop_database(console, how)
        # Now they settle while there is no database, and others come.
        world.upstream.open_gate()
        with calling(task(caller, "ok", 40), task(caller, "error-500", 10)) as late:
            answers = [got for results in (early, late) for result in results for got in result]

    until(lambda: is_back(console), "the database")
    for got in answers:
        # The database is back before patience with it ends, so what was begun is answered.
        assert got.is_whole or got.model != "gated", got
        assert got.is_whole or got.status in {502, 503}, got
        assert got.is_whole or "Nothing was charged" in got.body, got
    whole = [got for got in answers if got.is_whole]
    assert {got.cost_ticks for got in whole} == {COST}
    assert caller.spent_ticks() == len(whole) * COST
    until(lambda: caller.ask("ok").status == 200, "business as usual")


def stop_database(console: Console, how: signal.Signals) -> None:
    """End the server of this console and no other, by the id that it has written down itself."""
    pid_file = console.data_dir / "postgres" / "data" / "postmaster.pid"
    pid = int(pid_file.read_text().splitlines()[0])
    os.kill(pid, how)
    until(lambda: not is_back(console) or pid_of(pid_file) != pid, "the end of the server")


def pid_of(pid_file: Path) -> int:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return 0


def is_back(console: Console) -> bool:
    try:
        psycopg.connect(console.database_url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_gateway_that_is_told_to_stop_finishes_what_it_has_begun(
    world: World, console: Console
) -> None:
    caller = world.caller(ticks=10**9)
    try:
        with calling(task(caller, "gated", 6)) as results:
            until(lambda: world.upstream.count() == 6, "all requests at the upstream")
            assert console.process is not None
            console.process.send_signal(signal.SIGTERM)
            until(lambda: console.get("/healthz") is None, "the end of new requests")
            world.upstream.open_gate()
            answers: list[Got] = [got for result in results for got in result]
        assert console.process.wait(30) == 0
    finally:
        console.kill()
        console.start()
        console.wait_until_ready()

    assert [got.cost_ticks for got in answers] == [COST] * 6
    assert Charge.of(caller.team).count() == 6
