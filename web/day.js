// SPDX-License-Identifier: Apache-2.0
// day.js - what a day's answers took, hour by hour: a drawing, and the same as a table.
import { api } from "./api.js";
import { openDialog } from "./dialogs.js";
import { fill, h, iconButton, svg } from "./dom.js";
import { count, dayName, duration, energyText, joules } from "./figures.js";
import { t } from "./strings.js";

const WIDTH = 720;
const HEIGHT = 220;
const LEFT = 58;
const BOTTOM = 26;
const TOP = 12;

/* A round number at or above the largest value: 1, 2 or 5 times a power of ten. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value);
}

/* {measured, estimated} microjoules of an energy object; what nobody tells apart is an estimate. */
function split({ source, energy_uj: uj = 0, energy_uj_estimated: part }) {
  const estimated = part ?? (source === "measured" ? 0 : uj);
  return { measured: uj - estimated, estimated };
}

const hatch = () => svg("defs", null,
  svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { class: "paper", width: 6, height: 6 }), svg("rect", { class: "bar", width: 3, height: 6 })));

/* What a meter counted is full, what was estimated is hatched. */
function bar(x, width, top, height, measured) {
  return svg("rect", { class: measured ? "bar" : "bar guessed", x, width, y: top, height: Math.max(1, height), rx: 2 });
}

function legend(sum) {
  const { measured, estimated } = split(sum);
  const entry = (words, isMeasured) => h("span", null,
    svg("svg", { class: "chart swatch", viewBox: "0 0 16 12", "aria-hidden": "true" }, bar(1, 14, 1, 10, isMeasured)), words);
  return h("p", { class: "legend hint" }, measured > 0 && entry(t("dayMeasured"), true), estimated > 0 && entry(t("dayEstimated"), false));
}

function chart(hours, estimated) {
  const most = ceiling(Math.max(1, ...hours.map((hour) => hour.energy.energy_uj_high || hour.energy.energy_uj || 0)));
  const y = (uj) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - uj / most);
  const step = (WIDTH - LEFT - 8) / 24;
  const lines = [0, 0.5, 1].map((part) => [
    svg("line", { class: "rule", x1: LEFT, x2: WIDTH - 8, y1: y(most * part), y2: y(most * part) }),
    svg("text", { class: "tick", x: LEFT - 8, y: y(most * part) + 4, "text-anchor": "end" }, joules(most * part, 3)),
  ]);
  const bars = hours.map((hour, i) => {
    const { energy_uj: uj = 0, energy_uj_low: lo = uj, energy_uj_high: hi = uj } = hour.energy;
    const x = LEFT + i * step;
    if (!uj) return null;
    const middle = x + step / 2;
    const { measured, estimated: guessed } = split(hour.energy);
    return svg("g", null,
      measured > 0 && bar(x + 3, step - 6, y(measured), y(0) - y(measured), true),
      guessed > 0 && bar(x + 3, step - 6, y(uj), y(measured) - y(uj), false),
      hi > lo && svg("path", { class: "whisker", d: `M${middle} ${y(lo)}V${y(hi)}M${middle - 4} ${y(hi)}h8M${middle - 4} ${y(lo)}h8` }));
  });
  const ticks = [0, 6, 12, 18].map((hour) =>
    svg("text", { class: "tick", x: LEFT + (hour + 0.5) * step, y: HEIGHT - 6, "text-anchor": "middle" }, `${hour}\u00a0h`));
  return svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
                      "aria-label": t("chartLabel", { max: joules(Math.max(0, ...hours.map((hour) => hour.energy.energy_uj || 0)),
                                                                  estimated ? 1 : 3) }) }, hatch(), lines, bars, ticks);
}

function table(hours, mixed) {
  const rows = hours.map((hour, i) => ({ ...hour, i })).filter((hour) => hour.answers);
  return h("details", null, h("summary", null, t("dayTable")),
    h("table", null,
      h("thead", null, h("tr", null, [t("hour"), t("energy"), mixed && t("dayMeasured"), mixed && t("dayEstimated"),
                                     t("answers"), t("tokensHead")].map((words) => words && h("th", { scope: "col" }, words)))),
      h("tbody", null, rows.map((hour) => {
        const { short, range } = energyText(hour.energy);
        const { measured, estimated } = split(hour.energy);
        return h("tr", null, h("th", { scope: "row" }, `${hour.i}\u00a0h`), h("td", null, short, range && ` (${range})`),
                 mixed && h("td", null, joules(measured, 3)), mixed && h("td", null, joules(estimated, 1)),
                 h("td", null, count(hour.answers)), h("td", null, count(hour.tokens)));
      }))));
}

/* What the key may still use today. */
function budgetLine({ limit_uj: limit, left_uj: left, renews_s: renews }) {
  const time = duration(renews);
  const words = left > 0 ? t("budgetLeft", { left: joules(left, 3), limit: joules(limit, 3), time }) : t("budgetGone", { limit: joules(limit, 3), time });
  return h("p", { class: "budget" }, h("progress", { max: limit, value: left, "aria-label": t("budget") }), " ", words);
}

function sumLine({ energy, answers, tokens }) {
  const { measured, estimated } = split(energy);
  const { short, range } = energyText(energy);
  const both = [t("energyMeasured", { j: joules(measured, 3) }), t("energyEstimated", { j: joules(estimated, 1) })].join(" + ");
  const words = measured > 0 && estimated > 0 ? both : range ? `${short} (${range})` : short;
  return h("p", null, t("daySum", { energy: words, answers: count(answers), tokens: count(tokens) }));
}

export function openDay(failed) {
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  const title = h("strong");
  const box = h("div", { class: "day-box" });
  const draw = async () => {
    title.textContent = dayName(day);
    const to = new Date(day);
    to.setDate(to.getDate() + 1);
    next.disabled = to > new Date();
    try {
      const { hours, sum, budget } = await api.energy({ from: day.getTime() / 1000, hours: 24 });
      const { measured, estimated } = split(sum.energy);
      fill(box, budget && budgetLine(budget), sum.answers
        ? [sumLine(sum), chart(hours, estimated > 0), legend(sum.energy), table(hours, measured > 0 && estimated > 0)]
        : h("p", { class: "hint" }, t("dayNone")));
    } catch (why) {
      failed(why);
    }
  };
  const move = (by) => () => {
    day.setDate(day.getDate() + by);
    draw();
  };
  const next = iconButton("right", t("dayNext"), move(1));
  openDialog(t("day"), (body) => {
    body.append(h("div", { class: "day-head" }, iconButton("left", t("dayPrev"), move(-1)), title, next), box);
  }, { class: "wide" });
  draw();
}
