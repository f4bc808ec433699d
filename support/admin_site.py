"""The door of /admin/."""

from django_otp.admin import OTPAdminSite


class ConsoleAdminSite(OTPAdminSite):
    """Django's admin, for staff."""
