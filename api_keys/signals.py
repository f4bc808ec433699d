"""What API keys have to ask of whoever is above them."""

from django.dispatch import Signal

# Which models can a key be limited to? team. A receiver answers with a list of their names.
models_asked = Signal()
