"""Starts support, and puts Django's admin on our own site."""

from django.apps import AppConfig

# As a module: Django takes any default AppConfig it finds by name in this file for support's own.
from django.contrib.admin import apps as admin


class SupportConfig(AppConfig):
    """What staff need beyond each app's own admin."""

    name = "support"
    default = True


class ConsoleAdminConfig(admin.AdminConfig):
    """Django's admin, where every `admin.register` lands behind the door of our site."""

    default = False
    default_site = "support.admin_site.ConsoleAdminSite"
