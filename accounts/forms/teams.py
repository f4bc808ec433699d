"""The shape of input about teams and their members."""

from django import forms

from accounts.models import NAME_MAX_LENGTH


class NewTeamForm(forms.Form):
    """A team to be."""

    name = forms.CharField(
        max_length=NAME_MAX_LENGTH,
        help_text="A company, a product or a project.",
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )
