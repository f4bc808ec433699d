"""The gateways that these tests talk to, each started once for all of them."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.gateway.world import UPSTREAM_KEY, World, working_on
from tests.servers import Console, Database
from tests.upstreams import Upstream, running_upstream

ENVIRONMENT = {
    "UPSTREAM_KEY_FOR_TESTS": UPSTREAM_KEY,
    "UPSTREAM_TIMEOUT": "4",
    "DRAIN_SECONDS": "2",
    "TRUSTED_PROXIES": "1",
}


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture(scope="session")
def console(
    tmp_path_factory: pytest.TempPathFactory,
    make_database: Callable[[], Database],
    upstream: Upstream,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Console]:
    """Serve a database with a model for each behaviour of the fake inference server."""
    database = make_database()
    with django_db_blocker.unblock(), working_on(database.url):
        World("", upstream).furnish()
    with Console(tmp_path_factory.mktemp("gateway"), database, **ENVIRONMENT) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory, console: Console) -> Iterator[Console]:
    """Serve the same database once more, by two processes."""
    folder = tmp_path_factory.mktemp("two-workers")
    with Console(folder, console.database, **ENVIRONMENT, WEB_WORKERS="2") as running:
        yield running


@pytest.fixture(params=[1, 2], ids=["one web worker", "two web workers"])
def base_url(request: pytest.FixtureRequest, console: Console, two_workers: Console) -> str:
    """Name a gateway of one process and one of two, in turn."""
    return console.base_url if request.param == 1 else two_workers.base_url


@pytest.fixture
def world(
    console: Console, upstream: Upstream, django_db_blocker: DjangoDbBlocker
) -> Iterator[World]:
    """Work on the console's database; every test leaves all that happened accounted for."""
    upstream.forget()
    upstream.shut_gate()
    with django_db_blocker.unblock(), working_on(console.database.url):
        world = World(console.base_url, upstream)
        yield world
        upstream.open_gate()
        world.assert_accounted()
