"""How fast the usage explorer is with ten million requests: see bench/README.md.

Runs on a database of its own and asks the page itself, without a network. The peers are the same
questions in SQL over the raw requests, in the same PostgreSQL and in ClickHouse (chdb, in this
process).
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from bench import own_database

EVENTS = 10_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=int(os.environ.get("EVENTS") or EVENTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--raw-rounds", type=int, default=2, help="of SQL over raw requests")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    ended = own_database.begin(
        "bench.usage", options.data, DEBUG="False", PUBLIC_URL="http://testserver"
    )
    if ended is not None:
        return ended
    from bench import usage_world as world  # noqa: PLC0415 -- it needs the settings

    world.prepare()
    return report(world, options)


def report(world: Any, options: argparse.Namespace) -> int:
    """Load both teams, then ask everyone the same questions; return the exit code."""
    small = world.Team(options.events // 10)
    large = world.Team(options.events)
    loaded = options.events + options.events // 10
    written, summed = small.load_seconds + large.load_seconds, world.sum_up()
    world.settle()
    print(f"{loaded:,} requests written in {written:.0f} s, and summed up in {summed:.0f} s")
    print(f"{'ms':34}{'page, N/10':>12}{'page, N':>12}{'PostgreSQL':>12}{'ClickHouse':>12}")
    times: dict[str, list[float]] = {"small": [], "large": [], "postgres": [], "clickhouse": []}
    for name, question in world.QUESTIONS.items():
        for team in (small, large):
            team.ask(question)  # To warm up.
            if len(team.totals(question)) > 1:
                print(f"{name!r}: the page and the raw requests differ.", file=sys.stderr)
                return 2
        row = {
            "small": [small.ask(question) for _ in range(options.rounds)],
            "large": [large.ask(question) for _ in range(options.rounds)],
            "postgres": [large.ask_postgres(question) for _ in range(options.raw_rounds)],
            "clickhouse": [large.ask_clickhouse(question) for _ in range(options.rounds)],
        }
        for who, taken in row.items():
            times[who] += taken
        print(f"{name:34}" + "".join(f"{statistics.median(row[who]):12.0f}" for who in times))
    figures = {
        "bench": "usage",
        "events": options.events,
        "p50_ms": round(statistics.median(times["large"]), 1),
        "p95_ms": round(p95(times["large"]), 1),
        "growth": round(p95(times["large"]) / p95(times["small"]), 2),
        "vs_chdb": round(
            statistics.median(times["large"]) / statistics.median(times["clickhouse"]), 2
        ),
        "vs_postgres": round(
            statistics.median(times["large"]) / statistics.median(times["postgres"]), 3
        ),
        "load_per_s": round(loaded / written),
        "sum_per_s": round(loaded / summed),
    }
    print(json.dumps(figures))
    return 0


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    sys.exit(main())
