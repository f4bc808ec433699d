"""What a server costs the machine: the processor time of all its processes, read from /proc."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
NAME_END = b") "  # A process may have any name, so /proc/<pid>/stat is read from behind it.


def cpu_seconds(roots: Iterable[int]) -> float:
    """Sum the time that these processes and all they have started have used; 0 off Linux.

    The time of a process that has ended is in its parent's, so nothing is lost in between.
    """
    if not PROC.joinpath("self", "stat").exists():
        return 0.0
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_bytes().rpartition(NAME_END)[2].split()
            except OSError:
                continue  # It has just ended.
            children[int(fields[1])].append(int(folder.name))
            ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    total, pids = 0, list(roots)
    while pids:
        pid = pids.pop()
        total += ticks.get(pid, 0)
        pids += children[pid]
    return total / os.sysconf("SC_CLK_TCK")


def postmasters(data_dir: Path) -> list[int]:
    """Find the database servers of a data directory: their parent is not who started them."""
    return [int(found.read_text().split()[0]) for found in data_dir.rglob("postmaster.pid")]
