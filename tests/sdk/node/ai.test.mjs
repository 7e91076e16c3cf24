// The AI SDK with its providers for OpenAI (both APIs), Anthropic and Google, each on every provider.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, embed, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { BASE_URL, CALL_BOTH, MODELS, PIXEL, THOUGHT, apiKey, faulty } from "./callers.mjs";

// It prints what it thinks of unknown model names otherwise.
globalThis.AI_SDK_LOG_WARNINGS = false;

const BETA_URL = BASE_URL.replace(/v1$/, "v1beta");

const SDKS = {
  "@ai-sdk/openai chat": {
    modelOf: (role, id) => createOpenAI({ baseURL: BASE_URL, apiKey: apiKey(role) }).chat(id),
    providers: ["openai", "anthropic", "gemini"],
    reasoning: { openai: { forceReasoning: true, reasoningEffort: "low" } },
  },
  "@ai-sdk/openai responses": {
    modelOf: (role, id) => createOpenAI({ baseURL: BASE_URL, apiKey: apiKey(role) }).responses(id),
    providers: ["openai", "plain", "anthropic", "gemini"],
    // What nobody keeps is not referred to.
    options: { openai: { store: false } },
    reasoning: { openai: { forceReasoning: true, reasoningEffort: "low", reasoningSummary: "auto", store: false } },
    showsThoughts: ["openai", "anthropic", "gemini"],
  },
  "@ai-sdk/anthropic": {
    modelOf: (role, id) => createAnthropic({ baseURL: BASE_URL, apiKey: apiKey(role) })(id),
    // What it asks for depends on the name; of one that it does not know it asks for structured output as a tool.
    models: { openai: "claude-sonnet-4-5@openai", gemini: "claude-sonnet-4-5@gemini" },
    providers: ["anthropic", "openai", "gemini"],
    reasoning: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
    showsThoughts: ["anthropic", "gemini"],
  },
  "@ai-sdk/google": {
    // A name with a slash in it is taken for a path.
    modelOf: (role, id) => createGoogleGenerativeAI({ baseURL: BETA_URL, apiKey: apiKey(role) })(`models/${id}`),
    providers: ["gemini", "openai", "anthropic"],
    reasoning: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
    showsThoughts: ["gemini", "anthropic"],
  },
};

const tools = {
  get_weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `rain in ${city}` }),
  get_time: tool({ inputSchema: z.object({}), execute: async () => "noon" }),
};

/** What a call that must fail failed with. */
async function failure(asking) {
  const error = await asking.then(() => assert.fail("an error was expected, and the call succeeded"), (error) => error);
  assert.ok(APICallError.isInstance(error), `${error}`);
  return error;
}

for (const [sdk, { modelOf, providers, models, reasoning, options = {}, showsThoughts = [] }] of Object.entries(SDKS)) {
  for (const provider of providers) {
    const usual = models?.[provider] ?? MODELS[provider];
    const on = (name, run) => test(`${sdk} on ${provider}: ${name}`, run);
    const asked = (members, id = usual, role = "everything") => ({
      model: modelOf(role, id), maxRetries: 0, maxOutputTokens: 4096, providerOptions: options, ...members,
    });

    on("a question gets its answer with usage", async () => {
      const answer = await generateText(asked({ system: "be brief", prompt: "hello there" }));
      assert.equal(answer.text, "You said: hello there");
      assert.equal(answer.finishReason, "stop");
      assert.ok(answer.usage.inputTokens > 0);
      assert.equal(answer.usage.outputTokens, 4);
    });

    on("a stream is the answer in pieces", async () => {
      const stream = streamText(asked({ prompt: "a b c" }));
      const pieces = [];
      for await (const piece of stream.textStream) pieces.push(piece);
      assert.ok(pieces.length > 1, `${pieces}`);
      assert.equal(pieces.join(""), "You said: a b c");
      assert.equal(await stream.finishReason, "stop");
      assert.equal((await stream.usage).outputTokens, 5);
    });

    for (const [which, run] of [["whole", generateText], ["streamed", streamText]]) {
      on(`two tools are run and their answers used, ${which}`, async () => {
        const answer = await run(asked({ prompt: CALL_BOTH, tools, stopWhen: stepCountIs(3) }));
        const [first] = await answer.steps;
        assert.equal(first.finishReason, "tool-calls");
        const calls = first.toolCalls.map(({ toolName, input }) => [toolName, input]);
        assert.deepEqual(calls, [["get_weather", { city: "Paris" }], ["get_time", {}]]);
        assert.match(await answer.text, /^The tool said: .*noon/s);
      });
    }

    on("an image reaches the model", async () => {
      const content = [{ type: "text", text: "what is this" }, { type: "image", image: PIXEL, mediaType: "image/png" }];
      const answer = await generateText(asked({ messages: [{ role: "user", content }] }));
      assert.equal(answer.text, "You said: what is this (images: 1)");
    });

    on("structured output is parsed", async () => {
      const schema = z.object({ name: z.string(), people: z.number(), twins: z.array(z.string()) });
      const answer = await generateText(asked({ prompt: "a city", output: Output.object({ schema }) }));
      assert.deepEqual(answer.output, { name: "text", people: 1.5, twins: ["text"] });
    });

    on("reasoning comes before the answer", async () => {
      const answer = await generateText(asked({ prompt: "think", providerOptions: reasoning }));
      assert.equal(answer.text, "You said: think");
      if (showsThoughts.includes(provider)) assert.equal(answer.reasoningText, THOUGHT);
    });

    on("errors keep their status and their wait", async () => {
      const STATUSES = [
        [`${provider}/does-not-exist`, 404],
        [faulty(provider, "error-400"), 400],
        [faulty(provider, "error-429"), 429],
      ];
      for (const [id, status] of STATUSES) {
        const error = await failure(generateText(asked({ prompt: "hi" }, id)));
        assert.equal(error.statusCode, status, id);
        assert.ok(error.message && !error.message.startsWith("Invalid JSON"), error.message);
        if (status === 429) assert.equal(error.responseHeaders["retry-after"], "1");
      }
      const refused = await failure(generateText(asked({ prompt: "hi" }, usual, "switched-off")));
      assert.equal(refused.statusCode, 401);
    });

    on("a stream that is aborted gives its slot back", async () => {
      const abort = new AbortController();
      const members = { prompt: "count", abortSignal: abort.signal };
      const stream = streamText(asked(members, `${provider}/stall`, "one-at-once"));
      for await (const part of stream.fullStream) if (part.type === "text-delta") abort.abort();
      // That its holder has left is noticed soon; the SDK tries again until it is.
      const next = asked({ prompt: "next", maxRetries: 2 }, usual, "one-at-once");
      assert.equal((await generateText(next)).text, "You said: next");
    });

    on("a stream that breaks is an error after what had come", async () => {
      let text = "";
      let error;
      for await (const part of streamText(asked({ prompt: "count", onError: () => {} }, faulty(provider, "cut"))).fullStream) {
        if (part.type === "text-delta") text += part.text;
        if (part.type === "error") error = part.error;
      }
      assert.equal(text, "one two ");
      assert.ok(error);
    });
  }
}

test("@ai-sdk/openai on openai: a text is embedded", async () => {
  const model = createOpenAI({ baseURL: BASE_URL, apiKey: apiKey("everything") }).embedding("openai/text-embedding-3-small");
  const { embedding, usage } = await embed({ model, value: "hi" });
  assert.ok(embedding.length > 0 && usage.tokens > 0);
});
