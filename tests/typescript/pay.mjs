// Official JavaScript clients, unmodified, pay for chats: `node pay.mjs CLIENT`, settings on stdin.
//
// Settings: {"url", "model", "network", "asset", "key"}; `asset` only where a client does not know
// the chain's dollar by itself. One line of JSON per answer goes to stdout.

import { readFileSync } from "node:fs";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from "@x402/fetch";
import OpenAI from "openai";
import { privateKeyToAccount } from "viem/accounts";

const settings = JSON.parse(readFileSync(0, "utf8"));
const account = privateKeyToAccount(settings.key);

function paying(scheme) {
  const client = new x402Client().register(settings.network, scheme);
  if (settings.asset) {
    const asset = { network: settings.network, asset: settings.asset };
    client.setSpendControls({ allowedAssets: [asset] });
  }
  return wrapFetchWithPayment(fetch, client);
}

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function chat(word, stream = false) {
  return { model: settings.model, max_tokens: 50, stream, messages: [{ role: "user", content: word }] };
}

async function viaFetch(scheme) {
  const paid = paying(scheme);
  for (const body of [chat("hi"), chat("hi", true), chat("fail, please"), chat("hi")]) {
    const answer = await paid(`${settings.url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = decodePaymentResponseHeader(answer.headers.get("payment-response"));
    say({
      status: answer.status,
      success: told.success,
      transaction: told.transaction,
      charged: told.extra?.chargedAmount ?? told.amount,
      text: await answer.text(),
    });
  }
}

async function viaOpenai(scheme) {
  const ai = new OpenAI({ baseURL: settings.url, apiKey: "unused", fetch: paying(scheme) });
  const messages = [{ role: "user", content: "hi" }];
  const whole = await ai.chat.completions.create({ model: settings.model, messages });
  say({ text: whole.choices[0].message.content, units: whole.usage.total_tokens });
  const stream = await ai.chat.completions.create({ model: settings.model, messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  say({ text });
  const again = await ai.chat.completions.create({ model: settings.model, messages });
  say({ text: again.choices[0].message.content, units: again.usage.total_tokens });
}

const clients = {
  fetch: () => viaFetch(new BatchSettlementEvmScheme(account)),
  exact: () => viaFetch(new ExactEvmScheme(account)),
  openai: () => viaOpenai(new BatchSettlementEvmScheme(account)),
};
await clients[process.argv[2]]();
