// OpenAI's SDK, on providers that speak another protocol: its chat API and its responses API.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import {
  BOTH_CALLS, CALL_BOTH, CITY_SCHEMA, MODELS, NO_SCHEMA, PIXEL, THOUGHT, clientOf, collected, faulty, rejection, says,
  textOf,
} from "./callers.mjs";

const client = clientOf("everything");
const impatient = clientOf("everything", { maxRetries: 0 });

const City = z.object({ name: z.string(), people: z.number(), twins: z.array(z.string()) });
const CITY = { name: "text", people: 1.5, twins: ["text"] };
const IMAGE_URL = `data:image/png;base64,${PIXEL}`;
const FUNCTIONS = [
  { name: "get_weather", parameters: CITY_SCHEMA },
  { name: "get_time", parameters: NO_SCHEMA },
];

const EXCEPTIONS = (provider) => [
  [`${provider}/does-not-exist`, OpenAI.NotFoundError, 404],
  [faulty(provider, "error-400"), OpenAI.BadRequestError, 400],
  [faulty(provider, "error-429"), OpenAI.RateLimitError, 429],
  [faulty(provider, "error-500"), OpenAI.InternalServerError, 502],
];

for (const provider of ["anthropic", "gemini"]) {
  const on = (name, run) => test(`openai chat on ${provider}: ${name}`, run);
  const asked = (content, members = {}) => ({ model: MODELS[provider], messages: says(content), ...members });
  const tools = FUNCTIONS.map((described) => ({ type: "function", function: described }));

  for (const stream of [false, true]) {
    const which = stream ? "streamed" : "whole";
    const answered = (members) =>
      stream ? client.chat.completions.stream(members).finalChatCompletion() : client.chat.completions.create(members);

    on(`a question gets its answer, ${which}`, async () => {
      const answer = await answered(asked("hello there"));
      assert.equal(answer.choices[0].message.content, "You said: hello there");
      assert.equal(answer.choices[0].finish_reason, "stop");
    });

    on(`two tools are called at once, ${which}`, async () => {
      const answer = await answered(asked(CALL_BOTH, { tools }));
      const calls = answer.choices[0].message.tool_calls;
      assert.deepEqual(calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]), BOTH_CALLS);
      assert.equal(answer.choices[0].finish_reason, "tool_calls");
    });

    on(`the helper runs the tool and sends its answer back, ${which}`, async () => {
      const heard = [];
      const tool = {
        type: "function",
        function: { ...FUNCTIONS[0], parse: JSON.parse, function: ({ city }) => (heard.push(city), "21 degrees") },
      };
      const runner = client.chat.completions.runTools(asked("call the tool", { tools: [tool], stream }));
      assert.match(await runner.finalContent(), /21 degrees/);
      assert.deepEqual(heard, ["text"]);
    });

    on(`errors are the exceptions of the SDK, ${which}`, async () => {
      for (const [model, expected, status] of EXCEPTIONS(provider)) {
        const error = await rejection(impatient.chat.completions.create(asked("hi", { model, stream })), expected);
        assert.equal(error.status, status, model);
        if (status === 429) assert.equal(error.headers.get("retry-after"), "1");
      }
    });
  }

  on("usage that was asked for is the last chunk", async () => {
    const members = { stream: true, stream_options: { include_usage: true } };
    const chunks = await collected(await client.chat.completions.create(asked("hi", members)));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, 3);
  });

  on("an image reaches the model", async () => {
    const image = { type: "image_url", image_url: { url: IMAGE_URL } };
    const answer = await client.chat.completions.create(asked([{ type: "text", text: "what is this" }, image]));
    assert.equal(answer.choices[0].message.content, "You said: what is this (images: 1)");
  });

  on("structured output is parsed", async () => {
    const members = asked("a city", { response_format: zodResponseFormat(City, "city") });
    const answer = await client.chat.completions.parse(members);
    assert.deepEqual(answer.choices[0].message.parsed, CITY);
  });

  on("reasoning comes before the answer", async () => {
    // To be shown what was thought is no member of OpenAI's own chat API; this is the responses API's.
    const members = { stream: true, reasoning: { effort: "low", summary: "auto" }, max_completion_tokens: 4096 };
    const chunks = await collected(await client.chat.completions.create(asked("think", members)));
    const thought = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.reasoning_content ?? ""));
    assert.equal(thought.join(""), THOUGHT);
    assert.equal(textOf(chunks), "You said: think");
  });

  for (const model of ["cut", "error-event"]) {
    on(`a stream that breaks raises after what had come: ${model}`, async () => {
      const chunks = [];
      const listening = (async () => {
        const members = asked("count", { model: faulty(provider, model), stream: true });
        for await (const chunk of await client.chat.completions.create(members)) chunks.push(chunk);
      })();
      await rejection(listening, OpenAI.APIError);
      assert.equal(textOf(chunks), "one two ");
    });
  }

  on("a stream that is left half-way gives its slot back", async () => {
    const single = clientOf("one-at-once");
    const stream = await single.chat.completions.create(asked("count", { model: `${provider}/stall`, stream: true }));
    for await (const chunk of stream) if (textOf([chunk])) break;
    const answer = await single.chat.completions.create(asked("next"));
    assert.equal(answer.choices[0].message.content, "You said: next");
  });
}

for (const provider of ["openai", "plain", "anthropic", "gemini"]) {
  const on = (name, run) => test(`openai responses on ${provider}: ${name}`, run);
  const asked = (input, members = {}) => ({ model: MODELS[provider], input, store: false, ...members });
  const tools = FUNCTIONS.map((described) => ({ type: "function", strict: false, ...described }));

  for (const stream of [false, true]) {
    const which = stream ? "streamed" : "whole";
    const answered = (members) =>
      stream ? client.responses.stream(members).finalResponse() : client.responses.create(members);

    on(`a question gets its answer with usage, ${which}`, async () => {
      const answer = await answered(asked("hello there", { instructions: "be brief" }));
      assert.equal(answer.output_text, "You said: hello there");
      assert.equal(answer.status, "completed");
      assert.equal(answer.usage.output_tokens, 4);
    });

    on(`two tools are called at once, ${which}`, async () => {
      const answer = await answered(asked(CALL_BOTH, { tools }));
      const calls = answer.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => [call.name, JSON.parse(call.arguments)]), BOTH_CALLS);
    });

    on(`tools' answers go back and are used, ${which}`, async () => {
      const first = await client.responses.create(asked(CALL_BOTH, { tools }));
      const calls = first.output.filter((item) => item.type === "function_call");
      const results = calls.map(({ call_id }, at) => ({
        type: "function_call_output", call_id, output: ["21 degrees", "noon"][at],
      }));
      const answer = await answered(asked([...says(CALL_BOTH), ...first.output, ...results], { tools }));
      assert.match(answer.output_text, /^The tool said: .*noon/s);
    });

    on(`errors are the exceptions of the SDK, ${which}`, async () => {
      for (const [model, expected, status] of EXCEPTIONS(provider)) {
        const error = await rejection(impatient.responses.create(asked("hi", { model, stream })), expected);
        assert.equal(error.status, status, model);
      }
    });
  }

  on("an image reaches the model", async () => {
    const content = [
      { type: "input_text", text: "what is this" },
      { type: "input_image", image_url: IMAGE_URL, detail: "auto" },
    ];
    const answer = await client.responses.create(asked([{ role: "user", content }]));
    assert.equal(answer.output_text, "You said: what is this (images: 1)");
  });

  on("structured output is parsed", async () => {
    const answer = await client.responses.parse(asked("a city", { text: { format: zodTextFormat(City, "city") } }));
    assert.deepEqual(answer.output_parsed, CITY);
  });

  if (provider !== "plain") {
    on("a summary of the reasoning comes before the text", async () => {
      const members = { reasoning: { effort: "low", summary: "auto" }, max_output_tokens: 4096 };
      const answer = await client.responses.create(asked("think", members));
      assert.equal(answer.output[0].summary.map((part) => part.text).join(""), THOUGHT);
      assert.equal(answer.output_text, "You said: think");
    });
  }

  on("a stream that is left half-way gives its slot back", async () => {
    const single = clientOf("one-at-once");
    const stream = await single.responses.create(asked("count", { model: `${provider}/stall`, stream: true }));
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    assert.equal((await single.responses.create(asked("next"))).output_text, "You said: next");
  });
}
