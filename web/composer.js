// SPDX-License-Identifier: Apache-2.0
// composer.js - where a message is written: text, attached text files, send and stop.
import { fill, h, icon, iconButton } from "./dom.js";
import { bytes } from "./figures.js";
import { t } from "./strings.js";

/* Text with its files, each in a fence longer than any inside. */
function withFiles(text, files) {
  const parts = files.map(({ name, content }) => {
    const longest = Math.max(2, ...[...content.matchAll(/`{3,}/g)].map((found) => found[0].length));
    const fence = "`".repeat(longest + 1);
    const word = (/\.([a-z0-9]{1,10})$/i.exec(name) || [])[1] || "text";
    return `**${name.replaceAll("*", "")}**\n\n${fence}${word.toLowerCase()}\n${content.replace(/\n$/, "")}\n${fence}`;
  });
  return [text, ...parts].filter(Boolean).join("\n\n");
}

export class Composer {
  constructor({ send, stop, notice, maxFile }) {
    this.acts = { send, stop, notice };
    this.maxFile = maxFile;
    this.files = [];
    this.running = false;
    this.field = h("textarea", { id: "message", rows: "1", placeholder: t("placeholder"), "aria-label": t("message"),
                                 autocomplete: "off", on: { input: () => this.#fit(), keydown: (e) => this.#key(e),
                                                            paste: (e) => this.#paste(e) } });
    this.picker = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true",
                               on: { change: () => {
                                 this.attach([...this.picker.files]);
                                 this.picker.value = "";
                               } } });
    this.button = h("button", { type: "submit", class: "send" });
    this.attachList = h("ul", { class: "files", "aria-label": t("attached"), hidden: true });
    this.node = h("form", { class: "composer", on: { submit: (event) => {
      event.preventDefault();
      if (this.running) this.acts.stop();
      else this.submit();
    }, dragover: (event) => event.preventDefault(), drop: (event) => this.#drop(event) } },
      this.attachList,
      h("div", { class: "composer-row" }, this.picker,
        iconButton("clip", t("attach"), () => this.picker.click()), this.field, this.button));
    this.setRunning(false);
  }

  /* Grows with its text; where the browser does it by itself this costs nothing. */
  #fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = Math.min(this.field.scrollHeight, 240) + "px";
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.running) this.submit();
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files || [])];
    if (!files.length) return;
    event.preventDefault();
    this.attach(files);
  }

  #drop(event) {
    const files = [...(event.dataTransfer?.files || [])];
    if (!files.length) return;
    event.preventDefault();
    this.attach(files);
  }

  async attach(files) {
    for (const file of files) {
      if (file.size > this.maxFile) {
        this.acts.notice(t("fileTooBig", { name: file.name, size: bytes(file.size), max: bytes(this.maxFile) }));
        continue;
      }
      try {
        const content = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
        if (content.includes("\0")) throw new TypeError("binary");
        this.files.push({ name: file.name.slice(0, 120), content });
      } catch {
        this.acts.notice(t("fileNotText", { name: file.name }));
      }
    }
    this.#showFiles();
  }

  #showFiles() {
    this.attachList.hidden = !this.files.length;
    fill(this.attachList, this.files.map((file) =>
      h("li", null, icon("file"), h("span", null, file.name, " ", h("small", null, bytes(file.content.length))),
        iconButton("close", t("detach", { name: file.name }), () => {
          this.files = this.files.filter((other) => other !== file);
          this.#showFiles();
          this.field.focus();
        }))));
  }

  async submit() {
    const text = withFiles(this.field.value.trim(), this.files);
    if (!text || this.sending) return;
    this.sending = true;
    const sent = await this.acts.send(text);
    this.sending = false;
    if (!sent) return;
    this.set("");
  }

  set(text) {
    this.field.value = text;
    this.files = [];
    this.#showFiles();
    this.#fit();
  }

  setRunning(running) {
    this.running = running;
    fill(this.button, icon(running ? "stop" : "send"));
    this.button.setAttribute("aria-label", t(running ? "stop" : "send"));
    this.button.title = t(running ? "stop" : "send");
    this.button.classList.toggle("stopping", running);
  }
}
