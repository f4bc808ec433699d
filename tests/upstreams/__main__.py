"""`python -m tests.upstreams`: prints the address, serves until stopped."""

import argparse
import asyncio

from tests.upstreams.behaviours import BEHAVIOURS
from tests.upstreams.server import serve


def main() -> None:
    lines = [f"  {name:<20} {(each.__doc__ or '').strip()}" for name, each in BEHAVIOURS.items()]
    parser = argparse.ArgumentParser(
        "tests.upstreams",
        epilog="Behaviours:\n" + "\n".join(line.rstrip() for line in lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="ok")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.behaviour))


main()
