// SPDX-License-Identifier: Apache-2.0
// punycode.js - what markdown-it asks of the module of that name: host names in ASCII. They are never
// turned back, so that no look-alike letters hide where a link leads.
export function toASCII(host) {
  try {
    return new URL("http://" + host).hostname;
  } catch {
    return host;
  }
}
export const toUnicode = (host) => host;
