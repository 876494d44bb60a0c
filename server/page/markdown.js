// Markdown as elements. marked takes the text apart; elements are made here one by one, so that nothing that a model says
// becomes a tag, an attribute or a script, and HTML in it stays text.

const INLINE = { strong: "strong", em: "em", del: "del", blockquote: "blockquote", paragraph: "p", listitem: "li" };

function make(name, tokens, text) {
  const made = document.createElement(name);
  if (tokens) made.append(...tokens.map(nodeOf));
  else made.textContent = text;
  return made;
}

function link(token) {
  if (!/^(https?:|mailto:)/i.test(token.href)) return document.createTextNode(token.raw);
  return Object.assign(make("a", token.tokens, token.text), { href: token.href, target: "_blank", rel: "noopener noreferrer" });
}

function list(token) {
  const made = make(token.ordered ? "ol" : "ul", token.items.map((item) => ({ ...item, type: "listitem" })));
  if (token.ordered && token.start > 1) made.start = token.start;
  return made;
}

function table(token) {
  const row = (cells, name) => {
    const made = document.createElement("tr");
    made.append(...cells.map((cell) => make(name, cell.tokens, cell.text)));
    return made;
  };
  const made = document.createElement("table");
  made.append(row(token.header, "th"), ...token.rows.map((cells) => row(cells, "td")));
  return made;
}

function code(token) {
  const made = document.createElement("pre");
  made.append(make("code", null, token.text));
  return made;
}

// The texts of tokens have their entities escaped; what was written has not.
function nodeOf(token) {
  switch (token.type) {
    case "heading": return make("h" + Math.min(token.depth + 1, 6), token.tokens);
    case "list": return list(token);
    case "table": return table(token);
    case "code": return code(token);
    case "codespan": return make("code", null, token.raw.replace(/^`+ ?| ?`+$/g, ""));
    case "link": return link(token);
    case "hr": case "br": return document.createElement(token.type);
    case "space": return document.createTextNode("");
    case "escape": return document.createTextNode(token.raw.slice(1));
    case "text": return token.tokens ? make("span", token.tokens) : document.createTextNode(token.raw);
    default: return INLINE[token.type] ? make(INLINE[token.type], token.tokens) : document.createTextNode(token.raw);
  }
}

// An element with the text's elements.
export function markdown(text) {
  const body = make("div", marked.lexer(text));
  body.className = "body";
  return body;
}
