"""Who calls: the clients that `run.py` writes, as the SDKs see them."""

import os

import groq
import openai

URL = os.environ["GATEWAY_URL"]
PREFIX = os.environ["CLIENT_PREFIX"]


def api_key(role: str) -> str:
    return f"key-{PREFIX}-{role}"


def id_and_secret(role: str) -> str:
    """The other form that an SDK's key may have."""
    return f"{PREFIX}-{role}:secret-{PREFIX}-{role}"


def openai_client(role: str = "everything", **options) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{URL}/v1", api_key=api_key(role), **options)


def async_openai_client(role: str = "everything", **options) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=api_key(role), **options)


def groq_client(role: str = "everything", **options) -> groq.Groq:
    # This SDK appends /openai/v1 itself.
    return groq.Groq(base_url=URL, api_key=api_key(role), **options)


def says(text: str) -> list:
    return [{"role": "user", "content": text}]
