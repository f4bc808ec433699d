"""What billing does on its own: take back what is over, ask processors, and send mail."""

from django.utils import timezone
from procrastinate.contrib.django import app

from billing import services as billing


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="sweep_holds")
def sweep_holds(timestamp: int) -> None:  # noqa: ARG001 -- procrastinate passes the planned time
    """Give back the holds of requests that nobody ended."""
    billing.sweep(now=timezone.now())


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="send_notices")
def send_notices(timestamp: int) -> None:  # noqa: ARG001
    """Mail teams that used part of their spending limit, or ran out."""
    billing.send_notices(now=timezone.now())


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="reconcile_purchases")
def reconcile_purchases(timestamp: int) -> None:  # noqa: ARG001
    """Find out what became of payments whose outcome we do not know, and have cards forgotten."""
    billing.reconcile_all(now=timezone.now())
    billing.forget_removed_methods(now=timezone.now())


@app.task
def handle_events() -> None:
    """Look at what a processor has just told us."""
    billing.handle_events(now=timezone.now())


@app.periodic(cron="*/15 * * * *")
@app.task(queueing_lock="read_events")
def read_events(timestamp: int) -> None:  # noqa: ARG001
    """Look for what a processor told us and we did not hear."""
    billing.read_events(now=timezone.now())


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="top_up")
def top_up(timestamp: int) -> None:  # noqa: ARG001
    """Buy credits for teams whose rule says so, and whose prepaid ones run low."""
    billing.run_top_ups(now=timezone.now())


@app.periodic(cron="10 * * * *")
@app.task(queueing_lock="run_transfers")
def run_transfers(timestamp: int) -> None:  # noqa: ARG001
    """End bank transfers that lapsed, and let those of the sandbox arrive."""
    billing.run_transfers(now=timezone.now())


@app.periodic(cron="0 * * * *")
@app.task(queueing_lock="expire_grants")
def expire_grants(timestamp: int) -> None:  # noqa: ARG001
    """Take what remains of expired credits off the books."""
    billing.expire_grants(now=timezone.now())


@app.periodic(cron="5 * * * *")
@app.task(queueing_lock="close_months")
def close_months(timestamp: int) -> None:  # noqa: ARG001
    """Invoice what the months that are over have left to be paid."""
    billing.close_months(now=timezone.now())


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="collect_invoices")
def collect_invoices(timestamp: int) -> None:  # noqa: ARG001
    """Try the default payment methods of teams whose invoices are due."""
    billing.collect_due(now=timezone.now())


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="reconcile_refunds")
def reconcile_refunds(timestamp: int) -> None:  # noqa: ARG001
    """Make the refunds whose answer we do not have, or find out what became of them."""
    billing.reconcile_refunds(now=timezone.now())
