// Who calls: the clients that `run.py` writes, as the SDK sees them.

import OpenAI from "openai";

const { GATEWAY_URL, CLIENT_PREFIX } = process.env;

export const BASE_URL = `${GATEWAY_URL}/v1`;
export const MODEL = "gpt-5.4-nano";

export const apiKey = (role) => `key-${CLIENT_PREFIX}-${role}`;

// The other form that an SDK's key may have.
export const idAndSecret = (role) => `${CLIENT_PREFIX}-${role}:secret-${CLIENT_PREFIX}-${role}`;

export const clientOf = (role, options = {}) => new OpenAI({ baseURL: BASE_URL, apiKey: apiKey(role), ...options });

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
