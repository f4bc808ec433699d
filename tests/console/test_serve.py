"""`manage.py serve`: two processes that start, crash, come back and stop as one."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.servers import Console, Database, until

MakeConsole = Callable[..., Console]


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[[], Database]
) -> Iterator[Console]:
    with Console(tmp_path_factory.mktemp("serve"), make_database()) as console:
        yield console


@pytest.fixture
def console(shared: Console) -> Console:
    """Find a console that runs: the one that the test before has left, or it is started again."""
    if shared.returncode is not None:
        shared.start()
    shared.wait_until_ready()
    return shared


def test_a_crashed_worker_is_started_again(console: Console) -> None:
    [crashed] = console.children("worker")

    os.kill(crashed, signal.SIGKILL)

    until(lambda: set(console.children("worker")) - {crashed}, "another worker")
    complaint = "The worker ended with SIGKILL; starting it again in 1 s."
    assert console.log().count(complaint) == 1
    assert console.get("/healthz") == 200


def test_a_crashed_web_server_is_started_again_and_its_remains_are_ended(console: Console) -> None:
    before = set(console.children("web"))

    os.kill(min(before), signal.SIGKILL)

    until(lambda: len(set(console.children("web")) - before) == 2, "another web server")
    until(lambda: console.get("/healthz") == 200, "an answer from it")
    assert not before & set(console.children("web"))
    complaint = "The web server ended with SIGKILL; starting it again in 1 s."
    assert console.log().count(complaint) == 1


def test_readyz_misses_a_worker_that_hangs_and_finds_it_again(console: Console) -> None:
    [worker] = console.children("worker")
    os.kill(worker, signal.SIGSTOP)

    console.database.query(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1h'"
    )
    until(lambda: console.get("/readyz") == 503, "an answer that is not from before")
    os.kill(worker, signal.SIGCONT)

    until(lambda: console.get("/readyz") == 200, "the worker's next report")


def test_it_serves_and_stops_whole_on_sigterm(console: Console) -> None:
    until(lambda: f"The console is at {console.base_url}" in console.log(), "its address")
    children = console.children()

    returncode = console.stop(signal.SIGTERM)

    assert returncode == 0
    assert len(children) == 3  # The web server, its one worker process, and the worker of jobs.
    assert console.children() == []
    assert console.get("/healthz") is None
    assert console.log().rstrip().endswith("Stopped.")
    assert "Traceback" not in console.log()


def test_ctrl_c_stops_it_as_well(console: Console) -> None:
    assert console.stop(signal.SIGINT) == 0
    assert console.children() == []


def test_a_request_that_is_under_way_is_finished_before_the_end(console: Console) -> None:
    with closing(_half_a_request(console)) as caller, closing(_idle_connection(console)):
        assert console.process is not None
        console.process.terminate()
        until(lambda: console.get("/healthz") is None, "the closed door")

        caller.sendall(b"b" * 5)

        assert caller.recv(1024).startswith(b"HTTP/1.1 403 ")
        assert console.process.wait(9) == 0
    assert "killed" not in console.log()


def test_who_does_not_finish_in_time_is_cut_off(make_console: MakeConsole) -> None:
    console = make_console(SHUTDOWN_TIMEOUT="1")
    console.start()
    console.wait_until_ready()
    with closing(_half_a_request(console)) as caller:
        assert console.stop() == 0

        assert caller.recv(1024) == b""
    assert "The web server had not finished, and was killed." in console.log()
    assert console.children() == []


def test_a_second_signal_does_not_wait(make_console: MakeConsole) -> None:
    console = make_console(SHUTDOWN_TIMEOUT="600")
    console.start()
    console.wait_until_ready()
    with closing(_half_a_request(console)):
        assert console.process is not None
        console.process.terminate()
        until(lambda: console.get("/healthz") is None, "the closed door")

        assert console.stop() == 0

    assert console.children() == []


def test_a_kill_leaves_no_orphans(console: Console) -> None:
    assert console.process is not None
    assert len(console.children()) == 3

    console.process.kill()

    until(lambda: console.children() == [], "the end of the orphans")
    assert console.get("/healthz") is None


def test_a_taken_port_is_told_in_a_line(make_console: MakeConsole) -> None:
    console = make_console()
    with closing(socket.create_server(("127.0.0.1", console.port))):
        assert _refusal(console) == (
            f"Cannot start: port {console.port} on 127.0.0.1 cannot be had: "
            "Address already in use. Stop what uses it, or choose another with PORT."
        )


def test_an_unreachable_database_is_told_in_a_line(make_console: MakeConsole) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    console = make_console(DATABASE_URL=f"postgresql://me:secret@127.0.0.1:{port}/console")

    refusal = _refusal(console)

    assert refusal.startswith("Cannot start: the database cannot be reached: ")
    assert refusal.endswith("Look at DATABASE_URL.")
    assert "secret" not in refusal


def test_missing_migrations_are_told_in_a_line_unless_it_may_migrate(
    make_console: MakeConsole,
) -> None:
    console = make_console(DEBUG="False")
    console.database.query("DROP TABLE django_migrations")

    assert re.fullmatch(
        r"Cannot start: the database is \d+ migrations behind. "
        r"Run `manage.py migrate`, or start with --migrate.",
        _refusal(console),
    )


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set."),
        ({"SECRET_KEY": "x" * 49, "DEBUG": "False"}, "SECRET_KEY has 49 characters."),
        ({"PORT": "eighty"}, "PORT='eighty' is not a whole number from 1 to 65535."),
        ({"DEBUG": "yes"}, "DEBUG='yes' is neither 'True' nor 'False'."),
        ({"HOST": "no such host"}, "HOST='no such host' is not an address."),
    ],
)
def test_a_wrong_setting_is_told_in_a_line_that_names_it(
    make_console: MakeConsole, environment: dict[str, str], complaint: str
) -> None:
    assert complaint in _refusal(make_console(**environment))


def test_without_debug_it_collects_the_static_files_and_serves_them(
    make_console: MakeConsole,
) -> None:
    console = make_console(DEBUG="False")
    console.start()
    console.wait_until_ready()

    [collected] = (console.data_dir / "static").glob("console.*.css")

    assert console.get(f"/static/{collected.name}") == 200
    assert console.log().count("EMAIL_URL is not set: mails are kept in") == 1


def _half_a_request(console: Console) -> socket.socket:
    """Post five bytes of a form of ten, and make sure that they have arrived."""
    caller = socket.create_connection(("127.0.0.1", console.port), timeout=30)
    caller.sendall(
        b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"
    )
    assert caller.recv(1024).startswith(b"HTTP/1.1 100 ")  # The page has begun to read.
    caller.sendall(b"a" * 5)
    return caller


def _idle_connection(console: Console) -> socket.socket:
    """Ask once and stay connected, as browsers do."""
    caller = socket.create_connection(("127.0.0.1", console.port), timeout=30)
    caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
    return caller


def _refusal(console: Console) -> str:
    """Start it in vain, and return the one line that it says."""
    console.start()
    assert console.process is not None
    assert console.process.wait(90) == 1
    [line] = console.log().splitlines()
    return line
