/* The page of a neuron: its delays, blocks and spikes. */
(() => {
  "use strict";

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

  const tracesNamed = (picture, name) => picture.data.flatMap((trace, index) => (trace.name === name ? [index] : []));

  const drawDelay = (frame, index, overlays) => {
    const picture = plotIn(`strf-${frame.side}`);
    const course = plotIn(`course-${frame.side}`);
    if (picture) window.strfFrames.show(picture, frame, index, overlays);
    if (course) window.strfFrames.mark(course, frame.delays_ms[index]);
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

  /* Arrow keys move the chosen block of a picture that has the focus, as clicks would. */
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  document.addEventListener("keydown", (event) => {
    const box = event.target.closest(".graph.blocks");
    const picture = box && box.querySelector(".js-plotly-plot");
    if (!picture || !STEPS[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    const traces = tracesNamed(picture, "chosen block");
    if (!traces.length) return;
    event.preventDefault();
    const { xaxis, yaxis } = picture._fullLayout;
    const { x, y } = picture._fullData[traces[0]];
    const moved = (places, { range }, n) => {
      const [low, high] = [Math.min(...places), Math.max(...places)];
      const by = n * (high - low) * Math.sign(range[1] - range[0]);
      const centre = (low + high) / 2 + by;
      return { centre, places: Array.from(places, (place) => place + by), isThere: (centre - range[0]) * (centre - range[1]) < 0 };
    };
    const [across, along] = [moved(x, xaxis, STEPS[event.key][0]), moved(y, yaxis, STEPS[event.key][1])];
    if (!across.isThere || !along.isThere) return;
    window.Plotly.restyle(picture, { x: [across.places], y: [along.places] }, traces);
    const { id } = box.querySelector(".dash-graph");
    window.dash_clientside.set_props(id, { clickData: { points: [{ x: across.centre, y: along.centre }] } });
  });

  const explorer = window.dash_clientside.explorer;
  Object.assign(explorer, {
    showDelay: (index, fit, significant, frames) => {
      if (!frames || !frames.length) return window.dash_clientside.no_update;
      const overlays = Object.entries({ fit, significant }).flatMap(([name, pressed]) => (pressed === "true" ? [name] : []));
      const ms = frames[0].delays_ms[index];
      for (const frame of frames) drawDelay(frame, nearest(frame.delays_ms, ms), overlays);
      note({ delay: Math.round(ms * 100) / 100 });
      /* what the server draws waits until the delay stays */
      window.clearTimeout(explorer.settling);
      explorer.settling = window.setTimeout(() => {
        if (document.querySelector("#delay")) window.dash_clientside.set_props("settled", { data: index });
      }, 300);
      return delayWords(ms);
    },
    switched: (_, pressed) => String(pressed !== "true"),
    blockChosen: (block, frames) => {
      if (!block) return window.dash_clientside.no_update;
      const frame = (frames || []).find((one) => one.side === block.side);
      if (frame) frameBlock(frame, block.place);
      if (block.side === "a") note({ block: block.place.join(",") });
      return block;
    },
    spikeChosen: (data) => {
      const point = explorer.reached(data);
      /* Dash gives no customdata that Python packed, Plotly has it unpacked */
      const trace = point && plotIn("raster")._fullData[point.curveNumber];
      if (!trace || trace.name !== "spikes") return window.dash_clientside.no_update;
      const spike = trace.customdata[point.pointNumber];
      note({ spike });
      return spike;
    },
  });
})();
