// SPDX-License-Identifier: Apache-2.0
// grow.js - a message that grows: blocks that are finished stay untouched, only the last one is made
// again. What is selected or read above it never moves.
import { LIMITS, build, paintCode, parse, plain } from "./markdown.js";

/* Where the top-level blocks of tokens begin. */
function blocks(tokens) {
  const starts = [];
  for (let i = 0, depth = 0; i < tokens.length; i++) {
    if (depth === 0) starts.push(i);
    depth += tokens[i].nesting;
  }
  return starts;
}

// A definition may change a link of any earlier block.
const DEFINITION = /^ {0,3}\[[^\]\n]{1,200}\]:/m;

export class Growing {
  #root;
  #text = "";
  #done = 0; // characters of #text whose blocks are finished
  #tail = []; // nodes of the last block
  #code = null; // {node, language, shown} when the tail is one code block
  #plain = null;

  constructor(root) {
    this.#root = root;
  }

  get text() {
    return this.#text;
  }

  /* Shows a whole text that will not grow. */
  static show(root, text) {
    const growing = new Growing(root);
    growing.#text = text;
    growing.#all();
    return growing;
  }

  #all() {
    this.#tail = [];
    this.#code = null;
    if (this.#text.length > LIMITS.message) this.#root.replaceChildren(plain(this.#text));
    else this.#root.replaceChildren(build(parse(this.#text)));
  }

  add(piece) {
    const text = piece.replaceAll("\r", ""); // so that lines are counted as the parser does
    this.#text += text;
    if (this.#plain) this.#plain.append(text);
    else if (this.#text.length > LIMITS.message) this.#turnPlain();
    else if (!this.#addToCode(text)) this.#again();
  }

  #turnPlain() {
    const shell = plain(this.#text);
    this.#root.replaceChildren(shell);
    this.#plain = shell;
  }

  /* The usual case of a long block: code that gets longer. */
  #addToCode(text) {
    const code = this.#code;
    if (!code) return false;
    // A line that may be the closing fence is for the parser.
    const line = this.#text.slice(this.#text.lastIndexOf("\n", this.#text.length - text.length - 1) + 1);
    if (/^[ >\t]*(`|~)/m.test(line)) return false;
    code.node.lastChild.appendData(text);
    return true;
  }

  #again() {
    const rest = this.#text.slice(this.#done);
    const tokens = parse(rest);
    const starts = blocks(tokens);
    for (const node of this.#tail) node.remove();
    this.#tail = [];
    this.#code = null;
    let from = 0;
    // A block whose first line is not over yet may still turn out to belong to the one before it.
    const lines = rest.split("\n");
    let last = starts.length - 1;
    while (last > 0 && !(tokens[starts[last]].map?.[0] < lines.length - 1)) last--;
    if (last > 0) {
      this.#root.append(build(tokens, 0, starts[last]));
      from = starts[last];
      // Lines of the parser are those of the text with its line ends made one.
      let at = 0;
      for (let n = tokens[from].map[0]; n > 0; n--) at = rest.indexOf("\n", at) + 1;
      this.#done += at;
    }
    const fragment = build(tokens, from, tokens.length, true);
    this.#tail = [...fragment.childNodes];
    this.#root.append(fragment);
    this.#watchCode(tokens[from], lines, from === tokens.length - 1);
  }

  #watchCode(token, lines, alone) {
    if (!alone || token.type !== "fence") return;
    const node = this.#tail[0].querySelector("code");
    const end = lines[token.map[1] - 1] || "";
    if (!node.lastChild || (token.map[1] - 1 > token.map[0] && end.trim().startsWith(token.markup))) return;
    // The parser ends code with a line break that the text may not have yet.
    if (!this.#text.endsWith("\n") && node.lastChild.data.endsWith("\n")) {
      node.lastChild.deleteData(node.lastChild.length - 1, 1);
    }
    // While its first line is not over, its language may still get letters.
    if (token.map[0] < lines.length - 1) this.#code = { node };
  }

  /* Nothing more comes. */
  end() {
    if (this.#plain) return;
    if (DEFINITION.test(this.#text)) {
      this.#all();
      return;
    }
    for (const node of this.#tail) {
      for (const block of node.querySelectorAll?.(".code") || []) finishCode(block);
      if (node.classList?.contains("code")) finishCode(node);
    }
    this.#tail = [];
    this.#code = null;
  }
}

function finishCode(block) {
  paintCode(block.querySelector("code"), block.querySelector(".code-head span").textContent);
}
