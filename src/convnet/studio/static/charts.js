// Line charts as SVG: few points are drawn of many, and the style sheet colors them.

import { h, number } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH] = [560, 240];
const EDGE = { left: 52, right: 12, top: 12, bottom: 28 };
const MOST_POINTS = 500;

function s(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Fewer points: of each part the smallest and the largest value.
function thinned(points) {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    let [low, high] = [part[0], part[0]];
    for (const point of part) {
      if (point[1] < low[1]) low = point;
      if (point[1] > high[1]) high = point;
    }
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

// Ticks of a logarithmic axis: powers of ten and, where there are few, 2 and 5 times these.
function powers(low, high) {
  const inside = (factors) => [...Array(16).keys()].flatMap((i) => factors.map((f) => f * 10 ** (i - 10))).filter((v) => Math.log10(v) >= low && Math.log10(v) <= high);
  const found = inside([1]);
  return found.length > 2 ? found : inside([1, 2, 5]);
}

export class LineChart {
  constructor({ title, across, unit = (value) => number(value, 3), logarithmic = false }) {
    this.title = title;
    this.across = across;
    this.unit = unit;
    this.logarithmic = logarithmic;
    this.svg = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "chart" });
    this.legend = h("p", { className: "legend" });
    this.element = h("figure", { className: "chart-figure" }, h("figcaption", {}, title), this.svg, this.legend);
  }

  // Each series: {name, points: [[x, y], …], style: 0…5, dashed, faint}; marks: [[x, text], …].
  draw(series, marks = []) {
    const shown = series.map((one) => ({ ...one, points: thinned(one.points.filter((point) => Number.isFinite(point[1]))) }));
    const points = shown.flatMap((one) => one.points);
    this.svg.replaceChildren();
    if (!points.length) {
      this.svg.append(s("text", { x: WIDE / 2, y: HIGH / 2, "text-anchor": "middle", class: "axis" }, "no values yet"));
      return;
    }
    const log = this.logarithmic && points.every((point) => point[1] > 0);
    const up = (value) => (log ? Math.log10(value) : value);
    const xs = points.map((point) => point[0]), ys = points.map((point) => up(point[1]));
    const x0 = Math.min(...xs), x1 = Math.max(...xs, x0 + 1);
    let y0 = Math.min(...ys), y1 = Math.max(...ys);
    if (y1 - y0 < 1e-9) [y0, y1] = [y0 - 0.5, y1 + 0.5];
    const pad = 0.05 * (y1 - y0);
    [y0, y1] = [y0 - pad, y1 + pad];
    const x = (value) => EDGE.left + ((value - x0) / (x1 - x0)) * (WIDE - EDGE.left - EDGE.right);
    const y = (value) => HIGH - EDGE.bottom - ((up(value) - y0) / (y1 - y0)) * (HIGH - EDGE.top - EDGE.bottom);
    for (const at of log ? powers(y0, y1) : ticks(y0, y1, 4)) {
      this.svg.append(
        s("line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(at), y2: y(at), class: "grid" }),
        s("text", { x: EDGE.left - 6, y: y(at) + 4, "text-anchor": "end", class: "axis" }, this.unit(at)),
      );
    }
    for (const at of ticks(x0, x1, 5)) this.svg.append(s("text", { x: x(at), y: HIGH - 8, "text-anchor": "middle", class: "axis" }, number(at)));
    for (const [at, text] of marks) {
      const line = s("line", { x1: x(at), x2: x(at), y1: EDGE.top, y2: HIGH - EDGE.bottom, class: "change" });
      line.append(s("title", {}, text));
      this.svg.append(line);
    }
    for (const one of shown) {
      const path = one.points.map(([px, py], i) => `${i ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
      this.svg.append(s("path", { d: path, class: `line series-${one.style}${one.dashed ? " dashed" : ""}${one.faint ? " faint" : ""}` }));
      if (one.points.length === 1) this.svg.append(s("circle", { cx: x(one.points[0][0]), cy: y(one.points[0][1]), r: 3, class: `dot series-${one.style}` }));
    }
    const last = (one) => one.points.at(-1)?.[1];
    this.legend.replaceChildren(
      ...shown.filter((one) => one.points.length && !one.faint).map((one) =>
        h("span", { className: `key series-${one.style}${one.dashed ? " dashed" : ""}` }, `${one.name} ${this.unit(last(one))}`)),
    );
    this.svg.setAttribute("aria-label", `${this.title} by ${this.across}: ${shown.filter((one) => !one.faint).map((one) => `${one.name} ${this.unit(last(one) ?? NaN)}`).join(", ")}`);
  }
}
