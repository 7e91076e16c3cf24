// Who calls: the clients that `run.py` writes, as the SDKs see them; and whom they are served by.

import Anthropic from "@anthropic-ai/sdk";
import Groq from "groq-sdk";
import OpenAI from "openai";

const { GATEWAY_URL, CLIENT_PREFIX } = process.env;

export const BASE_URL = `${GATEWAY_URL}/v1`;
export const MODEL = "gpt-5.4-nano";

// A model of each provider. `plain` has the chat API alone.
export const MODELS = {
  openai: "openai/gpt-5.4-nano",
  anthropic: "anthropic/claude-sonnet-4-5",
  gemini: "gemini/gemini-2.5-flash",
  plain: "plain/llama-3.1-8b",
};

/** A model that misbehaves as its name says, where its failures hurt nothing else. */
export const faulty = (provider, model) => `faulty-${provider}/${model}`;

// What the fake upstream thinks before it answers.
export const THOUGHT = "The user wants an answer, so I give one.";

// Two tools, the second without parameters, and the sentence that has both called at once.
export const CITY_SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const NO_SCHEMA = { type: "object", properties: {} };
export const CALL_BOTH = 'use tool get_weather {"city":"Paris"} and use tool get_time {}';
export const BOTH_CALLS = [["get_weather", { city: "Paris" }], ["get_time", {}]];

export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

export const apiKey = (role) => `key-${CLIENT_PREFIX}-${role}`;

// The other form that an SDK's key may have.
export const idAndSecret = (role) => `${CLIENT_PREFIX}-${role}:secret-${CLIENT_PREFIX}-${role}`;

export const clientOf = (role, options = {}) => new OpenAI({ baseURL: BASE_URL, apiKey: apiKey(role), ...options });

// These two append /v1 and /openai/v1 themselves.
export const anthropicOf = (role, options = {}) =>
  new Anthropic({ baseURL: GATEWAY_URL, apiKey: apiKey(role), ...options });
export const groqOf = (role, options = {}) => new Groq({ baseURL: GATEWAY_URL, apiKey: apiKey(role), ...options });

export const says = (content) => [{ role: "user", content }];

export const question = (text, members = {}) => ({ model: MODEL, messages: says(text), ...members });

/** A `fetch` that also counts. */
export function countingFetch() {
  const counting = (...request) => {
    counting.calls += 1;
    return fetch(...request);
  };
  counting.calls = 0;
  return counting;
}

/** What a promise is rejected with, which must be of this class. */
export async function rejection(promise, expected) {
  try {
    await promise;
  } catch (error) {
    if (error instanceof expected) return error;
    throw error;
  }
  throw new Error(`${expected.name} was expected, and the call succeeded`);
}

export async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export const textOf = (chunks) =>
  chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? "")).join("");
