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
    """Find out what became of purchases whose outcome we do not know."""
    billing.reconcile_all(now=timezone.now())


@app.periodic(cron="0 * * * *")
@app.task(queueing_lock="expire_grants")
def expire_grants(timestamp: int) -> None:  # noqa: ARG001
    """Take what remains of expired credits off the books."""
    billing.expire_grants(now=timezone.now())
