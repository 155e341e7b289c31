// SPDX-License-Identifier: Apache-2.0
// theme.js - puts the chosen colours on the page before anything is painted.
try {
  const theme = localStorage.getItem("sobre.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's colours hold.
}
