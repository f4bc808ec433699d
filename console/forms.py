"""How every form is drawn: as the look's fields, by templates under templates/django/forms."""

from pathlib import Path

import django.forms
from django.conf import settings
from django.forms.renderers import DjangoTemplates
from django.template.backends.django import DjangoTemplates as Backend
from django.utils.functional import cached_property


class FieldRenderer(DjangoTemplates):
    """Draw `{{ form }}` as `div.field > label + input + small`, errors and help tied to the input.

    A form picks a variant through its widget's attributes, so that no app has to import this:
    `RadioSelect(attrs={"class": "segments"})`, `CheckboxInput(attrs={"role": "switch"})`,
    `TextInput(attrs={"class": "mono"})`.
    """

    form_template_name = "django/forms/fields.html"
    field_template_name = "django/forms/field.html"

    @cached_property
    def engine(self) -> Backend:
        # Ours before Django's own, whose widgets serve where we have nothing to add.
        ours = settings.BASE_DIR / "templates"
        djangos = Path(django.forms.__file__).parent / "templates"
        builtins = ["console.templatetags.look"]
        return Backend(
            {
                "NAME": "fields",
                "DIRS": [ours, djangos],
                "APP_DIRS": True,  # The admin's widgets lie with the admin.
                "OPTIONS": {"builtins": builtins},
            }
        )
