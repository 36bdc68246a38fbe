// The maps or kernels of a layer on one canvas: one pixel per value, enlarged by the style sheet.

import { GRAY, SIGNED, limits } from "./colors.js";
import { h, number } from "./dom.js";

const GAP = 1;
const tip = document.getElementById("tip");

// Maps of a tensor: C×H×W, kernels O×I×H×W, matrices H×W, vectors.
function layout(sent) {
  if (sent.length === 4) return { maps: sent[0] * sent[1], height: sent[2], width: sent[3], across: sent[1] > 1 ? sent[1] : 0 };
  if (sent.length === 3) return { maps: sent[0], height: sent[1], width: sent[2], across: 0 };
  if (sent.length === 2) return { maps: 1, height: sent[0], width: sent[1], across: 1 };
  return { maps: sent[0], height: 1, width: 1, across: 0 };
}

export class MapGrid {
  // `pick(position)` is called with the place of a unit that is clicked.
  constructor({ label, kind, pick = null, width = 560 }) {
    this.kind = kind;
    this.signed = kind !== "activation" && kind !== "image";
    this.pick = pick;
    this.room = width;
    this.tensor = null;
    this.locked = null;
    this.cursor = 0;
    this.canvas = h("canvas", { className: "maps", tabIndex: 0, role: "img", ariaLabel: label });
    this.overlay = h("canvas", { className: "overlay", ariaHidden: "true" });
    this.element = h("div", { className: "mapgrid", hidden: true }, this.canvas, this.overlay);
    this.label = label;
    this.canvas.addEventListener("pointermove", (event) => this.#hover(this.#place(event), event.clientX, event.clientY));
    this.canvas.addEventListener("pointerleave", () => (tip.hidden = true));
    this.canvas.addEventListener("blur", () => (tip.hidden = true));
    this.canvas.addEventListener("click", (event) => this.#choose(this.#place(event)));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    if (pick) {
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-roledescription", "units; move with the arrow keys, open with Enter");
    }
  }

  // "map": one scale per map; "layer": one for all; "locked": the one it had when it was locked.
  draw(tensor, scale = "map") {
    this.tensor = tensor;
    this.element.hidden = false;
    this.place = layout(tensor.sent);
    const { maps, height, width } = this.place;
    const columns = this.#columns();
    const rows = Math.ceil(maps / columns);
    const full = [columns * (width + GAP) - GAP, rows * (height + GAP) - GAP];
    if (this.canvas.width !== full[0] || this.canvas.height !== full[1]) {
      [this.canvas.width, this.canvas.height] = full;
      this.picture = new ImageData(full[0], full[1]);
      this.pixels = new Uint32Array(this.picture.data.buffer);
      this.#enlarge();
    }
    if (scale !== "locked") this.locked = null;
    else this.locked ??= limits(tensor.min ?? 0, tensor.max ?? 1, this.signed);
    const colors = this.signed ? SIGNED : GRAY;
    const whole = this.locked ?? limits(tensor.min ?? 0, tensor.max ?? 1, this.signed);
    const single = tensor.sent.length === 1 || tensor.sent.length === 2;
    for (let map = 0; map < maps; map++) {
      const start = map * height * width;
      let ends = whole;
      if (scale === "map" && !single) {
        let low = Infinity, high = -Infinity;
        for (let i = start; i < start + height * width; i++) {
          const value = tensor.values[i];
          if (value < low) low = value;
          if (value > high) high = value;
        }
        ends = limits(low, high, this.signed);
      }
      const factor = 255 / (ends[1] - ends[0]);
      const left = (map % columns) * (width + GAP), top = Math.floor(map / columns) * (height + GAP);
      for (let row = 0; row < height; row++) {
        let to = (top + row) * full[0] + left;
        let from = start + row * width;
        for (let column = 0; column < width; column++) {
          const level = (tensor.values[from++] - ends[0]) * factor;
          this.pixels[to++] = colors[level > 0 ? (level < 255 ? level | 0 : 255) : 0];
        }
      }
    }
    this.canvas.getContext("2d").putImageData(this.picture, 0, 0);
  }

  #columns() {
    const { maps, height, width, across } = this.place;
    if (across === 1) return 1;
    if (across) return across * Math.max(1, Math.round(Math.sqrt((2 * maps * height) / width) / across));
    if (height === 1 && width === 1) return Math.min(maps, 64);
    return Math.max(1, Math.min(maps, Math.ceil(Math.sqrt((maps * 2 * height) / width))));
  }

  // Enlarge to the room there is, by a whole number; small kernels are large enough to see.
  #enlarge() {
    const { height, width } = this.place;
    const least = Math.max(1, Math.round((height <= 7 ? 42 : 64) / Math.max(height, width)));
    const fitting = Math.floor(this.room / this.canvas.width);
    this.zoom = Math.max(1, Math.min(Math.max(least, 1), Math.max(fitting, height <= 7 && width <= 7 ? 4 : 1), 24));
    this.canvas.style.width = `${this.canvas.width * this.zoom}px`;
    this.canvas.style.height = `${this.canvas.height * this.zoom}px`;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.canvas.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.canvas.height);
    return this.#index(x, y);
  }

  #index(x, y) {
    if (!this.tensor) return -1;
    const { maps, height, width } = this.place;
    const columns = this.#columns();
    const [column, row] = [Math.floor(x / (width + GAP)), Math.floor(y / (height + GAP))];
    const [inX, inY] = [x - column * (width + GAP), y - row * (height + GAP)];
    const map = row * columns + column;
    if (column >= columns || inX >= width || inY >= height || map >= maps || x < 0 || y < 0) return -1;
    return map * height * width + inY * width + inX;
  }

  // The position of a value in the tensor.
  position(index) {
    const found = [];
    for (const side of [...this.tensor.sent].reverse()) {
      found.unshift(index % side);
      index = Math.floor(index / side);
    }
    return found;
  }

  #hover(index, x, y) {
    tip.hidden = index < 0;
    if (index < 0) return;
    tip.textContent = `[${this.position(index).join(", ")}]  ${number(this.tensor.values[index], 6)}`;
    tip.style.left = `${Math.min(x + 14, innerWidth - 180)}px`;
    tip.style.top = `${Math.min(y + 14, innerHeight - 40)}px`;
  }

  #choose(index) {
    if (index < 0 || !this.pick) return;
    this.cursor = index;
    this.pick(this.position(index));
  }

  // The corner of a value on the canvas.
  #corner(index) {
    const { height, width } = this.place;
    const [map, within] = [Math.floor(index / (height * width)), index % (height * width)];
    const columns = this.#columns();
    return [
      (map % columns) * (width + GAP) + (within % width),
      Math.floor(map / columns) * (height + GAP) + Math.floor(within / width),
    ];
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.tensor || (!(event.key in moves) && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    if (event.key === "Enter" || event.key === " ") return this.#choose(this.cursor);
    let [x, y] = this.#corner(this.cursor);
    const [dx, dy] = moves[event.key];
    for (let tries = 0; tries <= GAP; tries++) {
      [x, y] = [x + dx, y + dy];
      const index = this.#index(x, y);
      if (index >= 0) {
        this.cursor = index;
        break;
      }
    }
    const box = this.canvas.getBoundingClientRect();
    const [left, top] = this.#corner(this.cursor);
    this.#hover(this.cursor, box.left + left * this.zoom, box.top + top * this.zoom);
    this.mark(this.marked ?? []);
  }

  // Outline boxes [first row, last row, first column, last column], on one map or on all.
  mark(boxes, color = "--mark") {
    this.marked = boxes;
    if (!this.tensor) return;
    const [wide, high] = [this.canvas.width * this.zoom, this.canvas.height * this.zoom];
    [this.overlay.width, this.overlay.height] = [wide, high];
    this.overlay.style.width = `${wide}px`;
    this.overlay.style.height = `${high}px`;
    const context = this.overlay.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    context.lineWidth = 2;
    const { maps, height, width } = this.place;
    const columns = this.#columns();
    for (const { box, map } of boxes) {
      context.strokeStyle = style.getPropertyValue(color);
      for (let m = map ?? 0; m < (map === undefined ? maps : map + 1); m++) {
        const left = (m % columns) * (width + GAP), top = Math.floor(m / columns) * (height + GAP);
        const corner = [(left + box[2]) * this.zoom, (top + box[0]) * this.zoom];
        context.strokeRect(corner[0] + 1, corner[1] + 1, (box[3] - box[2] + 1) * this.zoom - 2, (box[1] - box[0] + 1) * this.zoom - 2);
      }
    }
    if (document.activeElement === this.canvas) {
      const [x, y] = this.#corner(this.cursor);
      context.strokeStyle = style.getPropertyValue("--accent");
      context.strokeRect(x * this.zoom, y * this.zoom, this.zoom, this.zoom);
    }
  }
}

// An image C×H×W with values 0…255 on a canvas.
export function drawImage(canvas, tensor) {
  const [channels, height, width] = tensor.sent;
  [canvas.width, canvas.height] = [width, height];
  const picture = new ImageData(width, height);
  const plane = height * width;
  for (let i = 0; i < plane; i++) {
    const gray = channels < 3;
    picture.data[4 * i] = tensor.values[i];
    picture.data[4 * i + 1] = tensor.values[gray ? i : plane + i];
    picture.data[4 * i + 2] = tensor.values[gray ? i : 2 * plane + i];
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
