"""A plugin of pytest for OpenAI's own tests: gives their requests what no server but a made-up one does without.

Some ask for a response of no model to nothing, or cap an answer at no token, or go on from a response that nobody has made.
The gateway refuses that, as OpenAI does. Here such a request gets a model, an input or a cap, or goes on from nothing; all
else of it, and all that the tests say of the answer, stays.
"""

from functools import wraps

from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses


def with_a_model(members: dict) -> dict:
    others = {name: value for name, value in members.items() if name != "previous_response_id"}
    return {"model": "gpt-6-astra", "input": "string"} | others


def with_a_cap(members: dict) -> dict:
    if members.get("max_completion_tokens") != 0:
        return members
    others = {name: value for name, value in members.items() if name != "max_tokens"}
    return others | {"max_completion_tokens": 16}


def repair(method, repaired):
    """The method with its members repaired; what it gives back, a coroutine or not, stays."""

    @wraps(method)
    def call(self, **members):
        return method(self, **repaired(members))

    return call


for resource, repaired in [
    (Responses, with_a_model),
    (AsyncResponses, with_a_model),
    (Completions, with_a_cap),
    (AsyncCompletions, with_a_cap),
]:
    resource.create = repair(resource.create, repaired)
