"""Who calls: the clients that `run.py` writes, as the SDKs see them; and whom they are served by."""

import os

import anthropic
import groq
import openai
import pytest
from google import genai
from google.genai import types

URL = os.environ["GATEWAY_URL"]
PREFIX = os.environ["CLIENT_PREFIX"]

# A model of each provider. `plain` has the chat API alone.
MODELS = {
    "openai": "openai/gpt-5.4-nano",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "plain": "plain/llama-3.1-8b",
}

# What the fake upstream thinks before it answers.
THOUGHT = "The user wants an answer, so I give one."

# Two tools, the second without parameters, and the sentence that has both called at once. The number is one that
# a float cannot hold.
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "station": {"type": "integer"}},
    "required": ["city"],
}
CALL_BOTH = 'use tool get_weather {"city":"Paris","station":9007199254740993} and use tool get_time {}'
BOTH_CALLS = [("get_weather", {"city": "Paris", "station": 9007199254740993}), ("get_time", {})]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


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


def anthropic_client(role: str = "everything", **options) -> anthropic.Anthropic:
    # This SDK appends /v1 itself.
    return anthropic.Anthropic(base_url=URL, api_key=api_key(role), **options)


def gemini_client(role: str = "everything") -> genai.Client:
    # This SDK appends the version itself.
    return genai.Client(api_key=api_key(role), http_options=types.HttpOptions(base_url=URL))


def says(text: str) -> list:
    return [{"role": "user", "content": text}]


def on_each(surface: str, *providers: str):
    """Runs a test once for each of these providers; a failure names the SDK's surface and the provider."""
    pairs = [pytest.param(provider, id=f"{surface}-on-{provider}") for provider in providers]
    return pytest.mark.parametrize("provider", pairs)


def faulty(provider: str, model: str) -> str:
    """A model that misbehaves as its name says, where its failures hurt nothing else."""
    return f"faulty-{provider}/{model}"
