// Errors, limits, retries, and streams that end too soon on either side.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { MODEL, clientOf, collected, countingFetch, question, rejection, textOf } from "./callers.mjs";

const client = clientOf("everything");
const impatient = clientOf("everything", { maxRetries: 0 });

const EXCEPTIONS = [
  { role: "switched-off", error: OpenAI.AuthenticationError, status: 401, code: "invalid_api_key" },
  { role: "models-only", error: OpenAI.PermissionDeniedError, status: 403, type: "permission_error" },
  { role: "openai-only", model: "fast", error: OpenAI.PermissionDeniedError, status: 403 },
  { model: "gpt-does-not-exist", error: OpenAI.NotFoundError, status: 404, code: "model_not_found" },
  { model: "nobody/nothing", error: OpenAI.NotFoundError, status: 404, code: "model_not_found" },
  { model: "error-400", error: OpenAI.BadRequestError, status: 400, param: "messages", code: "context_length_exceeded" },
  { model: "error-429", error: OpenAI.RateLimitError, status: 429, code: "rate_limit_exceeded" },
  { model: "error-500", error: OpenAI.InternalServerError, status: 502, code: "upstream_error" },
  { model: "error-503", error: OpenAI.InternalServerError, status: 502, code: "upstream_error" },
  { model: "html", error: OpenAI.InternalServerError, status: 502, code: "upstream_error" },
  { model: "close", error: OpenAI.InternalServerError, status: 502, code: "upstream_error" },
  { model: "never", error: OpenAI.InternalServerError, status: 504, code: "upstream_timeout" },
  { model: "refused/gpt-4o-mini", error: OpenAI.InternalServerError, status: 502, code: "upstream_error" },
];

for (const { role = "everything", model = MODEL, error: expected, ...members } of EXCEPTIONS) {
  for (const stream of [false, true]) {
    test(`${model} for ${role} is a ${expected.name}, stream: ${stream}`, async () => {
      const asking = clientOf(role, { maxRetries: 0 }).chat.completions.create(question("hi", { model, stream }));
      const error = await rejection(asking, expected);
      for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, name);
      assert.match(error.requestID, /^req_/);
      assert.ok(error.message);
    });
  }
}

test("a cap above the client's limit is a bad request", async () => {
  const asking = clientOf("capped").chat.completions.create(question("hi", { max_completion_tokens: 2001 }));
  const error = await rejection(asking, OpenAI.BadRequestError);
  assert.equal(error.param, "max_completion_tokens");
  assert.match(error.message, /Max tokens limit exceeded\. Maximum allowed: 2000/);
});

test("a full minute is a rate limit error that says when", async () => {
  const metered = clientOf("one-a-minute", { maxRetries: 0 });
  await metered.chat.completions.create(question("hi"));
  const error = await rejection(metered.chat.completions.create(question("hi")), OpenAI.RateLimitError);
  assert.equal(error.code, "rate_limit_exceeded");
  assert.equal(error.headers.get("x-ratelimit-limited-by"), "requests_per_minute");
  assert.equal(error.headers.get("x-ratelimit-remaining-requests"), "0");
  const seconds = Number(error.headers.get("retry-after"));
  assert.ok(seconds >= 1 && seconds <= 60);
  assert.equal(error.error.limit.name, "requests_per_minute");
});

test("a quota that waiting does not bring back is not tried again", async () => {
  const fetch = countingFetch();
  const asking = clientOf("without-tokens", { fetch }).chat.completions.create(question("hi"));
  assert.equal((await rejection(asking, OpenAI.RateLimitError)).code, "insufficient_quota");
  assert.equal(fetch.calls, 1);
});

test("a key that is not set is named and not tried again", async () => {
  const fetch = countingFetch();
  const asking = clientOf("everything", { fetch }).chat.completions.create(question("hi", { model: "keyless/gpt" }));
  const error = await rejection(asking, OpenAI.InternalServerError);
  assert.match(error.message, /UPSTREAM_KEY_MISSING/);
  assert.equal(fetch.calls, 1);
});

test("a client whose slot is taken gets in when the SDK tries again", async () => {
  const fetch = countingFetch();
  const single = clientOf("one-at-once", { fetch });
  const stream = await single.chat.completions.create(question("count", { model: "slow", stream: true }));
  const began = performance.now();
  const listening = collected(stream);
  const answer = await single.chat.completions.create(question("hi"));
  assert.equal(answer.choices[0].message.content, "You said: hi");
  assert.ok(fetch.calls >= 3, `${fetch.calls} calls`);
  // A whole second was asked for; an SDK that heard nothing would have waited for less.
  assert.ok(performance.now() - began >= 1000);
  assert.ok(textOf(await listening).endsWith("ten"));
});

for (const model of ["cut", "error-event"]) {
  test(`a stream that breaks raises after what had come: ${model}`, async () => {
    const chunks = [];
    const listening = (async () => {
      const stream = await client.chat.completions.create(question("count", { model, stream: true }));
      for await (const chunk of stream) chunks.push(chunk);
    })();
    const error = await rejection(listening, OpenAI.APIError);
    assert.equal(error.type, "server_error");
    assert.equal(textOf(chunks), "one two ");
  });
}

test("a stream that is left half-way gives its slot back", async () => {
  const single = clientOf("one-at-once");
  const stream = await single.chat.completions.create(question("count", { model: "stall", stream: true }));
  // Leaving the loop ends the request. The upstream says nothing more, so nothing else can free the slot.
  for await (const chunk of stream) if (textOf([chunk])) break;
  const answer = await single.chat.completions.create(question("next"));
  assert.equal(answer.choices[0].message.content, "You said: next");
});

test("a stream that is aborted gives its slot back", async () => {
  const single = clientOf("one-at-once");
  const abort = new AbortController();
  const options = { signal: abort.signal };
  const stream = await single.chat.completions.create(question("count", { model: "stall", stream: true }), options);
  for await (const chunk of stream) if (textOf([chunk])) abort.abort();
  const answer = await single.chat.completions.create(question("next"));
  assert.equal(answer.choices[0].message.content, "You said: next");
});

test("a caller without patience times out, and its slot is free", async () => {
  const hasty = clientOf("one-at-once", { timeout: 300, maxRetries: 0 });
  const asking = hasty.chat.completions.create(question("hi", { model: "late" }));
  await rejection(asking, OpenAI.APIConnectionTimeoutError);
  const answer = await clientOf("one-at-once").chat.completions.create(question("next"));
  assert.equal(answer.choices[0].message.content, "You said: next");
});

test("a failed upstream is no secret's leak", async () => {
  const asking = impatient.chat.completions.create(question("hi", { model: "refused/gpt-4o-mini" }));
  assert.doesNotMatch((await rejection(asking, OpenAI.InternalServerError)).message, /sk-/);
});
