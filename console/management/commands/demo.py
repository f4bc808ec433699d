"""`manage.py demo`: fill an empty console with a world to try it in."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from console import demo


class Command(BaseCommand):
    help = "Make two teams with 90 days of usage, once, and say how to sign in. Needs DEBUG=True."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead.")

    def handle(self, *, json: bool, **_: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "The demo makes accounts whose passwords are printed, so it needs DEBUG=True."
            )
        if settings.PAYMENTS != "sandbox":
            raise CommandError(
                "The teams of the demo pay with test cards, so it needs PAYMENTS=sandbox. "
                "Once it is made, the console can be started without it and with any PAYMENTS."
            )
        world = demo.build(now=timezone.now())
        self.stdout.write(_as_json(world) if json else _as_text(world))


def _as_json(world: dict[str, Any]) -> str:
    return json.dumps(world)


def _as_text(world: dict[str, Any]) -> str:
    lines = [f"{world['url']} - sign in as:"]
    roles = {
        "admin": "owns Larkspur Labs",
        "member": "is a member of it",
        "stranger": "has a team of their own",
        "staff": f"supports customers, {world['url']}/admin/",
    }
    for role, remark in roles.items():
        person = world[role]
        lines.append(f"  {person['email']:<26} {person['password']:<18} {remark}")
    lines.append(f"An API key of Larkspur Labs: {world['api_key']}")
    return "\n".join(lines)
