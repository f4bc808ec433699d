"""How fast the pages of keys are with 100,000 keys in a team: see bench/README.md.

Runs on a database of its own, like the tests, and asks the pages themselves, without a network.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from bench import own_database

QUERIES = {
    "newest first": "",
    "by name": "?sort=name",
    "by cost": "?sort=-spent",
    "by last use": "?sort=-last_used",
    "search": "?q=key-0777",
    "expired": "?status=expired",
    "of one owner, by name": "?owner={owner}&sort=name",
    "last page, by cost": "?sort=-spent&page=9999",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most-ms", type=int, default=750, help="how long a page may take")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    ended = own_database.begin("bench.api_keys", options.data, DEBUG="True")
    if ended is not None:
        return ended
    from bench import api_keys_world as world  # noqa: PLC0415 -- it needs the settings

    world.prepare()
    return report(world, options)


def report(world: Any, options: argparse.Namespace) -> int:
    """Measure both teams in turns, page by page; return the exit code."""
    few, many = world.Team(options.few), world.Team(options.keys)
    figures: dict[str, tuple[float, float]] = {}
    is_void = False
    print(f"{'':26}{options.few:>12,}{options.keys:>12,}   ratio   queries")
    for name, query in {**QUERIES, "a key's page": None}.items():
        times: tuple[list[float], list[float]] = ([], [])
        counts = set()
        for team in (few, many):
            team.ask(query)  # To warm up.
        for _ in range(options.rounds):
            for team, taken in zip((few, many), times, strict=True):
                seconds, queries = team.ask(query)
                taken.append(seconds * 1000)
                counts.add(queries)
        figures[name] = (statistics.median(times[0]), statistics.median(times[1]))
        is_void |= len(counts) != 1
        small, large = figures[name]
        print(f"{name:26}{small:9.0f} ms{large:9.0f} ms{large / small:8.1f}   {sorted(counts)}")
    slowest = max(figures, key=lambda name: figures[name][1])
    first = figures["newest first"]
    print(
        json.dumps(
            {
                "bench": "api_keys",
                "keys": options.keys,
                "page_ms": round(first[1]),
                "page_ratio": round(first[1] / first[0], 2),
                "slowest": slowest,
                "slowest_ms": round(figures[slowest][1]),
                "slowest_ratio": round(figures[slowest][1] / figures[slowest][0], 2),
                "same_queries": not is_void,
            }
        )
    )
    is_slow = figures[slowest][1] > options.most_ms
    if is_slow:
        print(f"{slowest!r} took longer than {options.most_ms} ms.", file=sys.stderr)
    return int(is_void or is_slow)


if __name__ == "__main__":
    sys.exit(main())
