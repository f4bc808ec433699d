"""One settings file for every environment; only environment variables differ."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import dj_email_url
import django_stubs_ext
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from console import env, providers

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.data_dir()

# --- The product ------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY", None)
SECRET_KEY_LENGTH = 50
if not DEBUG and len(SECRET_KEY) < SECRET_KEY_LENGTH:
    raise ImproperlyConfigured(
        f"SECRET_KEY has {len(SECRET_KEY)} characters. Whoever guesses it can sign in as anyone, "
        f"so it needs at least {SECRET_KEY_LENGTH} random ones."
    )
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", default=8000, least=1, most=65535)
WEB_WORKERS = env.number("WEB_WORKERS", default=1, least=1, most=256)
# Seconds that open streams and running jobs may take to finish when the console is stopped.
SHUTDOWN_TIMEOUT = env.number("SHUTDOWN_TIMEOUT", default=30, least=1, most=1800)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://localhost:{PORT}").rstrip("/")
CONSOLE_NAME = env.text("CONSOLE_NAME", "Console")
API_KEY_PREFIX = env.text("API_KEY_PREFIX", "ck")
SUPPORT_EMAIL = env.text("SUPPORT_EMAIL", "support@localhost")
TERMS_URL = env.text("TERMS_URL", "")
PRIVACY_URL = env.text("PRIVACY_URL", "")
# How many of our own proxies stand in front and append to X-Forwarded-For.
TRUSTED_PROXIES = env.number("TRUSTED_PROXIES", default=0, most=10)
# Seconds without a byte from an upstream before the gateway gives up on it.
UPSTREAM_TIMEOUT = env.number("UPSTREAM_TIMEOUT", default=300, least=1, most=3600)
# Seconds that credits stay set aside for a request whose gateway has died; living ones renew.
HOLD_SECONDS = env.number("HOLD_SECONDS", default=120, least=3, most=3600)
# Seconds for which the gateway goes on listening to an upstream after the client has gone.
DRAIN_SECONDS = env.number("DRAIN_SECONDS", default=30, most=3600)
# Seconds for which the gateway waits for a database that went away before it answers without.
DATABASE_PATIENCE = env.number("DATABASE_PATIENCE", default=15, least=1, most=600)
GATEWAY_MAX_BODY_BYTES = env.number("GATEWAY_MAX_BODY_MB", default=20, least=1, most=512) * 2**20

_public = urlsplit(PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured(f"PUBLIC_URL={PUBLIC_URL!r} is not an http or https address.")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", f"{_public.hostname},localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# --- Money ------------------------------------------------------------------------------------

PURCHASE_MIN_USD = env.number("PURCHASE_MIN_USD", default=5, least=1, most=1_000_000)
PURCHASE_MAX_USD = env.number("PURCHASE_MAX_USD", default=10_000, least=1, most=1_000_000)
if PURCHASE_MAX_USD < PURCHASE_MIN_USD:
    raise ImproperlyConfigured(
        f"PURCHASE_MAX_USD={PURCHASE_MAX_USD} is less than PURCHASE_MIN_USD={PURCHASE_MIN_USD}."
    )
# How long bought credits can be used; 0: for ever.
PREPAID_EXPIRY_MONTHS = env.number("PREPAID_EXPIRY_MONTHS", default=12, most=1200)
# The most that a new team may let itself be invoiced per month; staff change it team by team.
DEFAULT_HARD_LIMIT_USD = env.number("DEFAULT_HARD_LIMIT_USD", default=2000, most=1_000_000)

# Who takes the money: the built-in processor of test cards, or Stripe.
PAYMENTS = env.choice("PAYMENTS", default="sandbox", of=("sandbox", "stripe"))
_secret = None if PAYMENTS == "stripe" else ""  # Without a default it has to be set.
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", _secret)
STRIPE_PUBLISHABLE_KEY = env.text("STRIPE_PUBLISHABLE_KEY", _secret)
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET", _secret)
STRIPE_API_URL = env.text("STRIPE_API_URL", "https://api.stripe.com").rstrip("/")
STRIPE_JS_URL = env.text("STRIPE_JS_URL", "https://js.stripe.com/v3/")
# Countries whose cards are refused, by ISO 3166-1.
REFUSED_CARD_COUNTRIES = env.names("REFUSED_CARD_COUNTRIES", "IN")
# On every purchase and invoice from now on; issued ones keep what they have.
TAX_PERCENT = env.percent("TAX_PERCENT", default="0")
TAX_NAME = env.text("TAX_NAME", "Tax")
# What stands on documents as their issuer. Lines of the address are separated by "|".
SELLER_NAME = env.text("SELLER_NAME", CONSOLE_NAME)
SELLER_ADDRESS = [
    line.strip() for line in env.text("SELLER_ADDRESS", "").split("|") if line.strip()
]
SELLER_TAX_NUMBER = env.text("SELLER_TAX_NUMBER", "")
# A folder of more typefaces for PDF files, for scripts that the built-in ones have not.
DOCUMENT_FONTS = env.text("DOCUMENT_FONTS", "")
# Where customers send bank transfers; lines separated by "|". Empty: transfers are not offered,
# except by the sandbox.
BANK_TRANSFER_TO = [
    line.strip() for line in env.text("BANK_TRANSFER_TO", "").split("|") if line.strip()
]

# --- Apps -------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "console",
    "support",
    "gateway",
    "collections_app",
    "api_keys",
    "billing",
    "usage",
    "audit",
    "accounts",
    "support.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "allauth.usersessions",
    "django_otp",
    "csp",
    "django_htmx",
    "template_partials",
    "procrastinate.contrib.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "accounts.last_seen.LastSeenMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.middleware.HtmxRedirectMiddleware",
    "accounts.middleware.LeavingMiddleware",
    "console.middleware.TimezoneMiddleware",
]
ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": [
                "console.templatetags.look",
                "billing.templatetags.money",
                "template_partials.templatetags.partials",
                "django.contrib.humanize.templatetags.humanize",
                "django.templatetags.static",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context_processors.shell",
            ],
        },
    },
]
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # The e-mail is not unique on purpose; see accounts.models.User.
]

# --- Data -------------------------------------------------------------------------------------

# manage.py sets it to the embedded server's address when it is not given.
DATABASE_URL = env.text("DATABASE_URL", "postgresql://localhost/console")
_database = dj_database_url.parse(DATABASE_URL, conn_health_checks=True)
DATABASES = {
    "default": {
        **_database,
        "OPTIONS": {
            # Where an address carries its host and port as a query, they are in here.
            **_database.get("OPTIONS", {}),
            # A page runs in a thread of its own, so connections are lent rather than kept. Nobody
            # waits longer for one than the gateway is to wait for the database.
            "pool": {"min_size": 1, "max_size": 16, "timeout": min(10, DATABASE_PATIENCE)},
        },
    },
}
# Where pages ask about usage: ClickHouse, or PostgreSQL if None. See docs/scaling.md.
CLICKHOUSE = env.clickhouse("USAGE_STORE", default="postgres")
# Days for which single requests are kept after the end of their month; 0 keeps them for good.
USAGE_EVENT_DAYS = env.number("USAGE_EVENT_DAYS", default=0, most=36_500)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = True
FORMAT_MODULE_PATH = "console.formats"

# --- Pages ------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "files"},
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}
WHITENOISE_USE_FINDERS = DEBUG
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
FORM_RENDERER = "console.forms.FieldRenderer"

# --- Security ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/team/default/"
_https = _public.scheme == "https"
SECURE_SSL_REDIRECT = False  # The proxy that ends TLS does it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "accounts.passwords.GuessableValidator"},
]

# --- Accounts ---------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["accounts.adapters.account.PasswordBackend"]
PASSWORD_RESET_TIMEOUT = 3 * 60 * 60
# Counts attempts and remembers used one-time codes, so all processes have to share it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        # A full cache forgets at random; a flood of strangers must not make it forget attempts.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    },
}
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = False  # See accounts.models.User, and AccountsConfig about the check.
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {
    "login": "accounts.forms.door.SignInForm",
    "signup": "accounts.forms.door.SignUpForm",
    "change_password": "accounts.forms.methods.ChangePasswordForm",
    "set_password": "accounts.forms.methods.SetPasswordForm",
    "reset_password": "accounts.forms.door.ResetRequestForm",
    "reset_password_from_key": "accounts.forms.door.NewPasswordForm",
}
MFA_ADAPTER = "accounts.adapters.FactorAdapter"
MFA_FORMS = {
    "authenticate": "accounts.forms.security.SecondStepForm",
    "authenticate_webauthn": "accounts.forms.security.SecondStepKeyForm",
    "login_webauthn": "accounts.forms.security.KeySignInForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = CONSOLE_NAME
MFA_TOTP_TOLERANCE = 1  # The code before and the one after count, for clocks that are a bit off.
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TRUST_ENABLED = True
MFA_TRUST_COOKIE_AGE = timedelta(days=30)
# Nobody is signed in with an address that was never confirmed; one that waits to be is no reason.
MFA_ALLOW_UNVERIFIED_EMAIL = True
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAdapter"
SOCIALACCOUNT_PROVIDERS = providers.read()
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# Of one account and of one address; see accounts.confirming.
ACCOUNT_RATE_LIMITS = {"confirm_email_of_account": "1/3m/key", "confirm_email": "20/d/key"}
# As allauth has it, and so many a day. By the visitor's address first, so that one visitor cannot
# fill the cache with counts of made-up emails.
ACCOUNT_RATE_LIMITS |= {"reset_password": "20/m/ip,200/d/ip,5/m/key,20/d/key"}
# So many guesses at promo codes.
ACCOUNT_RATE_LIMITS |= {"redeem_code": "10/5m/user,50/d/user,30/5m/ip,200/d/ip"}
# So many cards entered: whoever tries stolen ones does not try them here.
ACCOUNT_RATE_LIMITS |= {"enter_card": "20/5m/user,100/d/user"}
ACCOUNT_CHANGE_EMAIL = True  # An account has one address, and at most one that it changes to.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# In the browser that signed up, the mailed link signs in; it has an hour to arrive in time.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_LOGIN_TIMEOUT = 60 * 60
# Seconds for which a sign-in, or being asked again, proves who it is; see accounts.proof.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True  # For Django's two weeks; there is no box to tick.

# A MaxMind database (.mmdb) that says where addresses are; empty: the countries of geoip2fast.
GEOIP_PATH = env.text("GEOIP_PATH", "")
if GEOIP_PATH and not Path(GEOIP_PATH).is_file():
    raise ImproperlyConfigured(f"GEOIP_PATH={GEOIP_PATH!r} is not a file.")

# --- Leaked keys ------------------------------------------------------------------------------

# Where GitHub lists the public keys that its secret scanning signs with.
GITHUB_SECRET_SCANNING_KEYS_URL = env.text(
    "GITHUB_SECRET_SCANNING_KEYS_URL",
    "https://api.github.com/meta/public_keys/secret_scanning",
)

# --- Mail -------------------------------------------------------------------------------------

EMAIL_URL = env.text("EMAIL_URL", "")
DEFAULT_FROM_EMAIL = env.text("FROM_EMAIL", f"{CONSOLE_NAME} <{SUPPORT_EMAIL}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Whoever mails puts it into the outbox; the worker takes it out and sends it by MAIL_BACKEND.
EMAIL_BACKEND = "console.outbox.Outbox"
if EMAIL_URL:
    _mail = dj_email_url.parse(EMAIL_URL)
    if "EMAIL_BACKEND" not in _mail:
        raise ImproperlyConfigured(
            f"EMAIL_URL begins with {EMAIL_URL.partition(':')[0]!r}, which is no way to send mail. "
            "Use smtp://, or submission:// for port 587 with TLS."
        )
    MAIL_BACKEND = _mail.pop("EMAIL_BACKEND")
    _mail["EMAIL_TIMEOUT"] = _mail["EMAIL_TIMEOUT"] or 30
    vars().update({k: v for k, v in _mail.items() if k != "DEFAULT_FROM_EMAIL"})
else:
    # Kept as files; with DEBUG, /mail/ shows them.
    MAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "mail"

# --- Logs -------------------------------------------------------------------------------------

LOG_LEVEL = env.text("LOG_LEVEL", "INFO")
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    raise ImproperlyConfigured(f"LOG_LEVEL={LOG_LEVEL!r} is not DEBUG, INFO, WARNING or ERROR.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "console.logs.Line",
            "format": "{levelname:<7} {name}: {message}",
            "style": "{",
        },
    },
    "filters": {"no_secrets": {"()": "console.logs.SecretsFilter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Or, with DEBUG, Django writes each line once more in a form of its own.
        "django": {"handlers": [], "level": "INFO"},
        # A filter holds for what is logged by this very name, so each is listed.
        "django.request": {"filters": ["no_secrets"]},
        "django.security.csrf": {"filters": ["no_secrets"]},
        "django.server": {"level": "WARNING", "filters": ["no_secrets"]},
        "fido2": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
    },
}
