"""Fills a store of usage from the beginning."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Team
from usage import services as usage
from usage.stores import StoreUnavailableError


class Command(BaseCommand):
    help = (
        "Make a store's sums of usage anew from every request there was. Pages stay right"
        " meanwhile; those that ask ClickHouse are slow. If it is stopped, begin it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("store", choices=["postgres", "clickhouse"])
        parser.add_argument(
            "--team",
            help="In PostgreSQL: the id of a team whose sums are to be made anew of those of its"
            " quarter-hours that have key, model, cluster and address.",
        )

    def handle(self, **options: Any) -> None:
        if options["store"] == "postgres":
            self._postgres(options["team"])
        else:
            self._clickhouse()

    def _postgres(self, team_id: str | None) -> None:
        if team_id:
            team = Team.objects.filter(pk=team_id).first()
            if team is None:
                raise CommandError(f"There is no team {team_id}.")
            usage.rebuild_coarser(team)
        else:
            try:
                usage.rebuild(now=timezone.now())
            except usage.EventsGoneError as error:
                raise CommandError(f"{error} Name a team by --team.") from error
        self.stdout.write("PostgreSQL has the sums of every request that was recorded until now.")

    def _clickhouse(self) -> None:
        try:
            usage.refill_clickhouse(now=timezone.now())
        except usage.NoClickHouseError as error:
            raise CommandError(str(error)) from error
        except StoreUnavailableError as error:
            raise CommandError(f"ClickHouse does not answer: {error.__cause__}") from error
        self.stdout.write("ClickHouse has every request that was recorded until now.")
