// SPDX-License-Identifier: Apache-2.0
// markdown.js - Markdown to nodes. markdown-it (HTML off) says what is what; nodes are made here one by
// one, from a short list of elements, and all text of the model goes in as text. Nothing it writes
// can become markup. Formulas and colours come by two modules that are loaded when first needed.
import MarkdownIt from "markdown-it";

import { h, iconButton } from "./dom.js";
import { bytes } from "./figures.js";
import { t } from "./strings.js";

export const LIMITS = {
  message: 100000, // characters shown as Markdown; longer messages are plain text
  inline: 6000, // characters of one paragraph that are looked through for emphasis, links, formulas
  paint: 40000, // characters of one code block that get colours
  tex: 2000, // characters of one formula
};

// Formulas: $...$, \(...\) within a line; $$...$$, \[...\] on their own.

function mathInline(state, silent) {
  const { src, pos, posMax } = state;
  let open;
  let close;
  if (src.startsWith("\\(", pos)) [open, close] = ["\\(", "\\)"];
  else if (src.startsWith("\\[", pos)) [open, close] = ["\\[", "\\]"];
  else if (src.startsWith("$$", pos)) [open, close] = ["$$", "$$"];
  else if (src[pos] === "$") [open, close] = ["$", "$"];
  else return false;
  const begin = pos + open.length;
  const end = src.indexOf(close, begin);
  if (end < 0 || end === begin || end + close.length > posMax) return false;
  const tex = src.slice(begin, end);
  if (tex.length > LIMITS.tex) return false;
  // "$5 and $6" is money: a lone dollar opens before a character and closes after one, no digit next.
  if (open === "$" && (/^\s|\s$/.test(tex) || /\d/.test(src[end + 1] || ""))) return false;
  if (!silent) {
    const token = state.push("math", "", 0);
    token.content = tex;
    token.meta = { display: open === "$$" || open === "\\[" };
  }
  state.pos = end + close.length;
  return true;
}

function mathBlock(state, first, last, silent) {
  const begin = state.bMarks[first] + state.tShift[first];
  const line = state.src.slice(begin, state.eMarks[first]).trimEnd();
  const close = line.startsWith("$$") ? "$$" : line.startsWith("\\[") ? "\\]" : "";
  if (!close || state.sCount[first] - state.blkIndent >= 4) return false;
  let next = first;
  let tex = line.slice(2);
  let closed = tex.endsWith(close);
  while (!closed) {
    if (++next >= last || tex.length > LIMITS.tex) return false;
    const more = state.src.slice(state.bMarks[next], state.eMarks[next]).trimEnd();
    closed = more.endsWith(close);
    tex += "\n" + more;
  }
  tex = tex.slice(0, -2);
  if (tex.length > LIMITS.tex || tex.includes(close)) return false;
  if (silent) return true;
  state.line = next + 1;
  const token = state.push("math", "", 0);
  token.block = true;
  token.content = tex;
  token.map = [first, state.line];
  token.meta = { display: true };
  return true;
}

// A paragraph too long to be looked through stays one run of text: the time stays bounded.
function boundInline(state) {
  for (const token of state.tokens) {
    if (token.type === "inline" && token.content.length > LIMITS.inline) {
      token.type = "plain";
      token.children = null;
    }
  }
}

const md = new MarkdownIt("default", { html: false, linkify: true, breaks: false, typographer: false });
md.inline.ruler.before("escape", "math", mathInline);
md.block.ruler.before("fence", "math", mathBlock, { alt: ["paragraph", "reference", "blockquote", "list"] });
md.core.ruler.before("inline", "bound", boundInline);
md.linkify.set({ fuzzyEmail: false, fuzzyIP: false });
md.validateLink = (url) => safeLink(url) !== null;

/* The address if it is one that may be followed (http, https, mailto), else null. */
export function safeLink(url) {
  if (!/^(https?:\/\/|mailto:)/i.test(url)) return null;
  try {
    const parsed = new URL(url);
    return ["http:", "https:", "mailto:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

export const parse = (text) => md.parse(text, {});

let math = null;
let colour = null;

function drawMath(token) {
  const node = h(token.block ? "div" : "span", { class: token.meta.display ? "math display" : "math" },
                 token.content);
  const draw = (module) => {
    math = module;
    node.replaceChildren(module.draw(token.content, token.meta.display));
  };
  if (math) draw(math);
  else import("./lib/math.js").then(draw, () => {});
  return node;
}

/* Puts colours on a code block that has all its text. */
export function paintCode(code, language) {
  const text = code.textContent;
  if (!language || text.length > LIMITS.paint) return;
  const paint = (module) => {
    colour = module;
    if (code.textContent !== text) return;
    const nodes = module.paint(text, language);
    if (nodes) code.replaceChildren(nodes);
  };
  if (colour) paint(colour);
  else import("./lib/colour.js").then(paint, () => {});
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.classList.add("done");
    button.setAttribute("aria-label", t("copied"));
    button.addEventListener("blur", () => {
      button.classList.remove("done");
      button.setAttribute("aria-label", button.title);
    }, { once: true });
  } catch {
    button.dispatchEvent(new CustomEvent("notice", { bubbles: true, detail: t("copyFailed") }));
  }
}
export { copyText };

function codeBlock(token, live) {
  const language = (token.info || "").trim().split(/[\s{,]/)[0].toLowerCase().slice(0, 32);
  const code = h("code", null, token.content);
  const copy = iconButton("copy", t("copyCode"), () => copyText(code.textContent, copy));
  const block = h("div", { class: "code" },
                  h("div", { class: "code-head" }, h("span", null, language || "text"), copy),
                  h("pre", { tabindex: "0", "aria-label": language || "text" }, code));
  if (!live) paintCode(code, language);
  return block;
}

function link(token) {
  const url = safeLink(token.attrGet("href") || "");
  if (!url) return h("span");
  return h("a", { href: url, rel: "noopener noreferrer nofollow", target: "_blank",
                  title: token.attrGet("title") });
}

// A picture from elsewhere would tell elsewhere: it is a link, for the reader to follow or not.
function image(token) {
  const url = safeLink(token.attrGet("src") || "");
  const text = t("imageLink", { text: token.content || url || "" });
  return url ? h("a", { href: url, rel: "noopener noreferrer nofollow", target: "_blank" }, text)
             : h("span", null, text);
}

const CONTAINERS = new Set(["p", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "em",
                            "strong", "s", "table", "thead", "tbody", "tr", "th", "td"]);

function container(token) {
  if (token.type === "link_open") return link(token);
  let tag = CONTAINERS.has(token.tag) ? token.tag : "span";
  // The page has its own headings above: those of an answer begin two levels lower.
  if (/^h[1-6]$/.test(tag)) tag = "h" + Math.min(6, Number(tag[1]) + 2);
  const node = h(tag);
  if (tag === "ol" && /^\d{1,9}$/.test(token.attrGet("start") || "")) {
    node.setAttribute("start", token.attrGet("start"));
  }
  const align = /^text-align:(left|right|center)$/.exec(token.attrGet("style") || "");
  if (align) node.classList.add(align[1]);
  return node;
}

function leaf(token, live) {
  switch (token.type) {
  case "text":
  case "plain": return document.createTextNode(token.content);
  case "softbreak": return document.createTextNode("\n");
  case "hardbreak": return h("br");
  case "code_inline": return h("code", null, token.content);
  case "code_block":
  case "fence": return codeBlock(token, live);
  case "hr": return h("hr");
  case "image": return image(token);
  case "math": return drawMath(token);
  default: return document.createTextNode(token.content || "");
  }
}

/* The nodes of tokens [begin, end). live: more is coming, so code waits for its colours. */
export function build(tokens, begin = 0, end = tokens.length, live = false) {
  const root = document.createDocumentFragment();
  const open = [root];
  for (let i = begin; i < end; i++) {
    const token = tokens[i];
    const parent = open[open.length - 1];
    if (token.type === "inline") {
      parent.append(build(token.children || [], 0, (token.children || []).length, live));
    } else if (token.nesting === 1) {
      if (token.hidden) { // the paragraph of a tight list
        open.push(parent);
        continue;
      }
      const node = container(token);
      const shell = token.tag === "table" ? h("div", { class: "table", tabindex: "0", role: "group" }, node)
                                          : node;
      parent.append(shell);
      open.push(node);
    } else if (token.nesting === -1) {
      if (open.length > 1) open.pop();
    } else {
      parent.append(leaf(token, live));
    }
  }
  return root;
}

/* Long text as it is, in pieces that the browser lays out only when they are near. */
export function plain(text) {
  const root = document.createDocumentFragment();
  for (let i = 0; i < text.length; i += 8000) root.append(h("span", { class: "piece" }, text.slice(i, i + 8000)));
  return h("div", { class: "plain" }, h("p", { class: "hint" }, t("plainNote", { size: bytes(text.length) })), root);
}
