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
    /* on a picture of blocks the arrows choose a block */
    if (event.target.closest(".graph.blocks") && event.key.startsWith("Arrow")) return;
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

  document.addEventListener("change", (event) => {
    if (event.target.matches("select.beside")) go({ with_neuron: event.target.value });
  });

  const reached = (data) => (data && data.points && data.points.length ? data.points[0] : null);

  /* -- the table: plain elements, whose texts are never taken for HTML -- */

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const link = (pathname, search, attributes, ...children) => {
    const made = element("a", { href: `${pathname}${search}`, ...attributes }, ...children);
    made.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      window.dash_clientside.set_props("url", { pathname, search: search === "?" ? "" : search });
    });
    return made;
  };

  const ARROWS = { ascending: "\u25b2", descending: "\u25bc", none: "" };

  const head = (one) => {
    const attributes = { scope: "col", class: one.isLeft ? "left" : "", "aria-sort": one.sorted };
    const unit = element("span", { class: "unit" }, one.unit || "");
    if (!one.search) return element("th", attributes, one.text);
    const arrow = element("span", { class: "arrow", "aria-hidden": "true" }, ARROWS[one.sorted]);
    return element("th", attributes, link(window.location.pathname, one.search, { title: one.title }, ...(one.isLeft ? [one.text, arrow] : [arrow, one.text]), unit));
  };

  const row = (one) => {
    const name = element("th", { scope: "row", class: "left" }, link(one.pathname, one.search, { class: "row-link" }, one.number));
    if (one.label) name.append(element("span", { class: "label" }, one.label));
    const made = element("tr", {}, name);
    if (one.recording) made.append(element("td", { class: "left recording" }, one.recording));
    for (const text of one.cells) {
      const isBadge = text === "ON" || text === "OFF";
      const inside = isBadge ? element("span", { class: `badge ${text.toLowerCase()}` }, text) : text;
      made.append(element("td", { class: text === "\u2014" ? "unknown" : "" }, inside));
    }
    return made;
  };

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
      drawRows: (data) => {
        if (!data) return window.dash_clientside.no_update;
        const table = element(
          "table",
          { class: "neurons" },
          element("thead", {}, element("tr", {}, ...data.heads.map(head))),
          element("tbody", {}, ...data.rows.map(row)),
        );
        document.querySelector("#drawn-rows").replaceChildren(table);
        return "scroll";
      },
      openNeuron: (data, className) => {
        const point = reached(data);
        if (point && point.customdata !== undefined) {
          const path = window.location.pathname.replace(/^\/stimulation\//, "/neuron/");
          const row = new URLSearchParams(window.location.search).get("row");
          const search = row ? `?row=${row}` : "";
          window.dash_clientside.set_props("url", { pathname: `${path}/${[point.customdata].flat()[0]}`, search });
        }
        return className || "";
      },
      narrow: (data, className, id) => {
        if (data && data.range && data.range.x) {
          const name = id.replace("distribution-", "");
          const scale = Number(document.querySelector(`.filter-form option[value=${name}]`).dataset.scale);
          const ends = data.range.x.map((end) => Number((end / scale).toPrecision(4))).sort((a, b) => a - b);
          go({ [name]: ends.join("..") });
        }
        return className || "";
      },
      go,
      reached,
    },
  });
})();
