// The official `openai` for JavaScript, unmodified, on every route it knows: `node compat.mjs URL`.
//
// The models are free, so nothing of this is about paying. One line of JSON goes to stdout.

import OpenAI from "openai";

const ai = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "one two" }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
const said = {};

said.models = (await ai.models.list()).data.map((model) => model.id);
said.model = (await ai.models.retrieve("parrot")).id;

const chat = await ai.chat.completions.create({ model: "parrot", messages, n: 2 });
said.chat = chat.choices.map((choice) => choice.message.content);
said.units = chat.usage.completion_tokens;

const called = await ai.chat.completions.create({ model: "tiny", messages, tools });
said.tool = called.choices[0].message.tool_calls[0].function.name;

const helper = ai.chat.completions.stream({ model: "tiny", messages, tools });
said.streamedTool = (await helper.finalChatCompletion()).choices[0].message.tool_calls[0].function
  .arguments;

const counted = await ai.chat.completions.create({
  model: "parrot",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
let text = "";
for await (const chunk of counted) {
  text += chunk.choices[0]?.delta?.content ?? "";
  said.streamedUnits = chunk.usage?.completion_tokens ?? null;
}
said.streamed = text;

said.response = (await ai.responses.create({ model: "parrot", input: "a b" })).output_text;
const events = [];
const stream = await ai.responses.create({ model: "parrot", input: "a b", stream: true });
for await (const event of stream) events.push(event.type);
said.events = [events[0], events.at(-1)];

// Base64 is what this client asks for by itself; floats only where it is told.
const packed = await ai.embeddings.create({ model: "parrot", input: ["four", "words"] });
const floats = await ai.embeddings.create({
  model: "parrot",
  input: ["four", "words"],
  encoding_format: "float",
});
said.packed = packed.data.map((row) => Array.from(row.embedding));
said.floats = floats.data.map((row) => row.embedding);

said.flagged = (await ai.moderations.create({ model: "parrot", input: "LOUD" })).results[0].flagged;

const refusals = {
  missing: () => ai.chat.completions.create({ model: "nobody", messages }),
  broken: () => ai.chat.completions.create({ model: "parrot", messages: [] }),
  unfollowed: () => ai.chat.completions.create({ model: "parrot", messages, tools }),
};
said.refusals = {};
for (const [name, ask] of Object.entries(refusals)) {
  const error = await ask().then(() => null, (found) => found);
  said.refusals[name] = [error.constructor.name, error.status, error.code, error.param ?? null];
}
process.stdout.write(JSON.stringify(said));
