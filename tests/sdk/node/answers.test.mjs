// Answers, streamed and not: text, tools, images, structured output, models.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { BASE_URL, MODEL, apiKey, clientOf, collected, idAndSecret, question, says, textOf } from "./callers.mjs";

const client = clientOf("everything");

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

test("a question gets its answer with usage", async () => {
  const answer = await client.chat.completions.create(question("hello there"));
  assert.equal(answer.choices[0].message.content, "You said: hello there");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.match(answer._request_id, /^req_/);
});

test("every kind of character comes back as it went", async () => {
  const text = "Grüße, 世界 👩‍👩‍👧‍👦 \u202eabc \"quoted\" \\ back \u0007 \n line";
  const answer = await client.chat.completions.create(question(text));
  assert.equal(answer.choices[0].message.content, `You said: ${text}`);
});

test("two choices are two answers", async () => {
  const answer = await client.chat.completions.create(question("hi", { n: 2 }));
  assert.deepEqual(
    answer.choices.map((choice) => [choice.index, choice.message.content]),
    [[0, "You said: hi"], [1, "You said: hi"]],
  );
});

test("an image reaches the model", async () => {
  const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "low" } };
  const messages = says([{ type: "text", text: "what is this" }, image]);
  const answer = await client.chat.completions.create({ model: MODEL, messages });
  assert.equal(answer.choices[0].message.content, "You said: what is this (images: 1)");
});

test("structured output is parsed", async () => {
  const City = z.object({ name: z.string(), people: z.number(), twins: z.array(z.string()) });
  const answer = await client.chat.completions.parse(
    question("a city", { response_format: zodResponseFormat(City, "city") }),
  );
  assert.deepEqual(answer.choices[0].message.parsed, { name: "text", people: 1.5, twins: ["text"] });
});

test("a head names request, limits and upstream", async () => {
  const { response } = await clientOf("metered").chat.completions.create(question("hi")).withResponse();
  const head = Object.fromEntries(response.headers);
  assert.match(head["x-request-id"], /^req_/);
  assert.equal(head["x-ratelimit-limit-requests"], "600");
  assert.ok(Number(head["x-ratelimit-remaining-requests"]) < 600);
  assert.equal(head["x-ratelimit-limit-tokens"], "5000000");
  assert.equal(head["x-gateway-provider"], "openai");
  assert.equal(head["x-gateway-model"], MODEL);
});

test("a stream is the answer in pieces, without usage that was not asked for", async () => {
  const chunks = await collected(await client.chat.completions.create(question("a b c", { stream: true })));
  assert.equal(textOf(chunks), "You said: a b c");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
});

test("usage that was asked for is the last chunk", async () => {
  const members = { stream: true, stream_options: { include_usage: true } };
  const chunks = await collected(await client.chat.completions.create(question("hi", members)));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, 3);
  assert.equal(textOf(chunks), "You said: hi");
});

test("the stream helper ends with the whole answer", async () => {
  const stream = client.chat.completions.stream(question("hi there"));
  let heard = "";
  stream.on("content", (piece) => (heard += piece));
  assert.equal(await stream.finalContent(), "You said: hi there");
  assert.equal(heard, "You said: hi there");
});

test("two tools are called at once", async () => {
  const answer = await client.chat.completions.create(question("hi", { model: "tools", tools: [WEATHER] }));
  const calls = answer.choices[0].message.tool_calls;
  assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).city), ["Paris", "Rome"]);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("two tools are called at once in a stream", async () => {
  const stream = client.chat.completions.stream(question("hi", { model: "tools", tools: [WEATHER] }));
  const { tool_calls: calls } = await stream.finalMessage();
  assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).city), ["Paris", "Rome"]);
});

for (const stream of [false, true]) {
  test(`the helper runs the tool and sends its answer back, stream: ${stream}`, async () => {
    const asked = [];
    const tool = {
      type: "function",
      function: {
        ...WEATHER.function,
        parse: JSON.parse,
        function: ({ city }) => {
          asked.push(city);
          return "21 degrees";
        },
      },
    };
    const runner = client.chat.completions.runTools(question("call the tool", { tools: [tool], stream }));
    assert.equal(await runner.finalContent(), "The tool said: 21 degrees");
    assert.deepEqual(asked, ["text"]);
  });
}

test("every model of the list is found, whatever is in its name", async () => {
  const models = await collected(client.models.list());
  const ids = models.map((model) => model.id);
  for (const id of ["fast", MODEL, "openai/gpt-oss-20b"]) assert.ok(ids.includes(id), `${id} is in ${ids}`);
  for (const id of ids) assert.equal((await client.models.retrieve(id)).id, id);
});

for (const form of [apiKey, idAndSecret]) {
  test(`a client is known by its ${form === apiKey ? "API key" : "id and secret"}`, async () => {
    const known = new OpenAI({ baseURL: BASE_URL, apiKey: form("metered") });
    const { response } = await known.chat.completions.create(question("hi")).withResponse();
    assert.equal(response.headers.get("x-ratelimit-limit-requests"), "600");
  });
}
