// SPDX-License-Identifier: Apache-2.0
// colour.js - code in colours by highlight.js, as nodes; loaded when the first code block is met.
import hljs from "highlight.js/lib/highlight.js";
import bash from "highlight.js/lib/languages/bash.js";
import cpp from "highlight.js/lib/languages/cpp.js";
import cs from "highlight.js/lib/languages/cs.js";
import css from "highlight.js/lib/languages/css.js";
import diff from "highlight.js/lib/languages/diff.js";
import dockerfile from "highlight.js/lib/languages/dockerfile.js";
import go from "highlight.js/lib/languages/go.js";
import haskell from "highlight.js/lib/languages/haskell.js";
import ini from "highlight.js/lib/languages/ini.js";
import java from "highlight.js/lib/languages/java.js";
import javascript from "highlight.js/lib/languages/javascript.js";
import json from "highlight.js/lib/languages/json.js";
import kotlin from "highlight.js/lib/languages/kotlin.js";
import latex from "highlight.js/lib/languages/tex.js";
import lua from "highlight.js/lib/languages/lua.js";
import makefile from "highlight.js/lib/languages/makefile.js";
import markdown from "highlight.js/lib/languages/markdown.js";
import nginx from "highlight.js/lib/languages/nginx.js";
import perl from "highlight.js/lib/languages/perl.js";
import php from "highlight.js/lib/languages/php.js";
import python from "highlight.js/lib/languages/python.js";
import r from "highlight.js/lib/languages/r.js";
import ruby from "highlight.js/lib/languages/ruby.js";
import rust from "highlight.js/lib/languages/rust.js";
import scala from "highlight.js/lib/languages/scala.js";
import sql from "highlight.js/lib/languages/sql.js";
import swift from "highlight.js/lib/languages/swift.js";
import typescript from "highlight.js/lib/languages/typescript.js";
import x86asm from "highlight.js/lib/languages/x86asm.js";
import xml from "highlight.js/lib/languages/xml.js";
import yaml from "highlight.js/lib/languages/yaml.js";

const known = { bash, cpp, cs, css, diff, dockerfile, go, haskell, ini, java, javascript, json, kotlin,
                latex, lua, makefile, markdown, nginx, perl, php, python, r, ruby, rust, scala, sql,
                swift, typescript, x86asm, xml, yaml };
for (const [name, language] of Object.entries(known)) hljs.registerLanguage(name, language);

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };
const PIECE = /<span class="([a-zA-Z0-9_ -]*)">|<\/span>|&(?:amp|lt|gt|quot|#x27);/g;

/* highlight.js answers in HTML of one shape: spans with a class, and escaped text. It is read as
 * exactly that; anything else in it stays text. */
export function nodes(html) {
  const root = document.createDocumentFragment();
  const open = [root];
  let text = "";
  let at = 0;
  const flush = () => {
    if (text) open[open.length - 1].append(text);
    text = "";
  };
  for (const found of html.matchAll(PIECE)) {
    text += html.slice(at, found.index);
    at = found.index + found[0].length;
    if (found[0][0] === "&") {
      text += ENTITIES[found[0]];
    } else if (found[1] !== undefined) {
      flush();
      const span = document.createElement("span");
      span.className = found[1];
      open[open.length - 1].append(span);
      open.push(span);
    } else {
      flush();
      if (open.length > 1) open.pop();
    }
  }
  text += html.slice(at);
  flush();
  return root;
}

/* The code's nodes, or null where the language is not known. */
export function paint(code, language) {
  if (!hljs.getLanguage(language)) return null;
  return nodes(hljs.highlight(language, code, true).value);
}
