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

  /* -- the STRF: every delay is in the browser already -- */

  const note = (changes) => {
    /* the address follows what is looked at, without a step of the back button for each */
    const values = new URLSearchParams(window.location.search);
    for (const [name, value] of Object.entries(changes)) values.set(name, value);
    window.history.replaceState(window.history.state, "", `?${values}`);
  };

  const plotIn = (id) => document.querySelector(`#${id} .js-plotly-plot`);

  const delayWords = (ms) => {
    const text = `${Math.abs(ms).toFixed(1).replace(/\.0$/, "")} ms`;
    if (ms < 0) return `${text} after the spike: noise only`;
    return ms > 0 ? `${text} before the spike` : "at the spike";
  };

  const nearest = (delays, ms) =>
    delays.reduce((best, delay, index) => (Math.abs(delay - ms) < Math.abs(delays[best] - ms) ? index : best), 0);

  const MISSING = -32768;

  /* one delay of an array that Python packed: rows of numbers, null where there is none */
  const unpacked = (packed, index, [nY, nX]) => {
    const bytes = Uint8Array.from(window.atob(packed.frames[index]), (letter) => letter.charCodeAt(0));
    const whole = new DataView(bytes.buffer);
    return Array.from({ length: nY }, (_, row) =>
      Array.from({ length: nX }, (__, column) => {
        const value = whole.getInt16(2 * (row * nX + column), true);
        return value === MISSING ? null : value * packed.step;
      }),
    );
  };

  const tracesNamed = (picture, name) => picture.data.flatMap((trace, index) => (trace.name === name ? [index] : []));

  const moveMarker = (picture, ms) => {
    if (!picture) return;
    const index = (picture.layout.shapes || []).findIndex((shape) => shape.name === "delay marker");
    if (index >= 0) window.Plotly.relayout(picture, { [`shapes[${index}].x0`]: ms, [`shapes[${index}].x1`]: ms });
  };

  const drawDelay = (frame, index, overlays) => {
    const picture = plotIn(`strf-${frame.side}`);
    const ms = frame.delays_ms[index];
    moveMarker(plotIn(`course-${frame.side}`), ms);
    if (!picture) return;
    if (frame.is_bars) moveMarker(picture, ms);
    else {
      const image = { z: [unpacked(frame.values, index, frame.shape)] };
      if (frame.z) image.customdata = [unpacked(frame.z, index, frame.shape)];
      window.Plotly.restyle(picture, image, [0]);
      const outline = frame.outlines[index];
      if (outline) window.Plotly.restyle(picture, { x: [outline.x], y: [outline.y] }, tracesNamed(picture, "significant"));
    }
    for (const name of ["fit", "significant"]) {
      const traces = tracesNamed(picture, name);
      if (traces.length) window.Plotly.restyle(picture, { visible: overlays.includes(name) }, traces);
    }
  };

  const frameBlock = (frame, [row, column]) => {
    const picture = plotIn(`strf-${frame.side}`);
    const traces = picture ? tracesNamed(picture, "chosen block") : [];
    if (!traces.length) return;
    const { width_um: width, height_um: height } = frame.block;
    if (frame.is_bars) {
      const [at, size] = frame.shape[0] === 1 ? [column, width] : [row, height];
      window.Plotly.restyle(picture, { y: [[at, at, at + 1, at + 1, at].map((edge) => edge * size)] }, traces);
      return;
    }
    const x = [column, column + 1, column + 1, column, column].map((edge) => edge * width);
    const y = [row, row, row + 1, row + 1, row].map((edge) => edge * height);
    window.Plotly.restyle(picture, { x: [x], y: [y] }, traces);
  };

  const play = document.querySelector("#play");
      if (play) {
        event.preventDefault();
        play.click();
      }
    }
  });

  /* -- the STRF: every delay is in the browser already -- */

  const note = (changes) => {
    /* the address follows what is looked at, without a step of the back button for each */
    const values = new URLSearchParams(window.location.search);
    for (const [name, value] of Object.entries(changes)) values.set(name, value);
    window.history.replaceState(window.history.state, "", `?${values}`);
  };

  const plotIn = (id) => document.querySelector(`#${id} .js-plotly-plot`);

  const delayWords = (ms) => {
    const text = `${Math.abs(ms).toFixed(1).replace(/\.0$/, "")} ms`;
    if (ms < 0) return `${text} after the spike: noise only`;
    return ms > 0 ? `${text} before the spike` : "at the spike";
  };

  const nearest = (delays, ms) =>
    delays.reduce((best, delay, index) => (Math.abs(delay - ms) < Math.abs(delays[best] - ms) ? index : best), 0);

  const drawDelay = (frame, index, overlays) => {
    const picture = plotIn(`strf-${frame.side}`);
    if (picture) window.Plotly.restyle(picture, { z: [frame.values[index]] }, [0]);
  };

  const play = () => {
    const button = document.querySelector("#play");
    if (!button) return;
    if (play.timer) {
      window.clearInterval(play.timer);
      play.timer = null;
      button.textContent = "\u25b6 Play";
      return;
    }
    button.textContent = "\u275a\u275a Pause";
    play.timer = window.setInterval(() => {
      const slider = document.querySelector("#delay");
      if (!slider || !document.body.contains(button)) {
        window.clearInterval(play.timer);
        play.timer = null;
        return;
      }
      /* towards the spike, as time runs: from the longest delay down */
      const at = Number(slider.value) - 1;
      window.dash_clientside.set_props("delay", { value: at < Number(slider.min) ? Number(slider.max) : at });
    }, 160);
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest("#play")) play();
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
    return element("th", attributes, link(window.location.pathname, one.search, { title: one.title }, arrow, one.text, unit));
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
      showDelay: (index, overlays, frames) => {
        if (!frames || !frames.length) return window.dash_clientside.no_update;
        const ms = frames[0].delays_ms[index];
        for (const frame of frames) drawDelay(frame, nearest(frame.delays_ms, ms), overlays);
        note({ delay: Math.round(ms * 100) / 100 });
        return delayWords(ms);
      },
      blockChosen: (block, frames) => {
        if (!block) return window.dash_clientside.no_update;
        const frame = (frames || []).find((one) => one.side === block.side);
        if (frame) frameBlock(frame, block.place);
        if (block.side === "a") note({ block: block.place.join(",") });
        return block;
      },
      spikeChosen: (data) => {
        const point = reached(data);
        if (!point || point.customdata === undefined) return window.dash_clientside.no_update;
        const spike = Number([point.customdata].flat()[0]);
        note({ spike });
        return spike;
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
    },
  });
})();
