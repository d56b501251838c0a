// Runs before anything is painted, so that the page does not flash in the other theme. theme.js goes on from here.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("braid-theme");
  } catch {
    // Storage can be forbidden; the system's theme is used then.
  }
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = kept === "light" || kept === "dark" ? kept : system;
})();
