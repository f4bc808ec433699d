"""Where requests come in: the API goes to the gateway, everything else to Django."""

import os
from typing import cast

from django.core.asgi import get_asgi_application
from starlette.types import ASGIApp, Receive, Scope, Send

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
pages = cast(ASGIApp, get_asgi_application())

from gateway.api import application as gateway  # noqa: E402 -- models load after Django has

API_PATHS = ("/v1/", "/sandbox/v1/")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan" or f"{scope['path']}/".startswith(API_PATHS):
        await gateway(scope, receive, send)
    else:
        await pages(scope, receive, send)
