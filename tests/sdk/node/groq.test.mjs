// Groq's SDK, whose base URL is the gateway's root.

import assert from "node:assert/strict";
import { test } from "node:test";

import Groq from "groq-sdk";

import {
  BOTH_CALLS, CALL_BOTH, CITY_SCHEMA, NO_SCHEMA, PIXEL, THOUGHT, collected, groqOf, rejection, says, textOf,
} from "./callers.mjs";

const client = groqOf("everything");
const PROVIDERS = { groq: "openai/gpt-oss-20b", anthropic: "anthropic/claude-sonnet-4-5", gemini: "gemini/gemini-2.5-flash" };

const TOOLS = [
  { type: "function", function: { name: "get_weather", parameters: CITY_SCHEMA } },
  { type: "function", function: { name: "get_time", parameters: NO_SCHEMA } },
];

for (const [provider, model] of Object.entries(PROVIDERS)) {
  const on = (name, run) => test(`groq-sdk on ${provider}: ${name}`, run);
  const asked = (content, members = {}) => ({ model, messages: says(content), ...members });
  const create = (content, members) => client.chat.completions.create(asked(content, members));

  on("a question gets its answer with usage", async () => {
    const { data: answer, response } = await create("hello there").withResponse();
    assert.equal(response.headers.get("x-gateway-provider"), provider);
    assert.equal(answer.choices[0].message.content, "You said: hello there");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  on("a stream is the answer in pieces", async () => {
    const chunks = await collected(await create("a b c", { stream: true }));
    assert.equal(textOf(chunks), "You said: a b c");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  });

  on("two tools are called at once", async () => {
    const [choice] = (await create(CALL_BOTH, { tools: TOOLS })).choices;
    const calls = choice.message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    assert.deepEqual(calls, BOTH_CALLS);
    assert.equal(choice.finish_reason, "tool_calls");
  });

  on("two tools are called at once in a stream", async () => {
    const calls = [];
    for await (const chunk of await create(CALL_BOTH, { tools: TOOLS, stream: true })) {
      for (const part of chunk.choices[0]?.delta.tool_calls ?? []) {
        calls[part.index] ??= [part.function.name, ""];
        calls[part.index][1] += part.function.arguments ?? "";
      }
    }
    assert.deepEqual(calls.map(([name, given]) => [name, JSON.parse(given)]), BOTH_CALLS);
  });

  on("an image reaches the model", async () => {
    const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } };
    const answer = await create([{ type: "text", text: "what is this" }, image]);
    assert.equal(answer.choices[0].message.content, "You said: what is this (images: 1)");
  });

  on("structured output has its schema", async () => {
    const schema = { ...CITY_SCHEMA, additionalProperties: false };
    const format = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
    const answer = await create("a city", { response_format: format });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: "text" });
  });

  on("reasoning is shown or counted", async () => {
    const asking = provider === "groq" ? {} : { include_reasoning: true };
    const answer = await create("think", { reasoning_effort: "low", max_completion_tokens: 4096, ...asking });
    assert.equal(answer.choices[0].message.content, "You said: think");
    if (provider !== "groq") assert.equal(answer.choices[0].message.reasoning_content, THOUGHT);
    assert.ok(answer.usage.completion_tokens > 3);
  });

  on("a stream that is left half-way gives its slot back", async () => {
    const single = groqOf("one-at-once");
    const members = asked("count", { model: `${provider}/stall`, stream: true });
    for await (const chunk of await single.chat.completions.create(members)) if (textOf([chunk])) break;
    const answer = await single.chat.completions.create(asked("next"));
    assert.equal(answer.choices[0].message.content, "You said: next");
  });
}

const EXCEPTIONS = [
  ["switched-off", "openai/gpt-oss-20b", Groq.AuthenticationError, "invalid_api_key"],
  ["openai-only", "openai/gpt-oss-20b", Groq.PermissionDeniedError, null],
  ["everything", "groq/does-not-exist", Groq.NotFoundError, "model_not_found"],
  ["everything", "error-400", Groq.BadRequestError, "context_length_exceeded"],
  ["everything", "error-429", Groq.RateLimitError, "rate_limit_exceeded"],
  ["everything", "error-500", Groq.InternalServerError, "upstream_error"],
];

for (const [role, model, expected, code] of EXCEPTIONS) {
  test(`groq-sdk on groq: ${model} for ${role} is a ${expected.name}`, async () => {
    const asking = groqOf(role, { maxRetries: 0 }).chat.completions.create({ model, messages: says("hi") });
    const error = await rejection(asking, expected);
    assert.equal(error.error.error.code, code);
    if (error.status === 429) assert.equal(error.headers.get("retry-after"), "1");
  });
}
