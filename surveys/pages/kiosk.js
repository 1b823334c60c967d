"use strict";
// A survey device goes back to its first screen by itself, and shows nobody what the one before saw.
(() => {
  const main = document.querySelector("main"), bar = document.querySelector("[data-left]"), home = "/kiosk";
  const reset = () => location.replace(home); // in place of this page, so that "back" does not lead to it
  let last = Date.now();

  // The first screen notes when it was shown, in real time; forms begun before that are of somebody else.
  // Going back or forward shows the first screen, and a page that is left hides at once.
  const { now, shown } = main.dataset;
  if (now) sessionStorage.since = now;
  const [came] = performance.getEntriesByType("navigation");
  if (shown && Number(shown) < Number(sessionStorage.since || 0)) reset();
  else if (!now && came && came.type === "back_forward") reset();
  addEventListener("pagehide", () => {
    main.hidden = true;
  });
  addEventListener("pageshow", event => {
    if (event.persisted) reset();
  });
  for (const link of document.querySelectorAll(`a[href^="${home}"]`))
    link.addEventListener("click", event => {
      event.preventDefault();
      location.replace(link.href);
    });

  if (!bar) return;
  const [before, after] = bar.dataset.left.split("{n}"), idle = Number(bar.dataset.idle);
  const stir = () => {
    last = Date.now();
  };
  for (const sign of ["pointerdown", "keydown", "input", "wheel", "touchmove", "timeupdate"]) addEventListener(sign, stir, { capture: true, passive: true });
  const tick = () => {
    const left = Math.ceil((last + idle * 1e3 - Date.now()) / 1e3);
    bar.textContent = before + Math.max(left, 0) + after;
    if (left <= 0) reset();
  };
  bar.hidden = false;
  tick();
  setInterval(tick, 500);
})();
