// SPDX-License-Identifier: Apache-2.0
// api.js - the page's own routes under sobre/v1/ (docs/page-api.md), and the feed of events.
const ROOT = "sobre/v1/";

/* What the server said when it refused: its words, its status, and when to try again. */
export class Refused extends Error {
  constructor(status, body, retryAfter) {
    super(body?.error?.message || String(status));
    this.status = status;
    this.code = body?.error?.code || "";
    this.retryAfter = Number(retryAfter) || 0;
  }
}

let onSignedOut = () => {};
export function whenSignedOut(handler) {
  onSignedOut = handler;
}

export async function call(method, path, body) {
  const options = { method, headers: { Accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const reply = await fetch(ROOT + path, options);
  const read = await reply.json().catch(() => null);
  if (!reply.ok) {
    const refused = new Refused(reply.status, read, reply.headers.get("Retry-After"));
    if (reply.status === 401 && path !== "session") onSignedOut();
    throw refused;
  }
  return read;
}

const id = encodeURIComponent;
function query(values) {
  const given = Object.entries(values).filter(([, v]) => v !== undefined && v !== null && v !== "");
  return given.length ? "?" + new URLSearchParams(given) : "";
}

export const api = {
  hello: () => call("GET", "hello"),
  signIn: (key) => call("POST", "session", { key }),
  signOut: () => call("DELETE", "session"),
  list: (values) => call("GET", "conversations" + query(values)),
  create: (values) => call("POST", "conversations", values),
  get: (c) => call("GET", "conversations/" + id(c)),
  change: (c, values) => call("PATCH", "conversations/" + id(c), values),
  remove: (c) => call("DELETE", "conversations/" + id(c)),
  messages: (c, values) => call("GET", `conversations/${id(c)}/messages${query(values)}`),
  message: (c, m) => call("GET", `conversations/${id(c)}/messages/${id(m)}`),
  send: (c, values) => call("POST", `conversations/${id(c)}/messages`, values),
  again: (c, m) => call("POST", `conversations/${id(c)}/messages/${id(m)}/again`, {}),
  stop: (c, m) => call("POST", `conversations/${id(c)}/messages/${id(m)}/stop`, {}),
  branch: (c, m) => call("POST", `conversations/${id(c)}/branch`, { message: m }),
  models: () => call("GET", "models"),
  pull: (name, terms) => call("POST", `models/${id(name)}/pull`, { accept_terms: terms }),
  pullStop: (name) => call("DELETE", `models/${id(name)}/pull`),
  receipt: (answer) => call("GET", "receipts/" + id(answer)),
  receiptUrl: (answer) => `${ROOT}receipts/${id(answer)}`,
  receiptKeysUrl: ROOT + "receipt-key",
  energy: (values) => call("GET", "energy" + query(values)),
  import: (value) => call("POST", "import", value),
  exportUrl: (c, format) => `${ROOT}conversations/${id(c)}/export?format=${format}`,
};

/* One open connection for all that happens: the owner's conversations, and the answer that grows in
 * the one that is shown. The browser takes it up again by itself, and is told the answer from where
 * it was when the feed was opened; what is known of it is passed over. A hidden page that shows no
 * growing answer lets go of it. */
export class Feed {
  #source = null;
  #what = null;
  #handlers;
  #busy = () => false;

  constructor(handlers, busy) {
    this.#handlers = handlers;
    this.#busy = busy;
    document.addEventListener("visibilitychange", () => this.settle());
  }

  /* c: the conversation shown, or null; have: "MESSAGE:REASONING:TEXT", bytes of it known. */
  open(c, have) {
    this.close();
    this.#what = { c, have };
    const source = new EventSource(`${ROOT}events${query({ c, have })}`);
    this.#source = source;
    for (const [name, handler] of Object.entries(this.#handlers)) {
      if (name === "lost") continue;
      source.addEventListener(name, (event) => {
        if (source === this.#source) handler(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      if (source === this.#source) this.#handlers.lost(source.readyState === EventSource.CLOSED);
    });
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }

  /* Lets go while nobody looks, comes back when somebody does. */
  settle() {
    if (!this.#what) return;
    if (document.hidden && this.#source && !this.#busy()) this.close();
    else if (!document.hidden && !this.#source) this.#handlers.back();
  }

  forget() {
    this.close();
    this.#what = null;
  }
}
