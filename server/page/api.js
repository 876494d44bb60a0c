// The server's API: requests that name themselves, so that an answer goes on while this page is away.
import { settings } from "./store.js";

function headers(more = {}) {
  const all = { "Content-Type": "application/json", ...more };
  if (settings.key) all.Authorization = "Bearer " + settings.key;
  return all;
}

// Errors of the server in its own words; others are of the connection.
export class ServerError extends Error {}

async function refusal(reply) {
  const body = await reply.json().catch(() => null);
  return new ServerError(body?.error?.message ?? `the server answers ${reply.status}`);
}

export async function modelName() {
  const reply = await fetch("v1/models", { headers: headers() });
  if (!reply.ok) throw await refusal(reply);
  return (await reply.json()).data[0].id;
}

function options() {
  const body = { stream: true, stream_options: { include_usage: true } };
  for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
    if (settings[name] !== undefined && settings[name] !== "") body[name] = Number(settings[name]);
  }
  if (settings.attention) body.longhaul = { attention: settings.attention };
  return body;
}

function bodyOf(messages) {
  if (settings.plain) return { ...options(), prompt: messages.map((m) => m.content).join("") };
  const system = settings.system ? [{ role: "system", content: settings.system }] : [];
  return { ...options(), messages: [...system, ...messages.map(({ role, content }) => ({ role, content }))] };
}

// Asks for the answer to messages; its events as those of follow().
export async function* ask(messages, request, signal) {
  const path = settings.plain ? "v1/completions" : "v1/chat/completions";
  const reply = await fetch(path, {
    method: "POST", body: JSON.stringify(bodyOf(messages)), headers: headers({ "Longhaul-Request-Id": request }), signal,
  });
  yield* events(reply);
}

// What a request says after an event: {number, document} each.
export async function* follow(request, after, signal) {
  const reply = await fetch(`v1/longhaul/requests/${request}/events`, { headers: headers({ "Last-Event-ID": String(after) }), signal });
  yield* events(reply);
}

export async function cancel(request) {
  await fetch(`v1/longhaul/requests/${request}/cancel`, { method: "POST", body: "{}", headers: headers() });
}
export function forget(request) {
  fetch(`v1/longhaul/requests/${request}`, { method: "DELETE", headers: headers() }).catch(() => {});
}

// What the running text of a request attends to: see docs/server.md, /slots. Nothing: it does not run.
export async function activity(request) {
  const reply = await fetch("slots", { headers: headers() });
  if (!reply.ok) return undefined;
  return (await reply.json()).find((slot) => slot.longhaul?.request_id === request)?.longhaul;
}

async function* events(reply) {
  if (!reply.ok) throw await refusal(reply);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let over = false; !over;) {
    const { value, done } = await reader.read();
    if (done) throw new TypeError("the connection was lost");
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = parse(text.slice(0, end));
      if (event.data === "[DONE]") over = true;
      else if (event.data) {
        const document = JSON.parse(event.data);
        if (document.error) throw new ServerError(document.error.message);
        yield { number: event.number, document };
      }
    }
  }
}

function parse(text) {
  const event = { number: 0, data: "" };
  for (const line of text.split("\n")) {
    if (line.startsWith("id: ")) event.number = Number(line.slice(4));
    if (line.startsWith("data: ")) event.data += line.slice(6);
  }
  return event;
}
