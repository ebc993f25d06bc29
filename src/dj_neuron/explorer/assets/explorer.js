/* What the pages do by themselves: forms, keys, focus. */
(() => {
  "use strict";

  const go = (changes) => {
    const values = new URLSearchParams(window.location.search);
    values.delete("page");
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") values.delete(name);
      else values.set(name, value);
    }
    const text = values.toString();
    window.dash_clientside.set_props("url", { search: text ? `?${text}` : "" });
  };

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".filter-form")) return;
    event.preventDefault();
    const fields = new FormData(event.target);
    const changes = {};
    const label = fields.get("label").trim();
    if (label) changes.label = label;
    const option = event.target.querySelector("select").selectedOptions[0];
    const ends = ["low", "high"].map((name) => {
      const text = fields.get(name).trim().replace(",", ".").replace("\u2212", "-");
      return text === "" ? "" : String(Number(text) / Number(option.dataset.scale));
    });
    const wrong = ends.findIndex((end) => end === "NaN");
    if (wrong >= 0) {
      const box = event.target.querySelector(`[name=${["low", "high"][wrong]}]`);
      box.setCustomValidity("a number, such as 5 or 0.05");
      box.reportValidity();
      return;
    }
    if (ends.some(Boolean)) changes[option.value] = ends.join("..");
    if (Object.keys(changes).length) go(changes);
    event.target.reset();
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest(".filter-form") && event.target.setCustomValidity) event.target.setCustomValidity("");
  });

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input, select, textarea, .scroll, [contenteditable]")) return;
    const step = { ArrowLeft: "#before", k: "#before", ArrowRight: "#after", j: "#after" }[event.key];
    const found = step && document.querySelector(step);
    if (found) {
      event.preventDefault();
      found.click();
    } else if (event.key === " " && !event.target.closest("button, a")) {
      const play = document.querySelector("#play");
      if (play) {
        event.preventDefault();
        play.click();
      }
    }
  });

  let arrivedAt = null;
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    explorer: {
      /* a new page: name the window after it, and bring the reader to its top */
      arrived: (shown) => {
        if (!shown) return window.dash_clientside.no_update;
        document.title = `${shown.title} \u00b7 dj-neuron`;
        const here = window.location.pathname;
        if (arrivedAt !== null && arrivedAt !== here) {
          window.scrollTo(0, 0);
          document.querySelector("#page").focus({ preventScroll: true });
        }
        arrivedAt = here;
        return here;
      },
      go,
    },
  });
})();
