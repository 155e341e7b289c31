// SPDX-License-Identifier: Apache-2.0
// panels.js - the dialogs around a conversation: instructions and sampling, preferences, shortcuts,
// licences.
import { openDialog } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { LANGUAGES, chosenLanguage, t } from "./strings.js";

/* Sampling fields: [name, text key, least, most, step]. */
const FIELDS = [
  ["temperature", "temperature", 0, 2, 0.05, "temperatureHint"],
  ["top_p", "topP", 0, 1, 0.01],
  ["top_k", "topK", 0, 1000, 1],
  ["min_p", "minP", 0, 1, 0.01],
  ["repeat_penalty", "repeatPenalty", 0, 2, 0.05],
  ["max_tokens", "maxTokens", 1, 1000000, 1],
  ["seed", "seed", 0, 9007199254740991, 1],
];

function labelled(words, field, hint) {
  const id = "f-" + Math.random().toString(36).slice(2);
  field.id = id;
  if (hint) field.setAttribute("aria-describedby", id + "-hint");
  return h("div", { class: "field" }, h("label", { for: id }, words), field,
           hint && h("small", { id: id + "-hint" }, hint));
}

/* values: {system, sampling}; save(values, alsoDefault). */
export function openOptions(values, save) {
  openDialog(t("options"), (body, close) => {
    const system = h("textarea", { rows: "5", maxlength: "100000", value: values.system || "" });
    const inputs = FIELDS.map(([name, , min, max, step]) => {
      const value = values.sampling?.[name];
      return h("input", { type: "number", min, max, step: name === "seed" ? 1 : step, inputmode: "decimal",
                          placeholder: t("defaultValue"), value: value ?? "", name });
    });
    const both = h("input", { type: "checkbox" });
    const submit = async (event) => {
      event.preventDefault();
      const sampling = {};
      for (const input of inputs) if (input.value !== "") sampling[input.name] = Number(input.value);
      if (await save({ system: system.value.trim(), sampling }, both.checked)) close();
    };
    body.append(h("form", { on: { submit } },
      labelled(t("systemPrompt"), system, t("systemHint")),
      h("div", { class: "grid" }, inputs.map((input, i) => {
        const [, words, , , , hint] = FIELDS[i];
        return labelled(t(words), input, hint && t(hint));
      })),
      h("label", { class: "check" }, both, t("asDefault")),
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "plain-button", on: { click: () => {
          system.value = "";
          for (const input of inputs) input.value = "";
        } } }, t("reset")),
        h("button", { type: "submit", class: "button" }, t("save")))));
  });
}

function select(choices, value, change) {
  const node = h("select", { on: { change: () => change(node.value) } },
                 choices.map(([key, words]) => h("option", { value: key, selected: key === value }, words)));
  return node;
}

function stored(key, fallback) {
  try {
    return localStorage.getItem(key) || fallback;
  } catch {
    return fallback;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

const NAMES = { en: "English", fr: "Français" };

const SHORTCUTS = [
  ["keySend", "Enter"], ["keyLine", "Shift+Enter"], ["keyStop", "Esc"], ["keyNew", "Ctrl+Shift+O"],
  ["keySearch", "Ctrl+K"], ["keyFocus", "Shift+Esc"], ["keyMessages", "Alt+↑ / Alt+↓"],
  ["keyCopy", "Ctrl+Shift+;"], ["keyHelp", "Ctrl+/"],
];

/* acts: {languageChanged(choice), signOut() or null, import(file), name, version}. */
export function openPreferences(acts) {
  openDialog(t("preferences"), (body, close) => {
    const file = h("input", { type: "file", accept: ".json,application/json", hidden: true, on: { change: () => {
      if (file.files[0]) acts.import(file.files[0]);
      close();
    } } });
    body.append(
      h("div", { class: "grid" },
        labelled(t("language"), select([["auto", t("auto")], ...LANGUAGES.map((l) => [l, NAMES[l]])],
                                       chosenLanguage(), (choice) => {
          store("sobre.language", choice);
          close();
          acts.languageChanged(choice);
        })),
        labelled(t("theme"), select([["auto", t("auto")], ["light", t("light")], ["dark", t("dark")]],
                                    stored("sobre.theme", "auto"), (choice) => {
          store("sobre.theme", choice);
          if (choice === "auto") delete document.documentElement.dataset.theme;
          else document.documentElement.dataset.theme = choice;
        }))),
      h("h3", null, t("shortcuts")),
      h("dl", { class: "keys" }, SHORTCUTS.map(([words, keys]) =>
        h("div", null, h("dt", null, t(words)), h("dd", null, keys.split(/(\+| \/ )/).map((part) =>
          part === "+" || part === " / " ? part : h("kbd", null, part)))))),
      h("div", { class: "buttons start" }, file,
        h("button", { type: "button", class: "plain-button", on: { click: () => file.click() } }, t("importJson")),
        h("button", { type: "button", class: "plain-button", on: { click: openLicences } }, t("licences")),
        acts.signOut && h("button", { type: "button", class: "plain-button", on: { click: acts.signOut } }, t("signOut"))),
      h("p", { class: "hint" }, t("version", { version: acts.version }),
        acts.name ? " · " + t("signedInAs", { name: acts.name }) : ""));
  });
}

/* The file the build made of the licences of what is in the page. */
async function openLicences() {
  const reply = await fetch(__LICENCES__);
  const text = await reply.text();
  openDialog(t("licences"), (body) => {
    body.append(h("p", null, t("licencesLead")),
                h("pre", { class: "licences", tabindex: "0", "aria-label": t("licences") }, text));
  });
}

/* The form that stands in for the page until there is a session. */
export function signInForm(submit) {
  const field = h("input", { type: "password", autocomplete: "current-password", required: true, spellcheck: "false" });
  const wrong = h("p", { class: "bad", role: "alert" });
  const form = h("form", { class: "sign-in", on: { submit: async (event) => {
    event.preventDefault();
    fill(wrong);
    const why = await submit(field.value.trim());
    if (why) fill(wrong, why);
    field.select();
  } } },
    h("h1", null, t("signIn")), h("p", null, t("signInLead")), labelled(t("key"), field), wrong,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "button" }, t("signIn"))));
  return h("main", { class: "sign-in-page" }, form);
}
