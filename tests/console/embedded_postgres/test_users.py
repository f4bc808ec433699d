"""Several users of one machine, who get programs of their own. Only root collects this.

An interpreter and packages in the home of root are nothing to the others.
"""

import os
import subprocess
from pathlib import Path

from tests.console.embedded_postgres.processes import (
    Join,
    ask,
    copy_programs,
    is_up,
    nobody,
    python_for_all,
    server_id,
    wait_until_down,
)


def test_users_of_one_machine_have_servers_of_their_own_and_are_kept_out_of_others(
    data_dir: Path, open_dir: Path, join: Join
) -> None:
    python = python_for_all()
    environment = copy_programs(open_dir / "packages")
    mine = open_dir / "nobody"
    mine.mkdir()
    os.chown(mine, nobody().pw_uid, nobody().pw_gid)
    as_nobody: dict[str, object] = {
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
