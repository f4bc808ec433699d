"""Programs that use a key, to copy from a page. Pure."""

from typing import Final

SHELL_EXAMPLE: Final = """\
curl {base_url}/models \\
  -H "Authorization: Bearer $CONSOLE_API_KEY"
"""
PYTHON_EXAMPLE: Final = """\
import os
from openai import OpenAI

client = OpenAI(
    base_url="{base_url}",
    api_key=os.environ["CONSOLE_API_KEY"],
)
answer = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
"""


def shell_example(base_url: str) -> str:
    """Write a command that lists the models."""
    return SHELL_EXAMPLE.format(base_url=base_url)


def python_example(base_url: str, *, model: str | None = None) -> str:
    """Write a program that uses a key. Without a model to name, it asks for one."""
    named = f'"{model}"' if model else "client.models.list().data[0].id"
    return PYTHON_EXAMPLE.format(base_url=base_url, model=named)
