// First requests with OpenAI's own package for Node. Start the gateway first.
//
//     npm install --no-save openai
//     node examples/clients/node.mjs
//
// GATEWAY_URL says where the gateway is if not on port 8000.

import OpenAI from "openai";

const gateway = process.env.GATEWAY_URL ?? "http://127.0.0.1:8000";
const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "test_client:password" });
const messages = [{ role: "user", content: "Hello, world!" }];

const answer = await client.chat.completions.create({ model: "echo", messages });
console.log(answer.choices[0].message.content);

for await (const chunk of await client.chat.completions.create({ model: "echo", messages, stream: true })) {
  process.stdout.write(chunk.choices[0].delta.content ?? "");
}
process.stdout.write("\n");
