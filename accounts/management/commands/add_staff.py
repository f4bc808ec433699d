"""Makes the people who may open the admin: with a password and a second factor."""

import secrets
import sys
from getpass import getpass
from typing import Any

from allauth.mfa.adapter import get_adapter
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.utils import timezone

from accounts import services as accounts
from accounts.models import NAME_MAX_LENGTH, User


class Command(BaseCommand):
    help = (
        "Make a superuser with a second factor, and print once what to sign in with. Asks for the "
        "password, or makes one up where nobody can be asked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="Stands in audit logs; default: the email.")

    def handle(self, *, email: str, name: str, **_: Any) -> None:
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{email!r} is not an email address.") from None
        if len(name) > NAME_MAX_LENGTH:
            raise CommandError(f"A name has at most {NAME_MAX_LENGTH} characters.")
        if User.objects.with_password(email):
            raise CommandError(f"{email} has an account already. Choose another address for staff.")
        asked = sys.stdin.isatty()
        password = ask_for_password(User(email=email, name=name)) if asked else made_up()
        staff = accounts.add_staff(email=email, password=password, name=name, now=timezone.now())
        lines = [f"{email} may open the admin. This is shown once; keep it safe."]
        if not asked:
            lines.append(f"Password: {password}")
        lines += [
            f"For an authenticator app: {get_adapter().build_totp_url(staff.user, staff.secret)}",
            f"The same, to type in: {staff.secret}",
            f"Recovery codes, each for one sign-in: {' '.join(staff.recovery_codes)}",
        ]
        self.stdout.write("\n".join(lines))


def ask_for_password(user: User) -> str:
    password = getpass("Password: ")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if getpass("Once more: ") != password:
        raise CommandError("The two passwords differ.")
    return password


def made_up() -> str:
    return secrets.token_urlsafe(18)
