// Anthropic's SDK, on its own protocol and on the others'.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import {
  BOTH_CALLS, CALL_BOTH, CITY_SCHEMA, MODELS, NO_SCHEMA, PIXEL, THOUGHT, anthropicOf, collected, faulty, rejection, says,
} from "./callers.mjs";

const client = anthropicOf("everything");
const impatient = anthropicOf("everything", { maxRetries: 0 });

const TOOLS = [{ name: "get_weather", input_schema: CITY_SCHEMA }, { name: "get_time", input_schema: NO_SCHEMA }];
const THINKING = { type: "enabled", budget_tokens: 1024 };

const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

for (const provider of ["anthropic", "openai", "gemini"]) {
  const on = (name, run) => test(`@anthropic-ai/sdk on ${provider}: ${name}`, run);
  const asked = (content, members = {}) => ({
    model: MODELS[provider], max_tokens: 1000, messages: says(content), ...members,
  });
  const answered = (stream, members) =>
    stream ? client.messages.stream(members).finalMessage() : client.messages.create(members);

  for (const stream of [false, true]) {
    const which = stream ? "streamed" : "whole";

    on(`a question gets its answer with usage, ${which}`, async () => {
      const answer = await answered(stream, asked("hello there", { system: "be brief" }));
      assert.equal(textOf(answer), "You said: hello there");
      assert.equal(answer.stop_reason, "end_turn");
      assert.equal(answer.stop_sequence, null);
      assert.ok(answer.usage.input_tokens > 0);
      assert.equal(answer.usage.output_tokens, 4);
    });

    on(`two tools are called at once, ${which}`, async () => {
      const answer = await answered(stream, asked(CALL_BOTH, { tools: TOOLS }));
      const calls = answer.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(calls.map((call) => [call.name, call.input]), BOTH_CALLS);
      assert.equal(answer.stop_reason, "tool_use");
    });

    on(`tools' answers go back and are used, ${which}`, async () => {
      const { content } = await client.messages.create(asked(CALL_BOTH, { tools: TOOLS }));
      const calls = content.filter((block) => block.type === "tool_use");
      const results = calls.map(({ id }, at) => ({
        type: "tool_result", tool_use_id: id, content: ["21 degrees", "noon"][at],
      }));
      const messages = [...says(CALL_BOTH), { role: "assistant", content }, { role: "user", content: results }];
      const answer = await answered(stream, asked("", { messages, tools: TOOLS }));
      assert.match(textOf(answer), /^The tool said: .*noon/s);
    });

    if (provider !== "openai") {
      on(`thinking is a block before the text, ${which}`, async () => {
        const answer = await answered(stream, asked("think", { thinking: THINKING, max_tokens: 4096 }));
        assert.deepEqual(answer.content.map((block) => block.type), ["thinking", "text"]);
        assert.equal(answer.content[0].thinking, THOUGHT);
        assert.equal(answer.content[1].text, "You said: think");
      });
    }

    on(`errors are the exceptions of the SDK, ${which}`, async () => {
      const EXCEPTIONS = [
        [`${provider}/does-not-exist`, Anthropic.NotFoundError, 404, "not_found_error"],
        [faulty(provider, "error-400"), Anthropic.BadRequestError, 400, "invalid_request_error"],
        [faulty(provider, "error-429"), Anthropic.RateLimitError, 429, "rate_limit_error"],
        [faulty(provider, "error-500"), Anthropic.InternalServerError, 502, "api_error"],
      ];
      for (const [model, expected, status, type] of EXCEPTIONS) {
        const error = await rejection(impatient.messages.create(asked("hi", { model, stream })), expected);
        assert.equal(error.status, status, model);
        assert.equal(error.error.error.type, type, model);
        assert.match(error.requestID, /^req_/);
        if (status === 429) assert.equal(error.headers.get("retry-after"), "1");
      }
    });
  }

  on("an image reaches the model", async () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } };
    const answer = await client.messages.create(asked([{ type: "text", text: "what is this" }, image]));
    assert.equal(textOf(answer), "You said: what is this (images: 1)");
  });

  on("structured output is parsed", async () => {
    const City = z.object({ name: z.string(), people: z.number(), twins: z.array(z.string()) });
    const answer = await client.messages.parse(asked("a city", { output_config: { format: zodOutputFormat(City) } }));
    assert.deepEqual(answer.parsed_output, { name: "text", people: 1.5, twins: ["text"] });
  });

  for (const model of ["cut", "error-event"]) {
    on(`a stream that breaks raises after what had come: ${model}`, async () => {
      const events = [];
      const listening = (async () => {
        const stream = await client.messages.create(asked("count", { model: faulty(provider, model), stream: true }));
        for await (const event of stream) events.push(event);
      })();
      await rejection(listening, Anthropic.APIError);
      assert.equal(events.map((event) => event.delta?.text ?? "").join(""), "one two ");
    });
  }

  on("a stream that is left half-way gives its slot back", async () => {
    const single = anthropicOf("one-at-once");
    const stream = await single.messages.create(asked("count", { model: `${provider}/stall`, stream: true }));
    for await (const event of stream) if (event.delta?.text) break;
    assert.equal(textOf(await single.messages.create(asked("next"))), "You said: next");
  });
}

test("@anthropic-ai/sdk: a wrong key is an authentication error", async () => {
  const asking = anthropicOf("switched-off").messages.create({ model: "claude-sonnet-4-5", max_tokens: 10, messages: says("hi") });
  assert.equal((await rejection(asking, Anthropic.AuthenticationError)).error.error.type, "authentication_error");
});

test("@anthropic-ai/sdk on anthropic: every event of a stream has its place", async () => {
  const events = await collected(
    await client.messages.create({ model: "claude-sonnet-4-5", max_tokens: 100, messages: says("a b"), stream: true }),
  );
  const kinds = events.map((event) => event.type).filter((type) => type !== "ping");
  assert.equal(kinds[0], "message_start");
  assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
});
