// SPDX-License-Identifier: Apache-2.0
// sidebar.js - the list of conversations: newest first, searched on the server.
import { api } from "./api.js";
import { openMenu } from "./dialogs.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { t } from "./strings.js";

const PAGE = 50;

function group(seconds) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const days = (midnight.getTime() / 1000 - seconds) / 86400;
  if (days <= 0) return "today";
  if (days <= 1) return "yesterday";
  return days <= 6 ? "thisWeek" : "earlier";
}

export class Sidebar {
  constructor(acts) {
    this.acts = acts;
    this.items = new Map();
    this.current = null;
    this.query = "";
    this.more = null;
    this.nLoads = 0; // of the list's beginning: only the newest counts
    this.news = new Set(); // one Map for each reply that is awaited
    this.field = h("input", { type: "search", "aria-label": t("search"), placeholder: t("search"), maxlength: "200",
                              on: { input: () => this.#search() } });
    this.list = h("div", { class: "list" });
    this.foot = h("div", { class: "side-foot" });
    this.node = h("nav", { class: "sidebar", "aria-label": t("conversations"), id: "list" },
      h("div", { class: "side-head" },
        h("a", { class: "brand", href: "#/" }, icon("leaf"), h("span", null, "sobre")),
        iconButton("close", t("closeList"), () => this.acts.hide(), { class: "icon-button only-narrow" })),
      h("button", { type: "button", class: "new-chat", on: { click: () => this.acts.fresh() } },
        icon("plus"), t("newChat")),
      h("div", { class: "search" }, icon("search"), this.field),
      this.list, this.foot);
  }

  #search() {
    clearTimeout(this.wait);
    this.wait = setTimeout(() => {
      this.query = this.field.value.trim();
      this.load();
    }, 150);
  }

  async load(before) {
    const asked = this.query;
    if (!before) this.nLoads++;
    const turn = this.nLoads;
    const news = new Map(); // what events tell while the reply is on its way: it may be older
    this.news.add(news);
    try {
      const page = await api.list({ q: asked, limit: PAGE, before });
      if (turn !== this.nLoads || asked !== this.query) return;
      if (!before) this.items.clear();
      for (const item of page.conversations) this.items.set(item.id, item);
      this.more = page.before;
      for (const [id, item] of news) this.#take(id, item);
      this.draw();
    } finally {
      this.news.delete(news);
    }
  }

  /* null: it is gone. */
  #take(id, item) {
    const known = this.items.get(id);
    if (!item) this.items.delete(id);
    else if (known ? item.order >= known.order : !this.query) this.items.set(id, { ...known, ...item });
    else return; // not among what was searched for, or a reply that events have overtaken
    for (const news of this.news) news.set(id, item);
  }

  /* One that is new or changed. */
  put(item) {
    this.#take(item.id, item);
    this.draw();
  }

  drop(id) {
    this.#take(id, null);
    this.draw();
  }

  select(id) {
    this.current = id;
    for (const link of this.list.querySelectorAll("a")) this.#mark(link);
  }

  #mark(link) {
    if (link.dataset.id === this.current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  draw() {
    const focused = document.activeElement?.closest?.(".list a, .list button");
    const place = focused && [focused.parentElement.dataset.id, focused.tagName];
    const items = [...this.items.values()].sort((a, b) => b.order - a.order);
    const parts = [];
    let name = "";
    let ul = null;
    for (const item of items) {
      const next = this.query ? "found" : group(item.updated_s);
      if (next !== name) {
        name = next;
        ul = h("ul");
        parts.push(h("h2", null, t(name)), ul);
      }
      ul.append(this.#row(item));
    }
    if (!items.length) parts.push(h("p", { class: "hint" }, t(this.query ? "searchNone" : "listEmpty")));
    if (this.more) {
      parts.push(h("button", { type: "button", class: "plain-button wide", on: { click: () => this.load(this.more) } },
                   t("listMore")));
    }
    fill(this.list, parts);
    if (place) this.list.querySelector(`li[data-id="${CSS.escape(place[0] || "")}"] ${place[1]}`)?.focus();
  }

  #row(item) {
    const title = item.title || t("untitled");
    const link = h("a", { href: "#/c/" + item.id, data: { id: item.id }, on: { click: () => this.acts.hide() } },
                   h("span", { class: "title" }, title),
                   item.running && h("span", { class: "dot", role: "img", "aria-label": t("answering") }),
                   item.snippet && h("span", { class: "snippet" }, item.snippet));
    this.#mark(link);
    const button = iconButton("more", t("more", { title }), () => this.#menu(button, item),
                              { "aria-haspopup": "menu", "aria-expanded": "false" });
    return h("li", { data: { id: item.id } }, link, button);
  }

  #menu(button, item) {
    openMenu(button, conversationMenu(item, this.acts));
  }
}

/* What can be done with a conversation, for its row and for the top bar. */
export function conversationMenu(item, acts) {
  return [
    { picture: icon("edit"), words: t("rename"), act: () => acts.rename(item) },
    { picture: icon("download"), words: t("exportMarkdown"), href: api.exportUrl(item.id, "md") },
    { picture: icon("download"), words: t("exportJson"), href: api.exportUrl(item.id, "json") },
    { picture: icon("trash"), words: t("remove"), act: () => acts.remove(item), danger: true },
  ];
}
