// The arithmetic of one unit: patch × kernel, products, sum, channel by channel; the window slides.

import { button, calm, h, number, replace } from "../dom.js";

const MOST_CELLS = 400;
const SLIDE = 180;

export class Arithmetic {
  // `move(position)` chooses another unit, `edit([parameter, position, value])` changes a weight.
  constructor({ move, edit }) {
    Object.assign(this, { move, edit });
    this.head = h("div");
    this.body = h("div");
    this.playing = button("Slide the window", () => this.#slide());
    this.element = h("section", { className: "arithmetic", hidden: true, ariaLabel: "Arithmetic of a unit", tabIndex: 0 }, this.head, h("p", { className: "actions" }, this.playing), this.body);
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.channel = 0;
  }

  show(unit, shape) {
    const same = this.unit?.layer === unit.layer;
    Object.assign(this, { unit, shape });
    if (!same) this.channel = 0;
    this.element.hidden = false;
    Object.assign(this.element.dataset, { layer: unit.layer, unit: unit.unit.join(","), value: unit.sum, computed: unit.sum_of_products });
    this.#draw();
  }

  #draw() {
    const { unit } = this;
    const maps = channels(unit.patch);
    const kernels = unit.kernel ? channels(unit.kernel) : null;
    this.channel = Math.min(this.channel, Math.max(0, maps.length - 1));
    this.playing.disabled = this.shape.length !== 3;
    const steps = maps.length > 1 ? h("p", { className: "actions" },
      button("Previous channel", () => this.#step(-1), { disabled: this.channel === 0 }),
      h("span", { role: "status" }, `channel ${this.channel + 1} of ${maps.length}`),
      button("Next channel", () => this.#step(1), { disabled: this.channel === maps.length - 1 })) : null;
    replace(this.head,
      h("h2", {}, `Unit ${unit.unit.join(", ")} of ${unit.layer}`),
      h("p", {}, `${unit.kind}: ${unit.formula}`),
      h("p", { className: "help" }, "Left and right: channel by channel. Shift with the arrow keys: the neighboring unit."));
    replace(this.body, steps, this.#products(maps, kernels), this.#sums(maps, kernels));
  }

  // The patch, the kernel and their products for one channel.
  #products(maps, kernels) {
    if (!maps.length) return null;
    const patch = maps[this.channel], kernel = kernels?.[this.channel];
    const parts = [grid("Patch", patch)];
    if (kernel) {
      parts.push(h("span", { className: "sign" }, "×"), grid("Kernel", kernel, this.unit.weight?.layout ? (row, column, value) => this.#weight(row, column, value) : null));
      parts.push(h("span", { className: "sign" }, "="), grid("Products", patch.map((row, i) => row.map((x, j) => x * kernel[i][j]))));
      const sum = total(patch, kernel);
      parts.push(h("span", { className: "sign" }, `sum ${number(sum, 6)}`));
    }
    return h("div", { className: "products" }, parts);
  }

  // The sums of all channels, the bias, and the value that the network computed.
  #sums(maps, kernels) {
    const { unit } = this;
    const lines = [];
    if (kernels) {
      let running = 0;
      const rows = maps.map((patch, i) => {
        const sum = total(patch, kernels[i]);
        running += sum;
        return [i, sum, running];
      });
      const near = rows.filter(([i]) => rows.length <= 12 || Math.abs(i - this.channel) <= 4 || i === rows.length - 1);
      lines.push(h("table", { className: "sums" }, h("caption", {}, "Sum over the channels"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "channel"), h("th", { scope: "col" }, "sum of products"), h("th", { scope: "col" }, "so far"))),
        h("tbody", {}, near.map(([i, sum, so]) => h("tr", { className: i === this.channel ? "current" : "" }, h("th", { scope: "row" }, i + 1), h("td", {}, number(sum, 6)), h("td", {}, number(so, 6)))),
          unit.bias === null ? null : h("tr", {}, h("th", { scope: "row" }, "bias"), h("td", {}, number(unit.bias, 6)), h("td", {}, number(running + unit.bias, 6))))));
    }
    const terms = Object.entries(unit.terms ?? {});
    if (terms.length) lines.push(h("p", {}, terms.map(([name, value]) => `${name} = ${number(value, 6)}`).join(", ")));
    lines.push(h("p", { className: "outcome" }, "Computed here ", h("b", { "data-figure": "computed" }, number(unit.sum_of_products, 7)), "; the network computed ", h("b", { "data-figure": "value" }, number(unit.sum, 7)),
      unit.activation === null ? "" : `; after ${unit.activation_function}: ${number(unit.activation, 7)}`));
    return h("div", {}, lines);
  }

  // A weight that was changed by hand.
  #weight(row, column, value) {
    const { unit } = this;
    if (!Number.isFinite(value)) return this.#draw();
    const kernel = channels(unit.kernel);
    const [columns, count] = [kernel[0][0].length, kernel.length];
    const output = unit.unit[unit.weight.layout === "dense" ? unit.unit.length - 1 : 0];
    const place = {
      conv: Array.isArray(unit.kernel[0][0]) ? [output, this.channel, row, column] : [output, this.channel, column],
      dense: [output, column],
      flatten: [output, (row * columns + column) * count + this.channel],
    }[unit.weight.layout];
    this.edit([unit.weight.name, place, value]);
  }

  #step(by) {
    this.channel = Math.max(0, Math.min(channels(this.unit.patch).length - 1, this.channel + by));
    this.#draw();
    this.element.focus({ preventScroll: true });
  }

  #key(event) {
    if (event.target.tagName === "INPUT") return;
    if (event.key === "Escape") return this.halt();
    const moves = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    if (event.shiftKey && this.shape.length === 3) {
      const place = this.unit.unit.map((p, i) => p + moves[event.key][i]);
      if (place.every((p, i) => p >= 0 && p < this.shape[i])) this.move(place);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.#step(moves[event.key][2]);
  }

  // Move the unit over its map, row by row; a step at a time where motion is unwanted.
  #slide() {
    if (this.timer) return this.halt();
    const next = async () => {
      if (!this.element.isConnected || this.element.hidden) return this.halt();
      const [map, row, column] = this.unit.unit;
      const [, rows, columns] = this.shape;
      const place = row * columns + column + 1;
      const shown = await this.move([map, Math.floor((place % (rows * columns)) / columns), place % columns]);
      if (!shown) return this.halt();
      if (this.timer) this.timer = setTimeout(next, SLIDE);
    };
    if (calm()) return next();
    this.timer = setTimeout(next, 0);
    this.playing.textContent = "Stop";
  }

  halt() {
    clearTimeout(this.timer);
    this.timer = null;
    this.playing.textContent = "Slide the window";
  }
}

// A patch as a list of channels with rows and columns; vectors are one channel of one row.
function channels(patch) {
  if (!patch) return [];
  if (!Array.isArray(patch[0])) return [[patch]];
  if (!Array.isArray(patch[0][0])) return patch.map((row) => [row]);
  return patch;
}

const total = (patch, kernel) => patch.reduce((sum, row, i) => sum + row.reduce((part, x, j) => part + x * kernel[i][j], 0), 0);

// Numbers as a table, shaded by their size; with `edited`, they can be changed.
function grid(caption, rows, edited = null) {
  const count = rows.length * rows[0].length;
  const most = Math.max(...rows.flat().map((value) => Math.abs(value ?? 0)), 1e-12);
  const shownRows = count > MOST_CELLS ? rows.slice(0, Math.max(1, Math.floor(MOST_CELLS / rows[0].length))).map((row) => row.slice(0, MOST_CELLS)) : rows;
  const cell = (value, i, j) => {
    const text = value === null ? "pad" : number(value, 3);
    const inner = edited ? h("input", { type: "text", value: text, ariaLabel: `${caption}, row ${i + 1}, column ${j + 1}`, inputMode: "decimal", onchange: (event) => edited(i, j, Number(event.target.value)) }) : text;
    const made = h("td", { title: value === null ? "padding" : String(value) }, inner);
    const strength = Math.round(55 * Math.abs((value ?? 0) / most));
    made.style.background = `color-mix(in srgb, var(${value < 0 ? "--negative" : "--positive"}) ${strength}%, transparent)`;
    return made;
  };
  const wide = rows[0].length > 5;
  const body = h("tbody", {}, shownRows.map((row, i) => h("tr", {}, row.map((value, j) => cell(value, i, j)))));
  const table = h("table", { className: "numbers" }, h("caption", {}, caption, count > MOST_CELLS ? `: the first of ${number(count)}` : ""), body);
  return wide ? h("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption }, table) : table;
}

