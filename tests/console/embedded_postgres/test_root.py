"""Root, as whom PostgreSQL does not run: its server is somebody else's. Only root collects this."""

import subprocess
import sys
from pathlib import Path

from tests.console.embedded_postgres.processes import (
    PATIENCE_SECONDS,
    STAY,
    USER,
    ask,
    copy_programs,
    server_id,
    wait_until_down,
)


def test_root_may_keep_everything_in_a_closed_home(open_dir: Path, tmp_path: Path) -> None:
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    environment = copy_programs(closed / "packages")
    programs = str(open_dir / "programs")
    elsewhere = f"embedded_postgres.programs.PROGRAMS_FOR_ALL = Path({programs!r})"
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
