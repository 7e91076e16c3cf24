"""OpenAI's other APIs, through its SDK."""

import io
import json

import openai
import pytest

from callers import PIXEL, openai_client

EMBEDDING = "openai/text-embedding-3-small"

# A batch of one request.
LINE = json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
                   "body": {"model": "gpt-5.4-nano", "messages": [{"role": "user", "content": "hi"}]}}).encode()


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_embeddings_are_vectors(client, encoding):
    options = {} if encoding is None else {"encoding_format": encoding}
    answer = client.embeddings.create(model=EMBEDDING, input=["hi", "there"], **options)
    assert [item.index for item in answer.data] == [0, 1]
    assert all(item.embedding for item in answer.data)
    assert answer.usage.prompt_tokens > 0


def test_a_completion_continues_a_prompt(client):
    model = "openai/gpt-3.5-turbo-instruct"
    answer = client.completions.create(model=model, prompt="hello", max_tokens=16)
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    chunks = list(client.completions.create(model=model, prompt="hello", max_tokens=16, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == answer.choices[0].text


def test_an_image_is_made(client):
    answer = client.images.generate(model="openai/gpt-image-1", prompt="a pixel")
    assert answer.data[0].b64_json or answer.data[0].url


def test_an_image_is_edited(client):
    answer = client.images.edit(model="openai/gpt-image-1", image=("a.png", PIXEL, "image/png"), prompt="a pixel")
    assert answer.data[0].b64_json or answer.data[0].url


def test_speech_is_made_and_understood(client):
    sound = client.audio.speech.create(model="openai/gpt-4o-mini-tts", voice="alloy", input="hi").read()
    assert sound
    heard = client.audio.transcriptions.create(model="openai/whisper-1", file=("hi.mp3", sound, "audio/mpeg"))
    assert heard.text


def test_a_text_is_moderated(client):
    answer = client.moderations.create(model="openai/omni-moderation-latest", input="hi")
    assert answer.results[0].flagged is False


def test_a_file_belongs_to_who_sent_it(client):
    made = client.files.create(file=("a.jsonl", io.BytesIO(LINE), "application/jsonl"), purpose="batch")
    assert client.files.retrieve(made.id).id == made.id
    assert made.id in {file.id for file in client.files.list()}
    with openai_client("capped") as other, pytest.raises(openai.NotFoundError):
        other.files.retrieve(made.id)
    assert client.files.delete(made.id).deleted


def test_a_batch_is_made_of_a_file(client):
    made = client.files.create(file=("a.jsonl", io.BytesIO(LINE), "application/jsonl"), purpose="batch")
    batch = client.batches.create(
        input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert client.batches.retrieve(batch.id).input_file_id == made.id
    with openai_client("capped") as other, pytest.raises(openai.NotFoundError):
        other.batches.retrieve(batch.id)
