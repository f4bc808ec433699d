"""Requests in Django's admin: there to be looked up, and nothing else."""

import pytest
from django.contrib import admin
from django.test import RequestFactory

from accounts.models import User
from usage.models import UsageEvent


@pytest.mark.django_db
def test_not_even_a_superuser_can_change_what_was_recorded(rf: RequestFactory) -> None:
    request = rf.get("/admin/")
    request.user = User.objects.create_superuser("root@example.test")
    page = admin.site.get_model_admin(UsageEvent)

    assert page.has_view_permission(request)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
