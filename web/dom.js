// SPDX-License-Identifier: Apache-2.0
// dom.js - elements from names, properties and children; text is always a text node.
const SVG = "http://www.w3.org/2000/svg";

function put(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/* An element. Properties: `on` = {event: handler}, `data` = dataset, `class`, otherwise an attribute;
 * true stands for an empty one, false and null for none. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (key === "data") {
      Object.assign(node.dataset, value);
    } else if (key === "value") {
      node.value = value;
    } else {
      node.setAttribute(key, value === true ? "" : String(value));
    }
  }
  return put(node, children);
}

export function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props || {})) node.setAttribute(key, String(value));
  return put(node, children);
}

export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, children);
}

const PATHS = {
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  again: "M19 12a7 7 0 1 1-2.1-5M19 4v4h-4",
  edit: "M5 19h3.5L19 8.5 15.5 5 5 15.5z",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  chevron: "M7 10l5 5 5-5",
  clip: "M19 11.5l-7.5 7.5a4.6 4.6 0 0 1-6.5-6.5L13 4.5a3 3 0 0 1 4.3 4.3l-8 8a1.5 1.5 0 0 1-2.1-2.1L14 8",
  sliders: "M4 8h9M17 8h3M4 16h3M11 16h9M15 6v4M9 14v4",
  chart: "M5 19V11M12 19V5M19 19v-6",
  leaf: "M12 3.5c4.2 5 6 7.3 6 10.3a6 6 0 0 1-12 0c0-3 1.8-5.3 6-10.3z",
  help: "M9.5 9.5a2.6 2.6 0 1 1 3.6 2.5c-.8.4-1.1 1-1.1 2M12 17.5h.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  file: "M7 3.5h7l4 4V20.5H7zM14 3.5v4h4",
  out: "M10 5H5v14h5M15 8l4 4-4 4M9 12h10",
  model: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
             svg("path", { d: PATHS[name] }));
}

/* A button with a picture; its words are its label and its tip. */
export function iconButton(name, label, onclick, props) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label,
                       on: { click: onclick }, ...props }, icon(name));
}
