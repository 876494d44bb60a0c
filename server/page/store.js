// Conversations and settings, kept in the browser.

const CONVERSATIONS = "longhaul.conversations";
const SETTINGS = "longhaul.settings";

function load(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export const settings = load(SETTINGS, {});
export function saveSettings() {
  localStorage.setItem(SETTINGS, JSON.stringify(settings));
}

// [{id, title, messages: [{role, content, reasoning, note, error, request, lastEvent, stats}]}], the newest first. A message with
// `request` is an answer that may not be over: it can be followed under that id.
export const conversations = load(CONVERSATIONS, []);

// False where the browser has no room left.
export function save() {
  try {
    localStorage.setItem(CONVERSATIONS, JSON.stringify(conversations));
    return true;
  } catch {
    return false;
  }
}

export function newConversation() {
  const conversation = { id: crypto.randomUUID?.() ?? String(Date.now()), title: "New conversation", messages: [] };
  conversations.unshift(conversation);
  return conversation;
}

export function remove(conversation) {
  conversations.splice(conversations.indexOf(conversation), 1);
  save();
}
