// SPDX-License-Identifier: Apache-2.0
// receipt.js - the energy receipt of an answer: what it is made of, who says so, how sure that is, and how
// anybody can check it.
import { api } from "./api.js";
import { openDialog } from "./dialogs.js";
import { fill, h, icon, iconButton, svg } from "./dom.js";
import { count, digits, joules, moment } from "./figures.js";
import { copyText } from "./markdown.js";
import { t } from "./strings.js";

const ASK_AGAIN_MS = 1000;
const ASK_AT_MOST = 30; // a tick is closed within seconds

/* As many digits as a figure of this kind has (receipt_kind.h). */
const DIGITS = { meter: 3, calibrated: 2 };
const digitsOf = (receipt) => DIGITS[receipt.source.kind] || 1;
const range = ([lo, hi], most) => t("energyRange", { lo: joules(lo, most), hi: joules(hi, most) });

/* What a figure is called follows from its kind alone. */
function amount(receipt) {
  const { energy_uj: uj, source } = receipt;
  if (uj === null || source.kind === "none") return t("energyNone");
  return t(source.kind === "meter" ? "energyMeasured" : "energyEstimated", { j: joules(uj, digitsOf(receipt)) });
}

function parts(receipt) {
  const { parts: of, energy_uj: all } = receipt;
  return h("table", { class: "parts" },
    h("caption", null, t("receiptParts")),
    h("tbody", null, [["partPrefill", of.prefill], ["partDecode", of.decode], ["partRecompute", of.recompute]].map(([key, uj]) =>
      h("tr", null, h("th", { scope: "row" }, t(key)), h("td", { class: "right" }, joules(uj, digitsOf(receipt))),
        h("td", { class: "share" }, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { class: "bar", width: all ? (100 * uj) / all : 0, height: 8 })))))));
}

/* The server's own words, which are English. */
const told = (words) => h("span", { lang: "en" }, words);

function energyRows(receipt) {
  const { source, u95_uj: u95, split_range_uj: split, estimated_uj: guessed } = receipt;
  const most = digitsOf(receipt);
  return [
    ["receiptRange", range(u95, most)],
    source.kind === "meter" && guessed > 0 && ["receiptGuessed", joules(guessed, 1)],
    ["receiptSplit", range(split, most)],
    ["receiptBeside", digits(receipt.concurrency_mean, 2)],
  ];
}

/* The same answer at the wall: beside its energy, and never a measurement. */
function wallRow({ wall }) {
  if (!wall) return false;
  const most = DIGITS.calibrated;
  return ["receiptWall", t("wall", { j: joules(wall.wall_uj, most), range: range(wall.u95_uj, most), n: count(wall.loads),
                                     error: digits(wall.mean_error_permille / 10, 2) })];
}

function footprintRows({ co2e, cost, ...receipt }) {
  const most = digitsOf(receipt);
  const kinds = { average: t("gridAverage"), marginal: t("gridMarginal"), market: t("gridMarket"), given: t("gridGiven"), live: t("gridLive") };
  return [
    co2e && ["receiptGrid", [t("grid", { mg: digits(co2e.mg, most), g: digits(co2e.g_per_kwh, 3) }), ": ",
                             [co2e.zone, co2e.year, kinds[co2e.kind]].filter(Boolean).join(", "), "; ", told([co2e.source, co2e.note].filter(Boolean).join("; "))]],
    cost && ["receiptCost", t("cost", { amount: digits(Number(cost.amount), most), per: digits(Number(cost.per_kwh), 4),
                                        currency: cost.currency || "¤" })],
  ];
}

function facts(receipt) {
  const { source, tokens, energy_uj: uj } = receipt;
  const rows = [
    ["receiptSource", [t(source.kind === "meter" ? "labelMeasured" : source.kind === "none" ? "energyNone" : "labelEstimated"),
                       source.meter && ": ", told([source.meter, source.scope.split("; not ")[0]].filter(Boolean).join(", "))]],
    ...(uj === null ? [] : energyRows(receipt)),
    ["tokensHead", [t("receiptTokensOf", { in: count(tokens.in), cached: count(tokens.cached), out: count(tokens.out) }),
                    tokens.rejected > 0 && ", ", tokens.rejected > 0 && t("receiptRejected", { n: count(tokens.rejected) })]],
    receipt.avoided_uj > 0 && ["receiptSpared", t("spared", { j: joules(receipt.avoided_uj, 1) })],
    source.excludes.length > 0 && ["receiptExcludes", told(source.excludes.join(", "))],
    ...(uj === null ? [] : [wallRow(receipt), ...footprintRows(receipt)]),
    ["receiptState", t(receipt.settled ? "receiptSettled" : "receiptProvisional")],
    ["receiptTime", moment(new Date(receipt.time))],
    receipt.settled && ["receiptKey", h("code", null, receipt.key_id)],
    receipt.settled && ["receiptHash", h("code", null, receipt.hash)],
  ].filter(Boolean);
  return h("dl", { class: "receipt-facts" }, rows.map(([key, value]) => h("div", null, h("dt", null, t(key)), h("dd", null, value))));
}

/* Only what is settled is signed, so only that can be checked elsewhere. */
function check(receipt) {
  const file = `sobre-receipt-${receipt.id}.json`;
  const command = `sobre energy verify ${file}`;
  const copy = iconButton("copy", t("receiptCopy"), () => copyText(command, copy));
  return [
    h("div", { class: "code" },
      h("div", { class: "code-head" }, h("span", null, t("receiptVerify")), copy),
      h("pre", { tabindex: "0", "aria-label": t("receiptVerify") }, h("code", null, command))),
    h("p", { class: "hint" }, t("receiptElsewhere"), " ",
      h("a", { href: api.receiptKeysUrl, download: "sobre-receipt-keys.json" }, t("receiptKeys"))),
    h("div", { class: "buttons" },
      h("a", { class: "button", href: api.receiptUrl(receipt.id), download: file }, icon("download"), t("exportJson"))),
  ];
}

/* id: of the answer, as its usage tells it. */
export function openReceipt(id) {
  const box = h("div", { class: "receipt" }, h("p", { class: "hint", role: "status" }, t("receiptLoading")));
  const dialog = openDialog(t("receipt"), (body) => body.append(box));
  box.addEventListener("notice", (event) => box.append(h("p", { class: "bad", role: "alert" }, event.detail)));
  const show = async (asked) => {
    try {
      const receipt = await api.receipt(id);
      if (!dialog.isConnected) return;
      fill(box, h("p", { class: "receipt-sum" }, h("strong", null, amount(receipt)), " ", h("span", { class: "hint" }, receipt.model)),
           receipt.energy_uj !== null && parts(receipt), facts(receipt), receipt.settled && check(receipt));
      if (!receipt.settled && asked < ASK_AT_MOST) setTimeout(() => dialog.isConnected && show(asked + 1), ASK_AGAIN_MS);
    } catch (why) {
      fill(box, h("p", { class: why.status === 404 ? "hint" : "bad", role: "alert" },
                  why.status === 404 ? t("receiptNone") : t("error", { why: why.message })));
    }
  };
  show(0);
}
