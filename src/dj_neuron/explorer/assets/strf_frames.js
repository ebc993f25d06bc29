/* Draws any delay of an STRF from what strf_animation_data gives, without asking the server. */
(() => {
  "use strict";

  const MISSING = -32768;

  /* base64 of two-byte integers, low byte first, as rows of numbers; null where there is none */
  const rows = (packed, index, [nY, nX]) => {
    const bytes = Uint8Array.from(window.atob(packed.frames[index]), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const value = (at) => {
      const whole = view.getInt16(2 * at, true);
      return whole === MISSING ? null : whole * packed.step;
    };
    return Array.from({ length: nY }, (_, row) => Array.from({ length: nX }, (_, column) => value(row * nX + column)));
  };

  const markedAt = (layout, ms) => ({
    ...layout,
    shapes: (layout.shapes || []).map((shape) => (shape.name === "delay marker" ? { ...shape, x0: ms, x1: ms } : shape)),
  });

  /* Draw the delay `index` of `data` in a plot of strf_frames or space_time; overlays are names of traces to show. */
  const show = (picture, data, index, overlays) => {
    const traces = picture.data.map((trace) => {
      const changes = {};
      if (trace.name === "significant" || trace.name === "fit") changes.visible = overlays.includes(trace.name);
      if (!data.is_bars && trace.name === "STRF") {
        changes.z = rows(data.values, index, data.shape);
        if (data.z) changes.customdata = rows(data.z, index, data.shape);
      }
      if (!data.is_bars && trace.name === "significant") Object.assign(changes, data.outlines[index]);
      return { ...trace, ...changes };
    });
    return window.Plotly.react(picture, traces, markedAt(picture.layout, data.delays_ms[index]));
  };

  /* Move the marked delay of a time course. */
  const mark = (picture, ms) => window.Plotly.react(picture, picture.data, markedAt(picture.layout, ms));

  window.strfFrames = { rows, show, mark };
})();
