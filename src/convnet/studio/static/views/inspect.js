// Look into a network with one image: its layers, the arithmetic of a unit, heat maps, edits.

import { get, getBytes, postForBytes, send } from "../api.js";
import { HEAT } from "../colors.js";
import { button, commandBox, field, h, notify, number, percent, replace, select } from "../dom.js";
import { MapGrid } from "../maps.js";
import { remember } from "../address.js";
import { unpack } from "../tensors.js";
import { Arithmetic } from "./arithmetic.js";
import { DrawingPad, ImageEditor, Webcam } from "./picture.js";

const WAIT = 120;
const METHODS = ["grad-cam", "layer-cam", "saliency", "smooth-grad", "integrated-gradients", "guided-backprop", "occlusion"];

export async function show(root, parameters, signal) {
  const { runs, zoo } = await get("api/inspect/networks", signal);
  const name = parameters.get("network") ?? runs[0] ?? "lenet5";
  const known = [...runs, ...zoo].includes(name) ? [] : [[name, name]];
  const choice = select([...known, { group: "Runs", options: runs.map((run) => [run, run]) }, { group: "Networks with random weights", options: zoo.map((one) => [one, one]) }],
    name, () => inspector.open(choice.value));
  const body = h("div");
  root.append(h("h1", {}, "Inspect a network"), field("Network", choice), body);
  const inspector = new Inspector(body, parameters, signal);
  await inspector.open(name);
}

class Inspector {
  constructor(body, parameters, signal) {
    Object.assign(this, { body, signal });
    this.asked = { split: parameters.get("split"), index: Number(parameters.get("index") ?? 0), layer: parameters.get("layer"), unit: parameters.get("unit") };
    this.edits = [];
    this.number = this.source = 0;
  }

  async open(name) {
    const other = this.network && this.network.name !== name;
    this.network = await get(`api/inspect/network?name=${encodeURIComponent(name)}`, this.signal);
    if (other) Object.assign(this.asked, { split: null, index: 0, layer: null, unit: null });
    remember({ network: name });
    this.edits = [];
    this.#build();
    const splits = Object.entries(this.network.samples).filter(([, count]) => count);
    const split = splits.some(([key]) => key === this.asked.split) ? this.asked.split : (["test", "val", "train"].find((key) => this.network.samples[key]) ?? null);
    if (split) await this.sample(split, this.asked.index);
    else await this.pixels({ facts: { label: null, location: "a test pattern" }, tensor: pattern(this.network.shape) });
  }

  #build() {
    const [channels, height, width] = this.network.shape;
    this.about = h("p", { className: "quiet" });
    this.editor = new ImageEditor(this.network.shape, () => this.#plan());
    this.prediction = h("div", { className: "prediction", ariaLive: "polite" });
    this.heat = h("div", { className: "heatmaps" });
    this.layers = h("div", { className: "layer-row", role: "region", ariaLabel: "Layers from input to scores", tabIndex: 0 });
    this.arithmetic = new Arithmetic({ move: (position) => this.unit(this.chosen.layer, position), edit: (edit) => this.#edit(edit) });
    this.command = commandBox("");
    const samples = this.network.samples;
    const splits = Object.keys(samples).filter((key) => samples[key]);
    this.splits = select(splits, splits[0], () => this.sample(this.splits.value, 0));
    this.index = h("input", { type: "number", min: 0, value: 0, onchange: () => this.sample(this.splits.value, Number(this.index.value)) });
    const file = h("input", { type: "file", accept: "image/*", onchange: () => file.files[0] && this.decode(file.files[0]) });
    const pad = new DrawingPad((blob) => this.decode(blob));
    const camera = new Webcam((blob) => this.decode(blob), this.signal);
    const sources = h("section", { className: "sources", ariaLabel: "Image" },
      splits.length ? h("div", { className: "inline" }, field("Split", this.splits), field("Image", this.index),
        button("Previous", () => this.sample(this.splits.value, Math.max(0, Number(this.index.value) - 1))),
        button("Next", () => this.sample(this.splits.value, Number(this.index.value) + 1))) : null,
      field("Or open an image", file), pad.element, camera.element);
    this.method = select([["", "quick methods"], ["all", "all methods"], ...METHODS], "", null);
    this.target = select([["", "predicted"], ...this.network.classes.map((name, i) => [i, name])], "", null);
    this.reset = button("Reset the weights", () => { this.edits = []; this.#send(); }, { hidden: true });
    replace(this.body,
      h("p", { className: "quiet" }, `Takes images of ${channels}×${height}×${width}; ${this.network.classes.length ? `${this.network.classes.length} classes` : "no classes"}.`),
      h("div", { className: "columns inspect" }, h("div", {}, sources), h("section", { ariaLabel: "The image as the network takes it" }, this.about, this.editor.element),
        h("section", { ariaLabel: "Prediction" }, h("h2", {}, "Prediction"), this.prediction, this.reset,
          this.network.classes.length ? h("div", { className: "inline" }, field("Heat maps", this.method), field("Class", this.target), button("Compute heat maps", () => this.heatmaps())) : null, this.heat)),
      h("h2", {}, "Layers"),
      h("p", { className: "help" }, "Click a unit, or move with the arrow keys and press Enter, to see how it is computed and what it depends on."),
      this.layers, this.arithmetic.element, this.command);
  }

  async sample(split, index) {
    const count = this.network.samples[split];
    index = Math.max(0, Math.min(count - 1, index || 0));
    const asked = ++this.source;
    const found = unpack(await getBytes(`api/inspect/sample?name=${encodeURIComponent(this.network.name)}&split=${split}&index=${index}`, this.signal));
    if (asked !== this.source) return; // another image was chosen meanwhile
    [this.splits.value, this.index.value, this.index.max] = [split, index, count - 1];
    remember({ split, index });
    await this.pixels({ facts: found, tensor: found.tensors[0] });
  }

  async decode(blob) {
    const asked = ++this.source;
    try {
      const response = await send(`api/inspect/decode?name=${encodeURIComponent(this.network.name)}`, blob, this.signal);
      const found = unpack(await response.arrayBuffer());
      if (asked !== this.source) return;
      remember({ split: null, index: null });
      await this.pixels({ facts: found, tensor: found.tensors[0] });
    } catch (error) {
      notify(error.message, "error");
    }
  }

  async pixels({ facts, tensor }) {
    this.label = facts.label;
    this.about.textContent = facts.label === null ? facts.location : `${facts.location}, label ${facts.label}`;
    this.editor.load(tensor);
    replace(this.heat);
    await this.#send();
  }

  #plan() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#send(), WAIT);
  }

  #edit(edit) {
    this.edits = [...this.edits.filter(([name, place]) => name !== edit[0] || String(place) !== String(edit[1])), edit];
    this.#send();
  }

  // Run the network on the pixels as they are now, with the weights as they are now.
  async #send() {
    const number = ++this.number;
    const query = new URLSearchParams({ name: this.network.name, edits: JSON.stringify(this.edits) });
    try {
      const response = await send(`api/inspect?${query}`, this.editor.pixels(), this.signal);
      const found = await response.json();
      if (number !== this.number) return;
      this.opened = found;
      this.reset.hidden = !this.edits.length;
      this.command.show(found.command);
      this.#predicted(found.prediction);
      const shape = JSON.stringify(found.layers.map((layer) => [layer.name, layer.shape]));
      if (shape !== this.shape || !this.grids?.size || !this.layers.isConnected || !this.layers.firstChild) this.#columns(found.layers);
      this.shape = shape;
      this.loaded = new Set();
      await this.#load([...this.inSight]);
      const start = this.chosen ?? this.#start();
      if (start) await this.unit(start.layer, start.position);
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message, "error");
    }
  }

  #start() {
    const { layer, unit } = this.asked;
    return layer && unit && this.opened.layers.some((one) => one.name === layer) ? { layer, position: unit.split(",").map(Number) } : null;
  }

  #predicted(prediction) {
    if (!prediction) return replace(this.prediction, h("p", { className: "quiet" }, "This network has no classes."));
    const rows = prediction.probabilities.slice(0, 5);
    const unknown = prediction.unknown ? h("p", { className: "warning" }, `unknown: the score ${number(prediction.unknown_score)} is below ${number(prediction.unknown_threshold)}`) : null;
    replace(this.prediction, unknown,
      h("table", {}, h("caption", {}, this.network.exclusive ? `Most probable classes${prediction.temperature !== 1 ? `, calibrated with temperature ${number(prediction.temperature, 3)}` : ""}` : "Labels"),
        h("tbody", {}, rows.map(([name, p]) => h("tr", { className: name === this.label ? "true" : "" }, h("th", { scope: "row" }, name), h("td", {}, h("meter", { min: 0, max: 1, value: p, ariaLabel: name }), ` ${percent(p)}`))))));
    this.prediction.dataset.top = rows[0]?.[0] ?? "";
  }

  #columns(layers) {
    this.observer?.disconnect();
    this.grids = new Map();
    this.inSight = new Set();
    this.loaded = new Set();
    this.chosen = this.fields = null;
    this.arithmetic.element.hidden = true;
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) entry.isIntersecting ? this.inSight.add(entry.target.dataset.layer) : this.inSight.delete(entry.target.dataset.layer);
      this.#load([...this.inSight]).catch((error) => error.name !== "AbortError" && notify(error.message, "error"));
    }, { root: this.layers, rootMargin: "300px" });
    this.signal.addEventListener("abort", () => this.observer.disconnect());
    replace(this.layers, layers.filter((layer) => !layer.hidden).map((layer) => {
      const kind = layer.kind === "input" ? "input" : layer.kind;
      const grid = new MapGrid({ label: `${layer.name}: ${kind} ${layer.shape.join("×")}`, kind: "activation", width: 260, pick: layer.kind === "input" ? null : (position) => this.unit(layer.name, position) });
      const range = h("p", { className: "quiet" }, " ");
      this.grids.set(layer.name, { grid, range });
      const column = h("article", { className: "column", "data-layer": layer.name },
        h("h3", {}, layer.name), h("p", { className: "quiet" }, `${kind} ${layer.shape.join("×")}`), grid.element, range);
      this.observer.observe(column);
      return column;
    }));
  }

  async #load(names) {
    const wanted = names.filter((name) => !this.loaded.has(name) && this.grids.has(name));
    if (!wanted.length || !this.opened) return;
    wanted.forEach((name) => this.loaded.add(name));
    const { tensors } = unpack(await postForBytes(`api/inspect/${this.opened.id}/tensors`, { wanted: wanted.map((name) => [name, "activation"]) }, this.signal));
    for (const tensor of tensors) {
      const { grid, range } = this.grids.get(tensor.layer);
      grid.draw(tensor, tensor.shape.length === 1 ? "layer" : "map");
      const part = tensor.sent[0] < tensor.shape[0] ? `, ${tensor.sent[0]} of ${tensor.shape[0]} shown` : "";
      if (!range) continue;
      range.textContent = `${number(tensor.min)} to ${number(tensor.max)}${part}`;
      this.#markOne(tensor.layer);
    }
  }

  // Show how a unit is computed, and mark what it depends on in every layer before it.
  async unit(layer, position) {
    let found;
    try {
      found = await get(`api/inspect/${this.opened.id}/unit?layer=${encodeURIComponent(layer)}&position=${position.join(",")}`, this.signal);
    } catch (error) {
      if (/has expired/.test(error.message)) {
        this.chosen = { layer, position };
        this.#send();
      } else if (error.name !== "AbortError") notify(error.message, "error");
      return false;
    }
    this.chosen = { layer, position };
    this.fields = found.fields;
    remember({ layer, unit: position.join(",") });
    if (this.opened.command) this.command.show(`${this.opened.command} --layer ${layer} --unit ${position.join(",")}`);
    for (const name of this.grids.keys()) this.#markOne(name);
    const shape = this.opened.layers.find((one) => one.name === layer).shape;
    this.arithmetic.show(found, shape);
    return true;
  }

  #markOne(name) {
    if (!this.fields) return;
    const { grid } = this.grids.get(name);
    const box = this.fields[name];
    if (!box) return grid.mark([]);
    const own = name === this.chosen.layer;
    const position = this.chosen.position;
    if (own && position.length === 1) return grid.mark([{ box: [0, 0, 0, 0], map: position[0] }]);
    if (grid.tensor?.sent.length === 1) return grid.mark([]);
    grid.mark([own ? { box, map: position[0] } : { box }]);
  }

  async heatmaps() {
    replace(this.heat, h("p", { role: "status" }, "Computing …"));
    const order = { methods: this.method.value ? [this.method.value] : null, target: this.target.value === "" ? null : Number(this.target.value) };
    try {
      const found = unpack(await postForBytes(`api/inspect/${this.opened.id}/heatmaps`, order, this.signal));
      const options = [order.methods ? ` --method ${order.methods[0]}` : "", order.target === null ? "" : ` --class ${JSON.stringify(this.network.classes[order.target])}`];
      if (this.opened.command) this.command.show(this.opened.command + options.join(""));
      replace(this.heat, h("p", { className: "quiet" }, `For the class ${this.network.classes[found.class]}. Low deletion and high insertion are good; a similarity to random weights near 1 is not.`),
        found.tensors.map((tensor) => {
          const trust = found.trust[tensor.layer];
          const canvas = h("canvas", { className: "thumb large", role: "img", ariaLabel: `${tensor.layer} heat map` });
          drawHeat(canvas, tensor);
          return h("figure", {}, canvas, h("figcaption", {}, h("b", {}, tensor.layer), trust.layer ? ` at ${trust.layer}` : "",
            h("span", {}, `deletion ${number(trust.deletion, 2)}, insertion ${number(trust.insertion, 2)}, random weights ${number(trust.random_similarity, 2)}`)));
        }));
    } catch (error) {
      replace(this.heat);
      if (error.name !== "AbortError") notify(error.message, "error");
    }
  }
}

function drawHeat(canvas, tensor) {
  const [, height, width] = tensor.sent;
  [canvas.width, canvas.height] = [width, height];
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const [low, high] = [Math.min(0, tensor.min ?? 0), tensor.max ?? 1];
  for (let i = 0; i < height * width; i++) pixels[i] = HEAT[Math.max(0, Math.min(255, Math.round((255 * (tensor.values[i] - low)) / (high - low || 1))))];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// An image for a network without data: rings, whose parts differ in direction.
function pattern([channels, height, width]) {
  const values = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const radius = Math.hypot((x - width / 2) / width, (y - height / 2) / height);
    values[(c * height + y) * width + x] = 127 + 127 * Math.sin(30 * radius + 2 * c);
  }
  return { sent: [channels, height, width], values };
}
