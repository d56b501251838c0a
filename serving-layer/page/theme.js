// Light or dark: as the system says, until the reader chooses. The choice is kept for this browser.

import { byId } from "./element.js";

const KEPT = "braid-theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

/** Shows the button; calls `changed` when colours are others. */
export function startTheme(changed) {
  const button = byId("theme");
  const show = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light theme" : "Dark theme";
    changed();
  };
  button.addEventListener("click", () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEPT, next);
    } catch {
      // It holds until the page is left.
    }
    show(next);
  });
  systemIsDark.addEventListener("change", () => {
    if (!kept()) show(systemIsDark.matches ? "dark" : "light");
  });
  show(root.dataset.theme);
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** A colour of the theme, as the style sheet names it. */
export const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
