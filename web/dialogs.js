// SPDX-License-Identifier: Apache-2.0
// dialogs.js - dialogs and menus: the browser's own <dialog>, so that focus stays where it belongs.
import { fill, h, iconButton } from "./dom.js";
import { t } from "./strings.js";

/* A dialog with a heading; `build(body, close)` fills it. It is gone when it closes. */
export function openDialog(title, build, props) {
  const body = h("div", { class: "dialog-body" });
  const name = "dialog-" + Math.random().toString(36).slice(2);
  const dialog = h("dialog", { "aria-labelledby": name, ...props },
                   h("header", null, h("h2", { id: name }, title),
                     iconButton("close", t("close"), () => dialog.close())),
                   body);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  build(body, () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/* Asks for a yes or a text: resolves to true or the text, or null. */
export function ask(title, { text, value, ok, danger }) {
  return new Promise((resolve) => {
    let answer = null;
    const field = value === undefined ? null
                                      : h("input", { type: "text", value, maxlength: "200", "aria-label": title });
    const dialog = openDialog(title, (body, close) => {
      const form = h("form", { on: { submit: (event) => {
        event.preventDefault();
        answer = field ? field.value.trim() || null : true;
        close();
      } } },
        text && h("p", null, text), field,
        h("div", { class: "buttons" },
          h("button", { type: "button", class: "plain-button", on: { click: close } }, t("cancel")),
          h("button", { type: "submit", class: danger ? "button danger" : "button" }, ok)));
      body.append(form);
    }, { class: "small" });
    dialog.addEventListener("close", () => resolve(answer));
    if (field) field.select();
  });
}

/* A menu under a button: items are [icon node, words, action, extra class] or {href...} links. */
export function openMenu(button, items) {
  const close = (back) => {
    menu.remove();
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (back) button.focus();
  };
  const outside = (event) => {
    if (!menu.contains(event.target)) close(false);
  };
  const entries = items.map(({ picture, words, act, href, danger }) => {
    const props = { role: "menuitem", tabindex: "-1", class: danger ? "danger" : null,
                    on: { click: () => {
                      close(true);
                      act?.();
                    } } };
    return href ? h("a", { ...props, href, download: true }, picture, words)
                : h("button", { type: "button", ...props }, picture, words);
  });
  const menu = h("div", { role: "menu", class: "menu", "aria-label": button.getAttribute("aria-label") }, entries);
  menu.addEventListener("keydown", (event) => {
    const at = entries.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (to !== undefined) entries[(to + entries.length) % entries.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.body.append(menu);
  button.setAttribute("aria-expanded", "true");
  const box = button.getBoundingClientRect();
  const below = box.bottom + menu.offsetHeight + 8 < innerHeight;
  menu.style.top = (below ? box.bottom + 4 : Math.max(8, box.top - menu.offsetHeight - 4)) + "px";
  menu.style.left = Math.max(8, Math.min(box.left, innerWidth - menu.offsetWidth - 8)) + "px";
  document.addEventListener("pointerdown", outside, true);
  entries[0].focus();
}

/* One line that says what went wrong or well; it stays until it is dismissed or replaced. */
export class Notice {
  node = h("div", { class: "notice", role: "status", hidden: true });

  show(text) {
    fill(this.node, h("span", null, text), iconButton("close", t("dismiss"), () => this.hide()));
    this.node.hidden = false;
  }

  hide() {
    this.node.hidden = true;
    this.node.replaceChildren();
  }
}
