"""A password hasher for tests: Argon2 as in production, with the least work it allows."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """Takes a thousandth of the time."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1
