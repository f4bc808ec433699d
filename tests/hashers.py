"""A password hasher for tests: Argon2 as in production, with the least work it allows."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """Takes a thousandth of the time."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1


class CountingArgon2(QuickArgon2):
    """Counts how often a password was hashed, to be made or to be compared."""

    count = 0

    def encode(self, password: str, salt: str) -> str:
        CountingArgon2.count += 1
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        CountingArgon2.count += 1
        return super().verify(password, encoded)
