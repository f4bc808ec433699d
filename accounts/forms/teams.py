"""The shape of input about teams and their members."""

import re
from typing import Any, Final

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.core.validators import validate_email
from django.utils.html import format_html

from accounts.forms.fields import NameField
from accounts.models import Membership, Team
from accounts.rules import SINGLE_PERMISSIONS, Permission, beyond_member

INVITED_AT_ONCE: Final = 20


class TeamNameForm(forms.Form):
    """What a team is called."""

    name = NameField(
        help_text="A company, a product or a project.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class NewTeamForm(TeamNameForm):
    """A team to be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autofocus"] = True


class MfaPolicyForm(forms.Form):
    """Whether members need a second factor."""

    required = forms.BooleanField(required=False, widget=forms.HiddenInput)


class DeleteTeamForm(forms.Form):
    """Deletes a team, for someone who has typed its name."""

    confirm = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True, "required": True}),
    )

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.team = team
        self.fields["confirm"].label = format_html("Type <code>{}</code> to confirm", team.name)

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed != self.team.name:
            raise ValidationError(
                f"“{typed}” is not the team's name." if typed else "Type the team's name."
            )
        return typed


class StandingForm(forms.Form):
    """What somebody is to be in a team: the role, and single permissions on top of a member's.

    It offers what `giver` can give, and what the member has. Whether it may be given is for the
    service to say. Raises BadRequest for roles and permissions that do not exist.
    """

    role = forms.ChoiceField(
        choices=Membership.Role.choices,
        initial=Membership.Role.MEMBER,
        widget=forms.RadioSelect(attrs={"class": "segments"}),
        help_text=(
            "An admin may do everything, and says what others may do. A member sees the team, "
            "works with collections, and makes API keys of their own."
        ),
    )

    def __init__(
        self,
        *args: Any,
        giver: Membership,
        member: Membership | None = None,
        **kwargs: Any,
    ) -> None:
        extra = beyond_member(member.extra_permissions) if member else []
        initial = {permission.area: str(permission) for permission in extra}
        if member:
            initial["role"] = member.role
        super().__init__(*args, **kwargs | {"initial": initial})
        self.member = member
        roles = self.fields["role"]
        assert isinstance(roles, forms.ChoiceField)  # noqa: S101 -- as it says above
        roles.widget.choices = [
            choice
            for choice in Membership.Role.choices
            if giver.is_admin or choice[0] == Membership.Role.MEMBER
        ]
        for area, permissions in SINGLE_PERMISSIONS.items():
            self.fields[area] = _area_field(permissions, giver, initial.get(area, ""))

    def areas(self) -> list[forms.BoundField]:
        return [self[area] for area in SINGLE_PERMISSIONS]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if any(self.has_error(name, "invalid_choice") for name in self.fields):
            raise BadRequest("There is no such role or permission.")
        chosen = (cleaned.get(area) for area in SINGLE_PERMISSIONS)
        cleaned["extra_permissions"] = [Permission(value) for value in chosen if value]
        return cleaned


def _area_field(
    permissions: tuple[Permission, ...], giver: Membership, current: str
) -> forms.ChoiceField:
    least = "None" if permissions[0].sentence.startswith("see") else "See"
    choices = [("", least)]
    choices += [(str(p), p.sentence.split()[0].capitalize()) for p in permissions]
    area = permissions[0].sentence.split(maxsplit=1)[1].removeprefix("the ")
    field = forms.ChoiceField(
        label=area.capitalize(),
        required=False,
        choices=choices,
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    # One who may not take away what the member has can only leave it as it is.
    is_fixed = bool(current) and current not in giver.permissions
    field.widget.choices = [
        choice
        for choice in choices
        if (choice[0] == current if is_fixed else not choice[0] or choice[0] in giver.permissions)
    ]
    return field


class InviteForm(StandingForm):
    """Whom to invite, and as what."""

    emails = forms.CharField(
        label="Email addresses",
        max_length=INVITED_AT_ONCE * 260,
        help_text=(
            f"Up to {INVITED_AT_ONCE} at once, with commas, spaces or line breaks between them."
        ),
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True, "autocomplete": "off"}),
    )
    field_order = ("emails", "role")

    def clean_emails(self) -> list[str]:
        typed = [email for email in re.split(r"[\s,;]+", self.cleaned_data["emails"]) if email]
        for email in typed:
            try:
                validate_email(email)
            except ValidationError:
                raise ValidationError(f"“{email}” is not an email address.") from None
        emails = list(dict.fromkeys(email.lower() for email in typed))
        if not emails:
            raise ValidationError("Enter an email address.")
        if len(emails) > INVITED_AT_ONCE:
            raise ValidationError(
                f"These are {len(emails)} addresses. Invite up to {INVITED_AT_ONCE} at once."
            )
        return emails
