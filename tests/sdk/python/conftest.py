"""SDKs that are closed behind their tests, so that a connection that leaks is an error."""

import pytest

from callers import anthropic_client, gemini_client, groq_client, openai_client


@pytest.fixture
def client():
    with openai_client() as client:
        yield client


@pytest.fixture
def groq():
    with groq_client() as client:
        yield client


@pytest.fixture
def sdk():
    """Anthropic's."""
    with anthropic_client() as client:
        yield client


@pytest.fixture(scope="session")
def gemini():
    """One for all tests: to make one takes this SDK a second."""
    with gemini_client() as client:
        yield client


@pytest.fixture
def impatient():
    """Does not try again, so that a test sees the first answer."""
    with openai_client(max_retries=0) as client:
        yield client
