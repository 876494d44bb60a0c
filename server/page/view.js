// Messages on the page.
import { markdown } from "./markdown.js";
import { settings } from "./store.js";

const list = document.getElementById("messages");

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Thoughts that stand in the text itself, and the answer behind them.
export function partsOf(message) {
  const found = /^\s*<think>([\s\S]*?)(<\/think>|$)/.exec(message.content);
  if (!found) return { thoughts: message.reasoning ?? "", answer: message.content };
  return { thoughts: (message.reasoning ?? "") + found[1], answer: message.content.slice(found[0].length) };
}

function statsOf(message) {
  const parts = [];
  const { tokens, seconds, usage } = message.stats ?? {};
  if (tokens) parts.push(`${tokens} tokens`);
  if (tokens > 1 && seconds > 0) parts.push(`${(tokens / seconds).toFixed(1)} tokens/s`);
  const own = usage?.longhaul;
  if (own?.blocks_total > 0) parts.push(`${((100 * own.blocks_read) / own.blocks_total).toFixed(0)}% of KV read`);
  if (own?.rectifications > 0) parts.push(`${own.rectifications} rectifications`);
  if (own?.drafted > 0) parts.push(`${own.accepted} of ${own.drafted} drafts accepted`);
  return parts.join(" · ");
}

// The elements of a message; `actions`: [name, function] of its buttons.
export function show(message, actions) {
  const item = element("li", { className: message.role });
  if (settings.plain) item.classList.add("plain");
  const { thoughts, answer } = partsOf(message);
  if (thoughts.trim()) {
    const details = element("details", {}, element("summary", { textContent: "Thoughts" }), element("div", { textContent: thoughts.trim() }));
    details.open = item.isThinking = message.role === "assistant" && !answer;
    item.append(details);
  }
  const isText = message.role === "user" || settings.plain;
  item.append(isText ? element("div", { className: "body", textContent: answer }) : markdown(answer));
  if (message.note) item.append(element("p", { className: "note", textContent: message.note }));
  if (message.error) item.append(element("p", { className: "error", textContent: message.error }));
  const tools = element("div", { className: "tools" });
  for (const [name, run] of actions) tools.append(element("button", { textContent: name, onclick: run }));
  tools.append(element("span", { textContent: statsOf(message) }));
  item.append(tools);
  return item;
}

// The text as a strip, its newest part right: the stronger a block, the more layers and heads read it in
// the last step. A bar stands where rectification has come to. Nothing: no strip.
const strip = document.getElementById("strip");
export function showStrip(activity) {
  strip.hidden = !activity;
  if (!activity) return;
  const digits = activity.is_sparse ? (activity.strip ?? "") : "9";
  strip.replaceChildren(...[...digits].map((digit) => {
    const block = element("i");
    block.style.opacity = Number(digit) / 9;
    return block;
  }));
  const hasBar = activity.is_sparse && activity.rectifications > 0;
  if (hasBar) {
    const bar = element("b");
    bar.style.left = `${(100 * activity.rectified_tokens) / activity.n_tokens}%`;
    strip.append(bar);
  }
  const read = [...digits].filter((digit) => digit !== "0").length;
  const share = activity.is_sparse ? `${read} of ${digits.length} parts of the text` : "all of the text";
  strip.ariaLabel = `The last step read ${share}; ${activity.rectifications} rectifications.`;
  strip.title = strip.ariaLabel;
}

// Replaces all messages; stays at the end if it was there.
export function showAll(items) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.replaceChildren(...items);
  if (atEnd) list.scrollTop = list.scrollHeight;
}
export function showLast(item) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.lastElementChild?.replaceWith(item);
  if (atEnd) list.scrollTop = list.scrollHeight;
}
