// SPDX-License-Identifier: Apache-2.0
// message.js - one message on the page: what was said, what can be done with it, what it cost.
import { fill, h, iconButton } from "./dom.js";
import { bytes, count, duration, energyText, speed } from "./figures.js";
import { Growing } from "./grow.js";
import { copyText } from "./markdown.js";
import { openReceipt } from "./receipt.js";
import { t } from "./strings.js";

const encoder = new TextEncoder();
const size = (text) => encoder.encode(text).length;

export class MessageView {
  constructor(message, acts) {
    this.acts = acts;
    this.content = h("div", { class: "md" });
    this.phase = h("div", { class: "phase", hidden: true });
    this.tools = h("div", { class: "tools" });
    const mine = message.role === "user";
    this.node = h("article", { class: mine ? "message mine" : "message answer", tabindex: "-1",
                               "aria-label": t(mine ? "you" : "assistant"), data: { id: message.id } });
    if (!mine) this.#makeReasoning();
    this.node.append(this.content, this.phase, this.tools);
    this.begun = 0;
    this.set(message);
  }

  #makeReasoning() {
    this.thought = h("div", { class: "md" });
    this.thoughtHead = h("summary", null, t("reasoning"));
    this.thoughts = h("details", { class: "reasoning", hidden: true }, this.thoughtHead, this.thought);
    this.node.append(this.thoughts);
  }

  /* All of it anew, as the server has it; what is shown already stays untouched. False: the server left
   * a text out that is not here. */
  set(told) {
    const before = this.message;
    const message = this.#whole(told);
    if (!message) return false;
    if (before && this.#isOlder(message)) {
      before.branch = message.branch;
      this.#setTools(before.state === "running");
      return true;
    }
    this.message = message;
    this.have = { text: size(message.text), reasoning: size(message.reasoning || "") };
    const running = message.state === "running";
    this.node.classList.toggle("running", running);
    this.node.setAttribute("aria-busy", String(running));
    if (!before || before.text !== message.text) {
      this.body = this.#put(this.content, message.text, running);
      this.#putCut();
    } else if (before.state === "running" && !running) {
      this.body?.end();
    }
    if (this.thoughts) this.#setReasoning(before, message, running);
    this.#setCalls(message);
    if (!running) this.setPhase(null);
    this.#setTools(running);
    return true;
  }

  /* Events leave long texts out: they have come piece by piece already. */
  #whole(message) {
    if (message.text !== undefined && message.reasoning !== undefined) return message;
    if (!this.message || this.have.text !== message.text_bytes || this.have.reasoning !== message.reasoning_bytes) return null;
    return { ...message, text: this.message.text, reasoning: this.message.reasoning };
  }

  /* The data base is a moment behind the feed. */
  #isOlder(message) {
    if (message.state !== "running") return false;
    return this.message.state !== "running"
      || (size(message.text) <= this.have.text && size(message.reasoning) <= this.have.reasoning);
  }

  #put(root, text, running) {
    root.replaceChildren();
    if (!running) return Growing.show(root, text);
    const growing = new Growing(root);
    if (text) growing.add(text);
    return growing;
  }

  #putCut() {
    const { message } = this;
    if (!message.cut) return;
    this.content.append(h("button", { type: "button", class: "plain-button", on: { click: async () => {
      this.set(await this.acts.whole(message));
    } } }, t("showAll", { size: bytes(message.text_bytes) })));
  }

  #setReasoning(before, message, running) {
    const text = message.reasoning || "";
    if (!before || before.reasoning !== message.reasoning) {
      this.thoughtBody = this.#put(this.thought, text, running);
    } else if (before.state === "running" && !running) {
      this.thoughtBody?.end();
    }
    this.thoughts.hidden = !text;
    this.thoughtHead.textContent = t(running && !message.text ? "reasoningNow" : "reasoning");
  }

  #setCalls(message) {
    this.calls?.remove();
    if (!message.calls?.length) return;
    this.calls = h("div", { class: "calls" }, message.calls.map((call) =>
      h("div", { class: "code" }, h("div", { class: "code-head" }, h("span", null, t("calls"), " ", call.name)),
        h("pre", { tabindex: "0", "aria-label": call.name }, h("code", null, call.arguments)))));
    this.content.after(this.calls);
  }

  /* A piece that came: false when it does not join what is here. */
  add(kind, at, text) {
    if (this.message.state !== "running") return true;
    const bytesNew = at + size(text) - this.have[kind];
    if (bytesNew <= 0) return true;
    if (at > this.have[kind]) return false;
    if (at < this.have[kind]) text = new TextDecoder().decode(encoder.encode(text).subarray(this.have[kind] - at));
    this.have[kind] += bytesNew;
    if (kind === "reasoning") {
      this.message.reasoning = (this.message.reasoning || "") + text;
      this.thoughts.hidden = false;
      this.thoughtHead.textContent = t("reasoningNow");
      this.thoughtBody.add(text);
    } else {
      this.message.text += text;
      if (this.have.text === bytesNew && this.thoughtHead) this.thoughtHead.textContent = t("reasoning");
      this.body.add(text);
    }
    this.setPhase(null);
    return true;
  }

  /* Where a running answer is before its first word. */
  setPhase(phase) {
    this.phase.hidden = !phase || this.message.state !== "running";
    if (this.phase.hidden) return;
    const words = h("span");
    let bar = null;
    if (phase.phase === "queued") {
      words.textContent = phase.place > 0 ? t("queued", { n: count(phase.place) }) : t("queuedNext");
    } else if (phase.phase === "loading") {
      words.textContent = t("loading");
    } else if (phase.phase === "prefill") {
      const left = this.#eta(phase);
      words.textContent = t("prefill", { done: count(phase.done), all: count(phase.all) })
        + (left ? " · " + t("eta", { time: duration(left) }) : "");
      bar = h("progress", { max: phase.all, value: phase.done, "aria-label": words.textContent });
    } else {
      words.textContent = t("thinking");
    }
    fill(this.phase, h("span", { class: "dot" }), words, bar);
  }

  /* Seconds a prompt still takes, from how fast it went so far. */
  #eta({ cached, done, all }) {
    const now = performance.now();
    if (!this.begun || done <= cached) {
      this.begun = now;
      this.from = done;
      return 0;
    }
    const speedNow = (done - this.from) / (now - this.begun);
    return speedNow > 0 ? (all - done) / speedNow / 1000 : 0;
  }

  #setTools(running) {
    const { message, acts } = this;
    const mine = message.role === "user";
    const copy = iconButton("copy", t("copy"), () => copyText(this.message.text, copy));
    fill(this.tools,
         this.#branches(), !running && copy,
         mine && iconButton("edit", t("edit"), () => this.edit()),
         !mine && !running && iconButton("again", t("again"), () => acts.again(this.message)),
         !mine && !running && this.#figures());
  }

  #branches() {
    const { branch } = this.message;
    if (!branch || branch.n < 2) return null;
    const go = (to) => () => this.acts.branch(to);
    return h("span", { class: "branches", role: "group", "aria-label": t("branch", branch) },
             iconButton("left", t("branchPrev"), go(branch.prev), { disabled: !branch.prev }),
             h("span", { "aria-hidden": "true" }, `${branch.i}/${branch.n}`),
             iconButton("right", t("branchNext"), go(branch.next), { disabled: !branch.next }));
  }

  #figures() {
    const { state, finish, usage } = this.message;
    const { stats, energy, error, receipt } = usage || {};
    const line = [];
    if (state === "failed") line.push(h("span", { class: "bad" }, t("failed", { why: error || "" })));
    else if (state === "stopped") line.push(t("stopped"));
    else if (finish === "length") line.push(t("cutLength"));
    else if (finish === "energy_budget") line.push(t("cutBudget"));
    if (stats?.tokens_per_s) line.push(speed(stats.tokens_per_s));
    const joules = energyText(energy);
    const cost = joules.range ? `${joules.short} (${joules.range})` : joules.short;
    if (stats) line.push(typeof receipt === "string" ? this.#receiptButton(receipt, cost) : cost);
    if (stats?.n_left_out) line.push(t("leftOut", { n: count(stats.n_left_out) }));
    const more = [];
    if (stats) {
      more.push(t("tokens", { n: count(stats.n_out) }));
      if (stats.ttft_ms) more.push(t("ttft", { time: duration(stats.ttft_ms / 1000) }));
      if (stats.n_cached) more.push(t("cachedTokens", { n: `${count(stats.n_cached)}/${count(stats.n_prompt)}` }));
    }
    const words = line.flatMap((part, i) => (i ? [" · ", part] : [part]));
    return h("span", { class: "figures", title: [this.message.model, ...more].filter(Boolean).join(" · ") },
             words, more.length > 0 && h("span", { class: "figures-more" }, " · ", more.join(" · ")));
  }

  #receiptButton(receipt, words) {
    return h("button", { type: "button", class: "receipt-button", "aria-haspopup": "dialog", title: t("receiptOpen"),
                         on: { click: () => openReceipt(receipt) } }, words);
  }

  /* The message becomes a field; sending it makes a branch. */
  edit() {
    if (this.editor) return;
    const field = h("textarea", { "aria-label": t("editLabel"), rows: Math.min(12, this.message.text.split("\n").length + 1),
                                  value: this.message.text });
    const done = () => {
      this.editor.remove();
      this.editor = null;
      this.content.hidden = this.tools.hidden = false;
    };
    const send = async () => {
      if (field.value.trim() && await this.acts.edit(this.message, field.value)) done();
    };
    this.editor = h("div", { class: "editor" }, field,
                    h("div", { class: "buttons" },
                      h("button", { type: "button", class: "plain-button", on: { click: () => {
                        done();
                        this.tools.querySelector("button")?.focus();
                      } } }, t("cancel")),
                      h("button", { type: "button", class: "button", on: { click: send } }, t("editSend"))));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        done();
        this.node.focus();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    this.content.hidden = this.tools.hidden = true;
    this.content.after(this.editor);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}
