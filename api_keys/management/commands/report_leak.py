"""Stops secrets that somebody found in public, as a report from GitHub does."""

import sys
from argparse import ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.actors import Actor, ActorKind
from api_keys import services as api_keys
from api_keys.services import Finding, Verdict

SAID: Final = {
    Verdict.BLOCKED: "the key is blocked",
    Verdict.ENDED: "an old secret, which has ended",
    Verdict.DEAD: "worked no more",
    Verdict.UNKNOWN: "no key has it",
    Verdict.NOISE: "no secret: its checksum does not fit, so it may be cut off or mistyped",
}


class Command(BaseCommand):
    help = (
        "Block the keys of secrets that were found in public, and mail their owners and the "
        "admins of their teams. Reads the secrets from standard input, one per line: arguments "
        "are seen by others and kept by shells. Exits 1 if one of them is no key's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="", type=no_secret, help="Where they were found.")
        parser.add_argument(
            "--source", default="", type=no_secret, help='What that is: "commit", "paste", ...'
        )

    @sensitive_variables("lines", "findings")
    def handle(self, *, url: str, source: str, **_: Any) -> None:
        if sys.stdin.isatty():
            self.stderr.write("Paste the secrets, one per line, and end with Ctrl-D.")
        lines = [line.strip() for line in sys.stdin if line.strip()]
        if not lines:
            raise CommandError("No secret was given on standard input.")
        findings = [Finding(line, source=source, url=url) for line in lines]
        verdicts = api_keys.report_leaks(
            findings,
            reporter=api_keys.Reporter.STAFF,
            actor=Actor(ActorKind.STAFF, "Support, on the command line"),
            now=timezone.now(),
        )
        for line, verdict in zip(lines, verdicts, strict=True):
            self.stdout.write(f"…{line[-4:]}: {SAID[verdict]}")
        if not all(verdict.is_ours for verdict in verdicts):
            sys.exit(1)


def no_secret(text: str) -> str:
    if api_keys.has_secret(text):
        raise ArgumentTypeError("It has a secret in it. Leave it out.")
    return text
