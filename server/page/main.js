// The chat: one conversation is shown, one answer of it may be coming.
import * as api from "./api.js";
import * as store from "./store.js";
import { element, show, showAll, showLast, showStrip } from "./view.js";

const at = (id) => document.getElementById(id);
const input = at("input");
let current = null;
let coming = null; // {message, conversation, abort}

function actionsOf(message) {
  if (coming?.message === message) return [];
  const actions = [["Copy", () => navigator.clipboard?.writeText(message.content)]];
  if (message.role === "user") actions.push(["Edit", () => edit(message)]);
  else actions.push(["Again", () => regenerate(message)]);
  return actions;
}

function draw() {
  at("title").textContent = current?.title ?? "New conversation";
  at("conversations").replaceChildren(...store.conversations.map((conversation) => element("li",
    { className: conversation === current ? "chosen" : "" },
    element("button", { className: "open", textContent: conversation.title, onclick: () => open(conversation) }),
    element("button", { className: "delete", textContent: "×", title: "Delete", ariaLabel: `Delete ${conversation.title}`, onclick: () => discard(conversation) }))));
  showAll((current?.messages ?? []).map((message) => show(message, actionsOf(message))));
  at("send").hidden = coming !== null;
  at("stop").hidden = coming === null;
}

function say(text) {
  at("status").textContent = text;
}
function saveAll() {
  if (!store.save()) say("The browser has no room to keep more: delete conversations.");
}

function open(conversation) {
  leave();
  current = conversation;
  at("drawer").checked = false;
  say("");
  draw();
  const last = current?.messages.at(-1);
  if (last?.request) receive(last, (signal) => api.follow(last.request, last.lastEvent, signal));
  input.focus();
}

// The answer goes on without us.
function leave() {
  coming?.abort.abort();
  coming = null;
}

function discard(conversation) {
  const last = conversation.messages.at(-1);
  if (coming?.conversation === conversation) leave();
  if (last?.request) api.forget(last.request);
  store.remove(conversation);
  if (conversation === current) open(null);
  else draw();
}

function edit(message) {
  stop();
  current.messages.splice(current.messages.indexOf(message));
  input.value = message.content;
  grow();
  saveAll();
  draw();
  input.focus();
}

function regenerate(message) {
  stop();
  current.messages.splice(current.messages.indexOf(message));
  answer();
}

function send() {
  const content = input.value;
  if (!content.trim() || coming) return;
  current ??= store.newConversation();
  if (current.messages.length === 0) current.title = content.trim().slice(0, 60);
  current.messages.push({ role: "user", content });
  input.value = "";
  grow();
  answer();
}

function answer() {
  const asked = current.messages.filter((message) => message.content).map(({ role, content }) => ({ role, content }));
  const request = "page-" + (crypto.randomUUID?.() ?? Date.now());
  const message = { role: "assistant", content: "", request, lastEvent: 0 };
  current.messages.push(message);
  saveAll();
  receive(message, (signal) => api.ask(asked, request, signal));
}

function take(message, { number, document }) {
  message.lastEvent = number;
  const choice = document.choices?.[0];
  const delta = choice?.delta ?? { content: choice?.text };
  if (delta.reasoning_content) message.reasoning = (message.reasoning ?? "") + delta.reasoning_content;
  if (delta.content) message.content += delta.content;
  if (choice?.finish_reason === "length") message.note = "The answer has reached its greatest length.";
  if (document.usage) message.stats.usage = document.usage;
  if (delta.content || delta.reasoning_content) ++message.stats.tokens;
}

// Receives an answer to its end. A lost connection is tried again, by the number of the last event.
async function receive(message, begin) {
  const mine = { message, conversation: current, abort: new AbortController() };
  coming = mine;
  message.stats ??= { tokens: 0, seconds: 0 };
  draw();
  say("Waiting for the first token");
  watch(mine);
  let source = begin;
  let lost = 0;
  while (coming === mine) {
    try {
      await receiveFrom(source(mine.abort.signal), mine);
      finish(mine);
    } catch (error) {
      if (coming !== mine) return;
      if (error instanceof api.ServerError || ++lost > 60) {
        message.error = error.message;
        finish(mine);
        return;
      }
      say("The server cannot be reached: the answer goes on when it is back");
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 * lost, 5000)));
      // The same request again is not run twice.
      source = (signal) => (message.lastEvent ? api.follow(message.request, message.lastEvent, signal) : begin(signal));
    }
  }
}

// Shows what the answer attends to, as long as it comes.
async function watch(mine) {
  for (let pause = 100; coming === mine; pause = Math.min(500, 1.2 * pause)) {
    const activity = await api.activity(mine.message.request).catch(() => undefined);
    if (coming === mine) showStrip(activity);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  if (!coming) showStrip();
}

async function receiveFrom(events, mine) {
  const { message } = mine;
  let began = performance.now();
  let drawn = 0;
  for await (const event of events) {
    if (coming !== mine) return;
    take(message, event);
    const now = performance.now();
    message.stats.seconds += (now - began) / 1000;
    began = now;
    if (now - drawn < 60) continue; // more is no easier to read
    drawn = now;
    showLast(show(message, actionsOf(message)));
    const { tokens, seconds } = message.stats;
    say(`${tokens} tokens, ${(tokens / Math.max(seconds, 0.001)).toFixed(1)} tokens/s`);
    saveAll();
  }
}

function finish(mine) {
  if (coming !== mine) return;
  const { message } = mine;
  if (!message.error || message.content) api.forget(message.request);
  delete message.request;
  coming = null;
  say("");
  saveAll();
  draw();
}

function stop() {
  if (!coming) return;
  const { message, abort } = coming;
  const { request } = message;
  coming = null;
  abort.abort();
  api.cancel(request).then(() => api.forget(request)).catch(() => {});
  delete message.request;
  say("");
  saveAll();
  draw();
}

function grow() {
  input.style.height = "auto";
  input.style.height = input.scrollHeight + 2 + "px";
}

function openSettings() {
  const form = at("settings").querySelector("form");
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = Boolean(store.settings[field.name]);
    else if (field.name) field.value = store.settings[field.name] ?? "";
  }
  at("settings").showModal();
}
at("settings").addEventListener("close", () => {
  for (const field of at("settings").querySelector("form").elements) {
    if (field.name) store.settings[field.name] = field.type === "checkbox" ? field.checked : field.value;
  }
  store.saveSettings();
  greet();
  draw();
});

async function greet() {
  try {
    at("model").textContent = await api.modelName();
  } catch (error) {
    say(error instanceof api.ServerError ? error.message : "The server cannot be reached");
  }
}

at("ask").addEventListener("submit", (event) => (event.preventDefault(), send()));
at("stop").addEventListener("click", stop);
at("new").addEventListener("click", () => open(null));
at("open-settings").addEventListener("click", openSettings);
input.addEventListener("input", grow);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !at("settings").open) stop();
  if (event.altKey && event.key === "n") open(null);
});

greet();
open(store.conversations[0] ?? null);
