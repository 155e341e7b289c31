// SPDX-License-Identifier: Apache-2.0
// main.js - the page put together: who acts on what, and what the feed of events changes.
import { Feed, Refused, api, whenSignedOut } from "./api.js";
import { Composer } from "./composer.js";
import { openDay } from "./day.js";
import { Notice, ask, openMenu } from "./dialogs.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { duration, energyText } from "./figures.js";
import { Growing } from "./grow.js";
import { copyText } from "./markdown.js";
import { Models } from "./models.js";
import { openOptions, openPreferences, signInForm } from "./panels.js";
import { Sidebar, conversationMenu } from "./sidebar.js";
import { chosenLanguage, setLanguage, t } from "./strings.js";
import { Thread } from "./thread.js";

const root = document.getElementById("app");

/* What new conversations begin with is this browser's own. */
function defaults() {
  try {
    return JSON.parse(localStorage.getItem("sobre.defaults")) || {};
  } catch {
    return {};
  }
}

function keepDefaults(values) {
  try {
    localStorage.setItem("sobre.defaults", JSON.stringify({ ...defaults(), ...values }));
  } catch {
    // Without storage they last for this conversation.
  }
}

class Page {
  constructor(hello) {
    this.hello = hello;
    this.conversation = null; // the one shown; null: a new one
    this.fresh = {}; // what a new one will begin with
    this.notice = new Notice();
    this.models = new Models({ use: (name) => this.#useModel(name), failed: (why) => this.failed(why) });
    this.thread = new Thread({
      again: (message) => this.#try(async () => this.#took(await api.again(this.conversation.id, message.id))),
      edit: (message, text) => this.#send(text, message.id),
      branch: (to) => this.#try(async () => {
        await api.branch(this.conversation.id, to);
        await this.#reload(true);
      }),
      whole: (message) => api.message(this.conversation.id, message.id),
    });
    this.sidebar = new Sidebar({ fresh: () => this.#new(), hide: () => this.#showList(false),
                                 rename: (item) => this.#rename(item), remove: (item) => this.#remove(item) });
    this.composer = new Composer({ send: (text) => this.#send(text, null), stop: () => this.#stop(),
                                   notice: (text) => this.notice.show(text), maxFile: hello.limits.file_bytes });
    this.feed = new Feed(this.#hears(), () => this.thread.running() !== null);
    this.#lay();
  }

  #lay() {
    this.title = h("h1", { class: "title" });
    this.menuButton = iconButton("more", t("more", { title: "" }), () => openMenu(this.menuButton, conversationMenu(this.conversation, {
      rename: (item) => this.#rename(item), remove: (item) => this.#remove(item) })),
      { "aria-haspopup": "menu", "aria-expanded": "false" });
    this.modelName = h("span", { class: "model-name" });
    this.modelButton = h("button", { type: "button", class: "model-button",
                                     on: { click: () => this.models.open(this.#modelName()) } },
                         icon("model"), this.modelName, icon("chevron"));
    this.energy = h("button", { type: "button", class: "energy", on: { click: () => openDay((why) => this.failed(why)) } });
    fill(this.sidebar.foot,
         h("button", { type: "button", class: "plain-button wide", on: { click: () => openDay((why) => this.failed(why)) } },
           icon("chart"), t("day")),
         h("button", { type: "button", class: "plain-button wide", on: { click: () => this.#preferences() } },
           icon("help"), t("preferences")));
    this.main = h("main", null,
      h("header", { class: "top" },
        iconButton("menu", t("openList"), () => this.#showList(true), { class: "icon-button only-narrow", "aria-controls": "list" }),
        this.title, this.menuButton, this.energy, this.modelButton,
        iconButton("sliders", t("options"), () => this.#options())),
      this.notice.node,
      this.thread.node,
      h("div", { class: "foot" }, this.thread.jump, this.composer.node,
        h("p", { class: "footnote" }, t("footnote"))),
      this.thread.live);
    this.skip = h("a", { class: "skip", href: "#message", on: { click: (event) => {
      event.preventDefault();
      this.composer.field.focus();
    } } }, t("skip"));
    this.shade = h("div", { class: "shade", on: { click: () => this.#showList(false) } });
    fill(root, this.skip, this.sidebar.node, this.shade, this.main);
    root.addEventListener("notice", (event) => this.notice.show(event.detail));
  }

  async begin() {
    const asked = new URLSearchParams(location.search).get("q");
    if (asked !== null) history.replaceState(null, "", location.pathname + location.hash);
    addEventListener("hashchange", () => this.#route());
    document.addEventListener("keydown", (event) => this.#key(event));
    await Promise.all([this.sidebar.load(), this.models.load()]).catch((why) => this.failed(why));
    await this.#route();
    // A link may suggest words; only a person sends them.
    if (asked) this.composer.set(asked.slice(0, 20000));
    this.composer.field.focus();
  }

  // ---- what is shown ----

  async #route() {
    const found = /^#\/c\/([A-Za-z0-9_-]+)$/.exec(location.hash);
    if (!found) return this.#showNew();
    if (this.conversation?.id === found[1]) return undefined;
    try {
      this.conversation = await api.get(found[1]);
      this.sidebar.select(found[1]);
      await this.#reload(false);
    } catch (why) {
      if (why.status === 404) {
        location.hash = "#/";
        this.notice.show(t("notFound"));
      } else {
        this.failed(why);
      }
    }
    return undefined;
  }

  #new() {
    if (location.hash && location.hash !== "#/") location.hash = "#/";
    else this.#showNew();
    this.#showList(false);
    this.composer.field.focus();
  }

  #showNew() {
    this.early = [];
    this.conversation = null;
    const { system, sampling, model } = defaults();
    this.fresh = { system: system || "", sampling: sampling || {}, model };
    this.sidebar.select(null);
    this.thread.clear();
    this.#head();
    this.feed.open(null, "");
  }

  /* Takes the path from the server again, and the feed from where it ends. */
  async #reload(keep) {
    this.early = [];
    const have = await this.thread.open(this.conversation.id, keep);
    if (have === null) return;
    this.#head();
    this.feed.open(this.conversation.id, have);
  }

  #head() {
    const c = this.conversation;
    this.title.textContent = c ? c.title || t("untitled") : "";
    document.title = c ? `${c.title || t("untitled")} – sobre` : "sobre";
    this.title.hidden = this.menuButton.hidden = !c;
    if (c) this.menuButton.setAttribute("aria-label", t("more", { title: c.title || t("untitled") }));
    const { short, range } = c?.energy ? energyText(c.energy) : { short: "", range: "" };
    this.energy.hidden = !short || !c.energy.energy_uj;
    fill(this.energy, icon("leaf"), short);
    this.energy.setAttribute("aria-label", `${t("energyConversation")}: ${short} ${range}`);
    this.energy.title = `${t("energyConversation")}: ${short} ${range}`;
    const name = this.#modelName();
    const model = this.models.find(name);
    this.modelName.textContent = model?.display || name || t("noModel");
    this.modelButton.setAttribute("aria-label", t("chooseModel", { name: this.modelName.textContent }));
    this.thread.setSystem((c || this.fresh).system || "");
    this.composer.setRunning(this.thread.running() !== null);
  }

  #modelName() {
    return this.models.nameFor(this.conversation || this.fresh, defaults());
  }

  // ---- what people do ----

  async #send(text, edited) {
    return this.#try(async () => {
      const isNew = !this.conversation;
      if (isNew) {
        const { system, sampling, model } = this.fresh;
        this.conversation = await api.create({ system, sampling, model: model || this.#modelName() });
        history.pushState(null, "", "#/c/" + this.conversation.id);
        this.thread.conversation = this.conversation.id;
        this.sidebar.put(this.conversation);
        this.sidebar.select(this.conversation.id);
      }
      const { id } = this.conversation;
      try {
        const parent = this.thread.last?.message.id ?? null;
        this.#took(await api.send(id, edited ? { text, edit: edited } : { text, parent }));
      } finally {
        // Not before: an answer may be over before a feed is there, and is asked about by what is known of it.
        if (isNew && this.conversation?.id === id) this.feed.open(id, this.thread.have());
      }
    });
  }

  /* What a send or another answer began: messages that follow each other. */
  #took({ conversation, messages }) {
    if (conversation.id !== this.conversation?.id) return;
    this.#changed(conversation);
    this.thread.following = true;
    const fits = messages.every((message) => this.thread.put(message));
    this.#catchUp();
    if (fits) this.#head();
    else this.#reload(true).catch((why) => this.failed(why));
  }

  #stop() {
    const running = this.thread.running();
    if (running) this.#try(() => api.stop(this.conversation.id, running.message.id));
  }

  async #rename(item) {
    const title = await ask(t("renameAsk"), { value: item.title || "", ok: t("save") });
    if (title) await this.#try(async () => this.#changed(await api.change(item.id, { title })));
  }

  async #remove(item) {
    const yes = await ask(t("remove"), { text: t("removeAsk", { title: item.title || t("untitled") }), ok: t("remove"), danger: true });
    if (yes) await this.#try(async () => {
      await api.remove(item.id);
      this.#gone(item.id);
    });
  }

  #changed(conversation) {
    this.sidebar.put(conversation);
    if (conversation.id !== this.conversation?.id || conversation.order < this.conversation.order) return;
    this.conversation = conversation;
    this.#head();
  }

  #gone(id) {
    this.sidebar.drop(id);
    if (id === this.conversation?.id) this.#new();
  }

  #useModel(name) {
    document.querySelector("dialog[open]")?.close();
    if (this.conversation) {
      this.#try(async () => this.#changed(await api.change(this.conversation.id, { model: name })));
    } else {
      this.fresh.model = name;
      this.#head();
    }
    keepDefaults({ model: name });
  }

  #options() {
    openOptions(this.conversation || this.fresh, (values, asDefault) => this.#try(async () => {
      if (asDefault) keepDefaults(values);
      if (this.conversation) this.#changed(await api.change(this.conversation.id, values));
      else Object.assign(this.fresh, values);
      this.#head();
    }));
  }

  #preferences() {
    openPreferences({
      version: this.hello.version, name: this.hello.owner,
      languageChanged: () => location.reload(),
      signOut: this.hello.auth === "key" ? () => this.#try(async () => {
        await api.signOut();
        location.reload();
      }) : null,
      import: (file) => this.#try(async () => {
        const { n } = await api.import(JSON.parse(await file.text()));
        this.notice.show(t("imported", { n }));
        await this.sidebar.load();
      }),
    });
  }

  #showList(open) {
    root.classList.toggle("list-open", open);
    const narrow = matchMedia("(max-width: 820px)").matches;
    this.main.inert = open && narrow;
    if (open) this.sidebar.field.focus();
    else if (narrow && this.sidebar.node.contains(document.activeElement)) this.composer.field.focus();
  }

  #key(event) {
    const command = event.ctrlKey || event.metaKey;
    const dialog = document.querySelector("dialog[open]");
    if (dialog) return;
    const acts = {
      "c+k": () => {
        this.#showList(true);
        this.sidebar.field.focus();
      },
      "cs+o": () => this.#new(),
      "cs+;": () => this.#copyLast(),
      "cs+:": () => this.#copyLast(),
      "c+/": () => this.#preferences(),
      "s+escape": () => this.composer.field.focus(),
      "escape": () => (root.classList.contains("list-open") ? this.#showList(false) : this.#stop()),
      "a+arrowup": () => this.thread.step(-1),
      "a+arrowdown": () => this.thread.step(1),
    };
    const held = (command ? "c" : "") + (event.altKey ? "a" : "") + (event.shiftKey ? "s" : "");
    const act = acts[(held ? held + "+" : "") + event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #copyLast() {
    const views = [...this.thread.views.values()].filter((view) => view.message.role === "assistant");
    const last = views.at(-1);
    if (last) copyText(last.message.text, last.tools.querySelector("button") || this.composer.button);
  }

  // ---- what the feed says ----

  #hears() {
    const mine = (event) => event.conversation === this.conversation?.id;
    return {
      hello: ({ revision }) => this.#met(revision),
      conversation: ({ conversation }) => this.#changed({ ...this.#known(conversation.id), ...conversation }),
      gone: ({ conversation }) => this.#gone(conversation),
      message: (event) => {
        if (!mine(event)) return;
        if (!this.thread.put(event.message)) this.#reload(true).catch((why) => this.failed(why));
        this.#catchUp();
        this.#head();
        if (!this.thread.running()) this.feed.settle();
      },
      path: (event) => {
        if (mine(event) && event.leaf !== this.thread.last?.message.id) this.#reload(true).catch((why) => this.failed(why));
      },
      phase: (event) => mine(event) && this.#grow(event),
      delta: (event) => mine(event) && this.#grow(event),
      pull: (event) => this.models.pulled(event),
      ended: (event) => {
        if (mine(event) && this.thread.running()) this.#reload(true).catch((why) => this.failed(why));
      },
      lost: (closed) => {
        this.lost = true;
        this.notice.show(t("offline"));
        if (closed) this.#retry();
      },
      back: () => (this.conversation ? this.#reload(true).catch((why) => this.failed(why)) : this.feed.open(null, "")),
    };
  }

  /* What is said of an answer may come before the reply that brings its message: it is kept until then. */
  #grow(event) {
    const view = this.thread.views.get(event.message);
    if (!view) {
      if (this.early.length < 2000) this.early.push(event);
    } else if (event.phase) {
      view.setPhase(event);
    } else if (!view.add(event.kind, event.at, event.text)) {
      this.#reload(true).catch((why) => this.failed(why));
    }
  }

  #catchUp() {
    const early = this.early.filter((event) => this.thread.views.has(event.message));
    this.early = [];
    for (const event of early) this.#grow(event);
  }

  #known(id) {
    return this.conversation?.id === id ? this.conversation : this.sidebar.items.get(id) || {};
  }

  /* The feed is there (again). What happened while it was not is asked for. */
  #met(revision) {
    const { lost } = this;
    const missed = this.revision !== undefined && this.revision !== revision;
    this.lost = false;
    this.revision = revision;
    if (lost) this.notice.hide();
    if (missed) this.sidebar.load().catch((why) => this.failed(why));
    if (this.conversation) this.#verify(missed && lost).catch((why) => this.failed(why));
  }

  /* Whether what is shown is what there is: an answer may end, and another browser write, between a
   * reply and the feed that is opened with it. */
  async #verify(stale) {
    const { id } = this.conversation;
    const now = await api.get(id);
    if (id !== this.conversation?.id) return;
    this.#changed(now);
    if (stale || now.leaf !== (this.thread.last?.message.id ?? null)) await this.#reload(true);
  }

  /* The browser gave up on the feed, because it got an answer that was none. */
  #retry() {
    setTimeout(async () => {
      try {
        await api.hello();
        await (this.conversation ? this.#reload(true) : this.feed.open(null, ""));
      } catch {
        this.#retry();
      }
    }, 3000);
  }

  // ---- what goes wrong ----

  async #try(act) {
    try {
      await act();
      return true;
    } catch (why) {
      this.failed(why);
      return false;
    }
  }

  failed(why) {
    if (why instanceof Refused && why.status === 401) return;
    if (why instanceof Refused && why.retryAfter) this.notice.show(t("busy", { time: duration(why.retryAfter) }));
    else if (why instanceof TypeError && /fetch|network/i.test(why.message)) this.notice.show(t("offline"));
    else this.notice.show(t("error", { why: why.message }));
  }
}

async function signIn() {
  fill(root, signInForm(async (key) => {
    try {
      await api.signIn(key);
      location.reload();
      return "";
    } catch (why) {
      return why.status === 401 ? t("wrongKey") : t("error", { why: why.message });
    }
  }));
  root.querySelector("input").focus();
}

async function boot() {
  setLanguage(chosenLanguage());
  whenSignedOut(signIn);
  const hello = await api.hello();
  await new Page(hello).begin();
}

boot().catch((why) => why.status === 401 || fill(root, h("main", { class: "sign-in-page" }, h("p", { role: "alert" }, t("error", { why: why.message })))));

// For tests, which feed the same code that draws answers.
export { Growing };
