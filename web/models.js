// SPDX-License-Identifier: Apache-2.0
// models.js - the model picker: what there is, what it needs, whose licence, and the downloads.
import { api } from "./api.js";
import { openDialog } from "./dialogs.js";
import { fill, h, icon } from "./dom.js";
import { bytes, count, parameters } from "./figures.js";
import { t } from "./strings.js";

export class Models {
  constructor(acts) {
    this.acts = acts;
    this.list = [];
    this.machine = null;
    this.body = null;
    this.pulls = new Map();
  }

  async load() {
    const { models, machine } = await api.models();
    this.list = models;
    this.machine = machine;
    for (const model of models) {
      if (model.pull) this.pulls.set(model.name, model.pull);
      else this.pulls.delete(model.name);
    }
    this.draw();
  }

  find(name) {
    return this.list.find((model) => model.name === name);
  }

  /* The model of a conversation, or the one new ones get. */
  nameFor(conversation, settings) {
    return conversation?.model || (this.find(settings?.model)?.here && settings.model) || this.list.find((m) => m.given)?.name
      || this.list.find((m) => m.loaded)?.name || this.list.find((m) => m.here)?.name || "";
  }

  open(current) {
    this.current = current;
    const dialog = openDialog(t("models"), (body) => {
      this.body = body;
      this.rows = new Map();
      this.draw();
    }, { class: "wide" });
    dialog.addEventListener("close", () => {
      this.body = null;
    });
    this.load().catch(this.acts.failed);
  }

  /* News of a download; the server's last word for a model is a state of "done" or "failed". */
  pulled(news) {
    if (news.state === "running") this.pulls.set(news.name, news);
    else this.pulls.delete(news.name);
    this.problem = news.state === "failed" ? { name: news.name, why: news.error } : null;
    if (news.state === "running") this.#progress(news.name);
    else this.load().catch(this.acts.failed);
  }

  #progress(name) {
    const row = this.body && this.rows.get(name);
    const pull = this.pulls.get(name);
    if (!row || !row.bar) return this.draw();
    if (pull.all > 0) {
      row.bar.max = pull.all;
      row.bar.value = pull.done;
    }
    row.words.textContent = this.#pullWords(pull);
  }

  #pullWords(pull) {
    return pull.all > 0 ? t("downloading", { done: bytes(pull.done), all: bytes(pull.all) }) : bytes(pull.done);
  }

  draw() {
    if (!this.body) return;
    const focus = document.activeElement?.closest?.("li[data-name]");
    const { machine } = this;
    this.rows.clear();
    const here = this.list.filter((model) => model.here);
    const others = this.list.filter((model) => !model.here);
    fill(this.body,
         machine && h("p", { class: "hint" }, t("machineMemory", { all: bytes(machine.memory_bytes),
                                                                   free: bytes(machine.free_bytes) })),
         h("ul", { class: "models" }, [...here, ...others].map((model) => this.#row(model))));
    if (focus) this.rows.get(focus.dataset.name)?.node.querySelector("button")?.focus();
  }

  #row(model) {
    const fit = model.fits === "yes" ? t("fits") : model.fits === "tight" ? t("tight") : t("tooBig");
    const facts = [
      model.params_m && t("parameters", { n: parameters(model.params_m) }),
      model.memory_bytes && t("needs", { size: bytes(model.memory_bytes) }) + " (" + fit + ")",
      model.n_ctx && t("context", { n: count(model.n_ctx) }),
    ].filter(Boolean).join(" · ");
    const state = model.loaded ? t("loaded") : model.here ? t("here") : "";
    const row = { name: model.name };
    row.node = h("li", { data: { name: model.name }, class: model.name === this.current ? "chosen" : null },
      h("div", { class: "model-text" },
        h("strong", null, model.display || model.name), " ",
        state && h("span", { class: model.loaded ? "tag good" : "tag" }, state),
        h("span", { class: "facts" }, facts),
        h("span", { class: "facts" }, t("licence", { name: model.licence || "?" })),
        this.problem?.name === model.name && h("span", { class: "bad" }, t("downloadFailed", { why: this.problem.why }))),
      this.#action(model, row));
    this.rows.set(model.name, row);
    return row.node;
  }

  #action(model, row) {
    if (model.here) {
      const chosen = model.name === this.current;
      return h("button", { type: "button", class: chosen ? "plain-button" : "button", "aria-pressed": String(chosen),
                           "aria-label": `${t(chosen ? "inUse" : "use")}: ${model.display || model.name}`,
                           on: { click: () => this.acts.use(model.name) } },
               chosen ? [icon("check"), t("inUse")] : t("use"));
    }
    const pull = this.pulls.get(model.name);
    if (pull) {
      row.words = h("span", { class: "facts" }, this.#pullWords(pull));
      row.bar = h("progress", { max: pull.all || 1, value: pull.all ? pull.done : null,
                                "aria-label": t("downloadName", { name: model.display || model.name }) });
      return h("div", { class: "pull" }, row.bar, row.words,
        h("button", { type: "button", class: "plain-button", on: { click: () => this.#do(api.pullStop(model.name)) } },
          t("downloadStop")));
    }
    if (!model.may_pull) return null;
    return h("button", { type: "button", class: "plain-button", "aria-label":
                         `${t("download", { size: bytes(model.file_bytes) })}: ${model.display || model.name}`,
                         on: { click: () => this.#download(model) } }, icon("download"),
             t("download", { size: bytes(model.file_bytes) }));
  }

  async #do(promise) {
    try {
      await promise;
      await this.load();
    } catch (why) {
      this.acts.failed(why);
    }
  }

  #download(model) {
    if (!model.terms) return this.#do(api.pull(model.name, false));
    openDialog(model.display || model.name, (body, close) => {
      const box = h("input", { type: "checkbox", required: true });
      body.append(h("form", { on: { submit: (event) => {
        event.preventDefault();
        close();
        this.#do(api.pull(model.name, true));
      } } }, h("p", null, model.terms), h("label", { class: "check" }, box, t("downloadTerms")),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "plain-button", on: { click: close } }, t("cancel")),
          h("button", { type: "submit", class: "button" }, t("download", { size: bytes(model.file_bytes) })))));
    }, { class: "small" });
  }
}
