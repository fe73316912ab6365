// Loaded before the page is drawn, so that a dark room stays dark.
"use strict";
(() => {
  const root = document.documentElement;
  const read = () => { try { return localStorage.getItem("pantau-theme"); } catch { return null; } };
  const set = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  set(read());
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      const next = dark ? "light" : "dark";
      try { localStorage.setItem("pantau-theme", next); } catch { /* private mode: for this page only */ }
      set(next);
      document.dispatchEvent(new CustomEvent("themechange"));
    });
  });
})();
