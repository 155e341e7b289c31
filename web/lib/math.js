// SPDX-License-Identifier: Apache-2.0
// math.js - formulas by KaTeX, as nodes; loaded when the first one is met.
import katex from "katex/katex.mjs";

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = __FORMULA_CSS__;
document.head.append(sheet);

/* KaTeX writes a `style` attribute on two kinds of MathML node, which the page's policy refuses (and
 * which only browsers that draw MathML themselves would look at); everything else goes through
 * element.style. */
function unstyle(node) {
  if (node.attributes && node.attributes.style) delete node.attributes.style;
  for (const child of node.children || []) unstyle(child);
}

/* A node for TeX; text that is no TeX comes back as KaTeX shows errors. */
export function draw(tex, display) {
  const tree = katex.__renderToDomTree(tex, {
    displayMode: display, throwOnError: false, trust: false, strict: "ignore",
    maxSize: 20, maxExpand: 500, output: "htmlAndMathml",
  });
  unstyle(tree);
  return tree.toNode();
}
