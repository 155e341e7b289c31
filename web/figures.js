// SPDX-License-Identifier: Apache-2.0
// figures.js - numbers as people read them: sizes, times, speeds, joules with an honest label.
import { language, locale, t } from "./strings.js";

const formats = new Map();

function number(value, options) {
  const key = language() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(locale(), options));
  return formats.get(key).format(value);
}

export const count = (n) => number(n, { maximumFractionDigits: 0 });
export const digits = (n, most) => number(n, { maximumSignificantDigits: most });

function scaled(value, step, units, most) {
  let i = 0;
  while (i < units.length - 1 && value >= step) {
    value /= step;
    i++;
  }
  return digits(value, most) + "\u00a0" + units[i];
}

export function bytes(n) {
  const b = language() === "fr" ? "o" : "B";
  return scaled(n, 1000, [b, "k" + b, "M" + b, "G" + b, "T" + b], 3);
}

export const parameters = (millions) =>
  millions >= 1000 ? digits(millions / 1000, 2) + (language() === "fr" ? "\u00a0Md" : "\u00a0B") : digits(millions, 3) + "\u00a0M";

export function duration(seconds) {
  if (seconds < 10) return t("seconds", { n: digits(seconds, 2) });
  if (seconds < 90) return t("seconds", { n: count(seconds) });
  if (seconds < 5400) return t("minutes", { n: count(seconds / 60) });
  return t("hours", { n: digits(seconds / 3600, 2) });
}

export const speed = (n) => t("speed", { n: digits(n, n < 100 ? 2 : 3) });

/* A meter earns three digits, an estimate that nobody calibrated one. */
export function joules(uj, most) {
  const j = uj / 1e6;
  if (j === 0) return "0\u00a0J";
  if (j < 1e-3) return digits(uj, most) + "\u00a0µJ";
  if (j < 1) return scaled(j * 1000, 1000, ["mJ", "J"], most);
  return scaled(j, 1000, ["J", "kJ", "MJ", "GJ"], most);
}

/* {short, range} of an energy object of the API; range is "" where none is known. */
export function energyText(energy) {
  if (!energy || energy.energy_uj === undefined || energy.source === "unavailable") {
    return { short: t("energyNone"), range: "" };
  }
  const measured = energy.source === "measured";
  const most = measured ? 3 : 1;
  const j = joules(energy.energy_uj, most);
  const lo = joules(energy.energy_uj_low, most);
  const hi = joules(energy.energy_uj_high, most);
  return {
    short: t(measured ? "energyMeasured" : "energyEstimated", { j }),
    range: energy.energy_uj_high > energy.energy_uj_low ? t("energyRange", { lo, hi }) : "",
  };
}

export const moment = (date) => date.toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });

export const dayName = (date) =>
  date.toLocaleDateString(locale(), { weekday: "long", day: "numeric", month: "long" });
