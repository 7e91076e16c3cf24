"""First requests with OpenAI's own Python package. Start the gateway first.

    pip install openai
    python examples/clients/python.py

GATEWAY_URL says where the gateway is if not on port 8000.
"""

import os

from openai import OpenAI

gateway = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000")
client = OpenAI(base_url=f"{gateway}/v1", api_key="test_client:password")
question = [{"role": "user", "content": "Hello, world!"}]

answer = client.chat.completions.create(model="echo", messages=question)
print(answer.choices[0].message.content)

for chunk in client.chat.completions.create(model="echo", messages=question, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
