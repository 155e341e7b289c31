// SPDX-License-Identifier: Apache-2.0
// thread.js - the messages of one conversation: the newest page first, older ones when they are
// scrolled to. The view follows the answer only while its end is in sight.
import { api } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { MessageView } from "./message.js";
import { t } from "./strings.js";

const PAGE = 40;

export class Thread {
  constructor(acts) {
    this.acts = acts;
    this.views = new Map();
    this.last = null;
    this.list = h("div", { class: "messages" });
    this.top = h("div", { class: "older", hidden: true }, t("older"));
    this.note = h("p", { class: "system-note", hidden: true });
    this.welcome = h("div", { class: "welcome" }, icon("leaf"), h("h1", null, t("welcome")),
                     h("p", null, t("welcomeMore")));
    this.inner = h("div", { class: "thread-inner" }, this.top, this.note, this.list);
    this.node = h("section", { class: "thread", "aria-label": t("thread"), tabindex: "0" }, this.welcome, this.inner);
    this.jump = h("button", { type: "button", class: "jump", hidden: true, "aria-label": t("jump"), title: t("jump"),
                              on: { click: () => this.toEnd() } }, icon("down"));
    this.live = h("div", { class: "unseen", role: "status" });
    this.following = true;
    this.#watch();
  }

  #watch() {
    this.node.addEventListener("scroll", () => this.#look(), { passive: true });
    new ResizeObserver(() => this.#settle()).observe(this.inner);
    new ResizeObserver(() => this.#settle()).observe(this.node);
    // Only the reader decides to leave the end: growth alone never does.
    for (const event of ["wheel", "touchmove", "keydown", "pointerdown"]) {
      this.node.addEventListener(event, () => {
        this.moved = true;
      }, { passive: true });
    }
  }

  #left() {
    return this.node.scrollHeight - this.node.clientHeight - this.node.scrollTop;
  }

  #look() {
    const left = this.#left();
    if (left < 32) this.following = true;
    else if (this.moved || this.node.scrollTop < this.lastTop - 2) this.following = false;
    this.moved = false;
    this.lastTop = this.node.scrollTop;
    this.jump.hidden = left < 160;
    if (this.before && this.node.scrollTop < 600) this.#loadOlder();
  }

  #settle() {
    if (this.following) this.node.scrollTop = this.node.scrollHeight;
    this.jump.hidden = this.#left() < 160;
  }

  toEnd() {
    this.following = true;
    this.node.scrollTop = this.node.scrollHeight;
    this.jump.hidden = true;
    this.last?.node.focus({ preventScroll: true });
  }

  /* An empty thread, for a conversation that has no message yet. */
  clear() {
    this.generation = {};
    this.views.clear();
    this.list.replaceChildren();
    this.last = null;
    this.before = null;
    this.conversation = null;
    this.top.hidden = true;
    this.live.textContent = "";
    this.following = true;
    this.setSystem("");
    this.#empty();
  }

  #empty() {
    this.welcome.hidden = this.views.size > 0 || this.conversation !== null;
    this.inner.hidden = !this.welcome.hidden;
  }

  setSystem(text) {
    this.note.hidden = !text;
    this.note.textContent = text ? t("systemNote", { text: text.length > 200 ? text.slice(0, 200) + "…" : text }) : "";
  }

  /* Loads the newest page of the path; keep: stays where the reader is. Resolves to what of a running
   * answer is known, or null when another conversation was opened meanwhile. */
  async open(c, keep) {
    const generation = this.generation = {};
    const page = await api.messages(c, { limit: PAGE });
    if (generation !== this.generation) return null;
    const changed = this.conversation !== c;
    this.conversation = c;
    if (changed || !keep) {
      this.views.clear();
      this.list.replaceChildren();
      this.following = true;
    }
    this.#replace(page.messages);
    this.before = page.before;
    this.top.hidden = !page.before;
    this.#empty();
    this.#settle();
    return this.have();
  }

  /* Puts a path in: views of messages that stay are kept, with their nodes. */
  #replace(messages) {
    const views = new Map();
    const nodes = messages.map((message) => {
      const view = this.views.get(message.id);
      if (view) this.#change(view, message);
      views.set(message.id, view || new MessageView(message, this.acts));
      return views.get(message.id).node;
    });
    this.views = views;
    fill(this.list, nodes);
    this.last = views.get(messages.at(-1)?.id) || null;
  }

  async #loadOlder() {
    const { before, generation } = this;
    this.before = null;
    const page = await api.messages(this.conversation, { limit: PAGE * 2, before });
    if (generation !== this.generation) return;
    const views = page.messages.map((message) => [message.id, new MessageView(message, this.acts)]);
    const first = this.list.firstElementChild;
    const at = first.getBoundingClientRect().top;
    this.list.prepend(...views.map(([, view]) => view.node));
    this.views = new Map([...views, ...this.views]);
    this.node.scrollTop += first.getBoundingClientRect().top - at;
    this.before = page.before;
    this.top.hidden = !page.before;
  }

  /* What is known of the running answer, for the feed: "MESSAGE:REASONING:TEXT". */
  have() {
    const view = this.running();
    return view ? `${view.message.id}:${view.have.reasoning}:${view.have.text}` : "";
  }

  running() {
    return this.last?.message.state === "running" ? this.last : null;
  }

  /* A message that is new or changed; false when it does not fit the path shown. */
  put(message) {
    const known = this.views.get(message.id);
    if (known) {
      return this.#change(known, message);
    }
    if ((this.last?.message.id ?? null) !== message.parent || message.text === undefined) return false;
    const view = new MessageView(message, this.acts);
    this.views.set(message.id, view);
    this.list.append(view.node);
    this.last = view;
    if (message.role === "user") this.following = true;
    else if (message.state === "running") this.live.textContent = t("announceBegin");
    else this.#announce(message);
    this.#empty();
    this.#settle();
    return true;
  }

  #change(view, message) {
    const was = view.message.state;
    if (!view.set(message)) return false;
    if (was === "running" && view.message.state !== "running") this.#announce(view.message);
    return true;
  }

  // A reader with a screen reader hears the whole answer once, when it is there.
  #announce(message) {
    if (message.state === "stopped") this.live.textContent = t("announceStop");
    else if (message.state === "failed") this.live.textContent = t("failed", { why: message.usage?.error || "" });
    else this.live.textContent = t("announceEnd", { text: message.text.slice(0, 1500) });
  }

  /* Moves the focus from message to message. */
  step(by) {
    const nodes = [...this.list.children];
    const at = nodes.findIndex((node) => node.contains(document.activeElement));
    const to = at < 0 ? nodes.length - 1 : Math.max(0, Math.min(nodes.length - 1, at + by));
    this.moved = true;
    nodes[to]?.focus();
    nodes[to]?.scrollIntoView({ block: "nearest" });
  }
}
