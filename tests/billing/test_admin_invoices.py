"""Documents in the admin: read as they are printed, and downloaded with a trace."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import Invoice
from tests.accounts.people import make_person
from tests.billing.spending import buy
from tests.billing.test_details import save
from tests.factories import make_admin
from tests.support.door import enter

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def receipt(team: Team) -> Invoice:
    """Sell credits to a team whose name is no HTML."""
    save(team, billing.Details(
        name="<b>Larkspur</b> & Co", email="a@larkspur.example", line1="Torstraße 1",
        postal_code="10119", city="Berlin", country="DE",
    ))  # fmt: skip
    buy(team)
    return Invoice.of(team).get()


def page_of(invoice: Invoice) -> str:
    return reverse("admin:billing_invoice_change", args=[invoice.pk])


def pdf_of(invoice: Invoice) -> str:
    return reverse("admin:billing_invoice_pdf", args=[invoice.pk])


def test_a_document_reads_as_it_is_printed(staff: Client, receipt: Invoice) -> None:
    shown = staff.get(page_of(receipt)).text

    assert "&lt;b&gt;Larkspur&lt;/b&gt; &amp; Co<br>Torstraße 1<br>10119 Berlin" in shown
    assert "Prepaid credits: $25.00" in shown
    assert "Total (USD): $25.00" in shown
    assert "Visa ending 4242" in shown
    assert pdf_of(receipt) in shown


def test_staff_download_the_file_that_the_team_has_and_its_log_says_so(
    staff: Client, team: Team, receipt: Invoice
) -> None:
    answer = staff.get(pdf_of(receipt))

    assert answer.content == billing.pdf(receipt)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="R-000001.pdf"'
    event = AuditEvent.of(team).get(operation="DownloadInvoice")
    assert (event.actor_kind, event.actor_label) == ("staff", "Sam Support")


def test_looking_at_a_document_needs_the_permission_and_nobody_posts_to_it(
    client: Client, team: Team, receipt: Invoice
) -> None:
    sam = make_person("Sam", is_staff=True)
    enter(client, sam)
    assert client.get(pdf_of(receipt)).status_code == 403
    assert not AuditEvent.of(team).filter(operation="DownloadInvoice").exists()

    sam.user_permissions.add(Permission.objects.get(codename="view_invoice"))

    assert client.get(pdf_of(receipt)).status_code == 200
    assert client.post(pdf_of(receipt)).status_code == 405


def test_no_customer_downloads_in_the_admin(client: Client, team: Team, receipt: Invoice) -> None:
    client.force_login(make_admin(team))

    answer: Any = client.get(pdf_of(receipt), follow=True)

    assert answer.status_code == 403
