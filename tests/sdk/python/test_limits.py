"""Limits, and what the SDK makes of a 429: when it waits, how long, and when it does not try."""

import threading
import time
from datetime import datetime

import openai
import pytest

from callers import openai_client, says

MODEL = "gpt-5.4-nano"


def test_a_full_minute_is_a_rate_limit_error_that_says_when():
    with openai_client("one-a-minute", max_retries=0) as client:
        client.chat.completions.create(model=MODEL, messages=says("hi"))
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model=MODEL, messages=says("hi"))
        # What uses up no limit goes on.
        assert client.models.retrieve(MODEL).id == MODEL
    error = raised.value
    assert (error.status_code, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    headers = error.response.headers
    assert headers["x-ratelimit-limited-by"] == "requests_per_minute"
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert 0 < int(headers["retry-after-ms"]) <= 1000 * int(headers["retry-after"])
    limit = error.body["limit"]
    assert (limit["name"], limit["limit"], limit["used"]) == ("requests_per_minute", 1, 1)
    assert 0 < datetime.fromisoformat(limit["reset_at"]).timestamp() - time.time() <= 61


def test_a_quota_that_waiting_does_not_bring_back_is_not_tried_again():
    with openai_client("without-tokens") as client, pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model=MODEL, messages=says("hi"))
    error = raised.value
    assert error.code == "insufficient_quota"
    assert error.response.headers["x-should-retry"] == "false"
    assert error.request.headers["x-stainless-retry-count"] == "0"


def test_a_client_whose_slot_is_taken_gets_in_when_the_sdk_tries_again():
    with openai_client("one-at-once") as client:
        stream = client.chat.completions.create(model="slow", messages=says("count"), stream=True)
        next(stream)
        listening = threading.Thread(target=lambda: list(stream))
        listening.start()
        began = time.monotonic()
        answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi"))
        waited = time.monotonic() - began
        listening.join()
    assert answer.retries_taken >= 1
    assert answer.parse().choices[0].message.content == "You said: hi"
    # A whole second was asked for; an SDK that heard nothing would have waited for less.
    assert waited >= 1


def test_the_upstreams_own_limit_keeps_its_status_and_its_wait(client):
    began = time.monotonic()
    with pytest.raises(openai.RateLimitError) as raised:
        client.with_options(max_retries=1).chat.completions.create(model="error-429", messages=says("hi"))
    waited = time.monotonic() - began
    error = raised.value
    assert error.code == "rate_limit_exceeded"
    assert error.request.headers["x-stainless-retry-count"] == "1"
    assert (error.response.headers["retry-after"], error.response.headers["retry-after-ms"]) == ("1", "850")
    assert "x-ratelimit-limited-by" not in error.response.headers
    assert waited >= 0.85
