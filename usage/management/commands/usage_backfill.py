"""Fills a store of usage from the beginning."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from usage import services as usage
from usage.stores import StoreUnavailableError


class Command(BaseCommand):
    help = (
        "Make a store's tables of usage anew and fill them with every request there was. Pages stay"
        " right meanwhile, but are slow. If it is stopped, begin it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("store", choices=["clickhouse"])

    def handle(self, **_options: Any) -> None:
        try:
            usage.refill_clickhouse(now=timezone.now())
        except usage.NoClickHouseError as error:
            raise CommandError(str(error)) from error
        except StoreUnavailableError as error:
            raise CommandError(f"ClickHouse does not answer: {error.__cause__}") from error
        self.stdout.write("ClickHouse has every request that was recorded until now.")
