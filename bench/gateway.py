"""How fast the gateway is beside the bare upstream and LiteLLM's proxy: see bench/README.md.

A round measures every load on every server, one directly after the other, so that all of them meet
the same weather; the figures are the medians of the rounds.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench import servers
from bench.load import Sample, WrongAnswerError, check, run
from bench.processes import cpu_seconds
from bench.servers import Server, World
from tests.upstreams.answers import Ask

TOKENS = 32
PROMPT = (
    "In two sentences: why does a benchmark that shares its machine with what it measures have to "
    "be read with care, and which of its figures can be trusted more than the others?"
)
LOADS = [(1, False), (32, False), (1, True), (32, True)]
HEADLINE, ALONE = (32, False), (1, False)
STREAM_HEADLINE, STREAM_ALONE = (32, True), (1, True)
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

Load = tuple[int, bool]  # Clients, and whether they ask for streams.


class VoidError(Exception):
    """The run proves nothing: an answer was wrong, or money was lost."""


class Results:
    """The samples' figures by server and load, one per round, and how many answers there were."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, Load], list[dict[str, float]]] = defaultdict(list)
        self.answered: dict[str, int] = defaultdict(int)

    def add(self, name: str, load: Load, sample: Sample) -> None:
        self.figures[name, load].append(
            {
                "rps": sample.rps,
                "p50": sample.latency_ms(50),
                "p99": sample.latency_ms(99),
                "first_p50": sample.first_token_ms(50),
                "cpu": sample.cpu_ms,
            }
        )

    def median(self, name: str, load: Load, figure: str) -> float | None:
        rounds = self.figures.get((name, load))
        return statistics.median(each[figure] for each in rounds) if rounds else None

    def added(self, name: str, load: Load, figure: str) -> float | None:
        """Return what the server adds to the bare upstream's latency of the same round."""
        pairs = zip(self.figures.get((name, load), ()), self.figures["bare", load], strict=False)
        added = [ours[figure] - bare[figure] for ours, bare in pairs]
        return statistics.median(added) if added else None


async def measure(running: list[Server], options: argparse.Namespace, results: Results) -> None:
    expected = Ask({"max_tokens": TOKENS * 2}, {"tokens": str(TOKENS)}).text

    async def load_once(server: Server, load: Load, seconds: float) -> Sample:
        clients, stream = load
        target = server.target
        request = target.request(prompt=PROMPT, max_tokens=TOKENS * 2, stream=stream)
        gc.collect()
        gc.disable()  # A pause of the generator would be taken for one of the server.
        before = cpu_seconds(server.processes)
        try:
            sample = await run(target, request, clients=clients, seconds=seconds)
        finally:
            gc.enable()
        sample.cpu_seconds = cpu_seconds(server.processes) - before
        results.answered[target.name] += check(target, sample, expected=expected, stream=stream)
        return sample

    for server in running:
        for load in LOADS:
            await load_once(server, load, options.warm_up)
    for count in range(options.rounds):
        print(f"Round {count + 1} of {options.rounds} ...", file=sys.stderr, flush=True)
        for load in LOADS:
            # Nobody is always the one who comes after the slowest.
            for server in running[count % len(running) :] + running[: count % len(running)]:
                sample = await load_once(server, load, options.seconds)
                results.add(server.target.name, load, sample)


def audit(world: World, answered: int) -> dict[str, Any]:
    """Make sure that each answer was charged once, at once and durably."""
    books = world.ask("account")
    if (books["charges"], books["events"]) != (answered, answered) or books["uncharged"]:
        raise VoidError(f"{answered} requests were answered, but the books say {books}.")
    if books["live_holds"]:
        raise VoidError(f"{books['live_holds']} holds were left behind.")
    if not DURABLE.items() <= books.items():
        raise VoidError(f"The database is not durable: {books}.")
    world.run("verify_ledger")
    return books


def show(results: Results, names: list[str]) -> None:
    print(
        f"{'':<26}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'first ms':>10}"
        f"{'added p50':>12}{'added p99':>12}{'cpu ms':>10}"
    )
    for clients, stream in LOADS:
        print(f"{'streams' if stream else 'requests'}, {clients} client{'s'[: clients > 1]}")
        for name in names:
            load = (clients, stream)
            figures = [results.median(name, load, each) for each in ("rps", "p50", "p99")]
            figures.append(results.median(name, load, "first_p50") if stream else None)
            figures += [
                None if name == "bare" else results.added(name, load, each)
                for each in ("p50", "p99")
            ]
            figures.append(None if name == "bare" else results.median(name, load, "cpu"))
            widths = (12, 10, 10, 10, 12, 12, 10)
            cells = [
                f"{'' if figure is None else format(figure, ',.2f'):>{width}}"
                for figure, width in zip(figures, widths, strict=True)
            ]
            print(f"  {name:<24}{''.join(cells)}")


def ratio(ours: float | None, peer: float | None) -> float | None:
    return ours / peer if ours is not None and peer else None


def summary(results: Results) -> dict[str, float | None]:
    def both(figure: Callable[[str], float | None], prefix: str, unit: str) -> dict[str, Any]:
        return {
            f"{prefix}{unit}": figure("ours"),
            f"{prefix}_vs_litellm": ratio(figure("ours"), figure("litellm")),
            f"peer_{prefix}{unit}": figure("litellm"),
        }

    def of_loads(prefix: str, many: Load, alone: Load) -> dict[str, Any]:
        return {
            **both(lambda name: results.median(name, many, "rps"), f"{prefix}rps", ""),
            f"bare_{prefix}rps": results.median("bare", many, "rps"),
            **both(lambda name: results.added(name, alone, "p50"), f"{prefix}added_p50", "_ms"),
            **both(lambda name: results.added(name, alone, "p99"), f"{prefix}added_p99", "_ms"),
            **both(lambda name: results.median(name, many, "cpu"), f"{prefix}cpu", "_ms"),
            f"{prefix}p99_at_32_ms": results.median("ours", many, "p99"),
            f"peer_{prefix}p99_at_32_ms": results.median("litellm", many, "p99"),
        }

    return {
        **of_loads("", HEADLINE, ALONE),
        **of_loads("stream_", STREAM_HEADLINE, STREAM_ALONE),
        **both(
            lambda name: results.added(name, STREAM_ALONE, "first_p50"),
            "stream_added_first_token_p50",
            "_ms",
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser("bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="per load and server")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds per load and server")
    parser.add_argument("--only", choices=["ours", "litellm"], help="leave the other one out")
    options = parser.parse_args()
    results, missing, books = Results(), [], {}
    with ExitStack() as stack:
        bare = stack.enter_context(servers.bare_upstream(f"ok?tokens={TOKENS}"))
        running, world = [bare], None
        try:
            if options.only != "litellm":
                ours, world = stack.enter_context(servers.own_gateway(bare.target))
                running.append(ours)
        except servers.NotStartedError as error:
            missing.append(f"ours: {error}")
        try:
            if options.only != "ours":
                running.append(stack.enter_context(servers.litellm_proxy(bare.target)))
        except servers.NotStartedError as error:
            missing.append(f"litellm: {error}")
        try:
            asyncio.run(measure(running, options, results))
            books = audit(world, results.answered["ours"]) if world else {}
        except (VoidError, WrongAnswerError) as error:
            print(f"VOID: {error}", file=sys.stderr)
            return 2
    show(results, [server.target.name for server in running])
    for reason in missing:
        print(f"Not measured, {reason}")
    report: dict[str, Any] = {"benchmark": "gateway", **summary(results)}
    report = {k: round(v, 3) if isinstance(v, float) else v for k, v in report.items()}
    report |= {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "answered": results.answered,
        "books": books,
        "litellm": servers.peer_version(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(report))
    return 1 if missing or options.only else 0


if __name__ == "__main__":
    sys.exit(main())
