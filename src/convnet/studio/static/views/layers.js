// The layers of the network, drawn from raw values; only those in sight are asked for.

import { remember, state } from "../address.js";
import { field, h, number, replace, select } from "../dom.js";
import { MapGrid } from "../maps.js";

const KINDS = { activation: "activations", "activation-gradient": "gradients of activations", weight: "weights", "weight-gradient": "gradients of weights" };

export class Layers {
  constructor(panel) {
    this.panel = panel;
    this.kinds = new Set(["activation", "weight"]);
    this.scale = "map";
    const { parameters } = state();
    this.kinds = new Set(parameters.get("kinds")?.split(",") ?? this.kinds);
    this.scale = parameters.get("scale") ?? this.scale;
    this.image = Number(parameters.get("image") ?? 0);
    this.grids = new Map();
    this.visible = new Set();
    this.received = 0;
    const kinds = Object.entries(KINDS).map(([kind, text]) => {
      const box = h("input", { type: "checkbox", checked: this.kinds.has(kind), onchange: () => {
        box.checked ? this.kinds.add(kind) : this.kinds.delete(kind);
        remember({ kinds: [...this.kinds].join(",") });
        this.list.querySelectorAll(`[data-kind="${kind}"]`).forEach((part) => (part.hidden = !box.checked));
        this.watch();
      } });
      return h("label", {}, box, ` ${text}`);
    });
    const scale = select([["map", "per map"], ["layer", "per layer"], ["locked", "locked"]], this.scale, (event) => {
      this.scale = event.target.value;
      remember({ scale: this.scale });
    });
    this.frames = h("span", { className: "quiet", ariaLive: "off" });
    this.list = h("div", { className: "layers" });
    this.element = h("section", { className: "layers-section" }, h("h3", {}, "Layers"),
      h("div", { className: "options", role: "group", ariaLabel: "Layer options" }, kinds, field("Scale", scale), this.frames), this.list);
  }

  build(layers) {
    this.observer?.disconnect();
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) entry.isIntersecting ? this.visible.add(entry.target.dataset.layer) : this.visible.delete(entry.target.dataset.layer);
      this.watch();
    }, { rootMargin: "100px" });
    this.panel.signal.addEventListener("abort", () => this.observer.disconnect());
    this.grids.clear();
    replace(this.list, layers.filter((layer) => !layer.hidden).map((layer) => {
      const part = h("article", { className: "layer", "data-layer": layer.name },
        h("h4", {}, layer.name, h("span", { className: "quiet" }, ` ${layer.kind === "input" ? "" : layer.kind} ${layer.shape.join("×")}${layer.window ? `, window ${layer.window}` : ""}`)),
        h("div", { className: "figures-row" }, Object.entries(KINDS).filter(([kind]) => this.#has(layer, kind)).map(([kind, text]) => this.#figure(layer, kind, text))));
      this.observer.observe(part);
      return part;
    }));
    if (!layers.length) replace(this.list, h("p", { className: "quiet" }, "The layers of this network are not shown."));
  }

  #has(layer, kind) {
    if (layer.kind === "input") return kind === "activation";
    return kind.startsWith("activation") || layer.weight !== null;
  }

  #figure(layer, kind, text) {
    const grid = new MapGrid({ label: `${text} of ${layer.name}`, kind, width: Math.min(kind.startsWith("weight") ? 420 : 560, innerWidth - 60) });
    const range = h("figcaption", { className: "quiet" }, text);
    this.grids.set(`${layer.name} ${kind}`, { grid, range, text });
    return h("figure", { "data-kind": kind, hidden: !this.kinds.has(kind) }, range, grid.element);
  }

  show(image) {
    this.#press(image);
    remember({ image: image || null });
    this.watch();
  }

  #press(image) {
    this.image = image;
    this.panel.pictures?.forEach((picture, i) => picture.tile.setAttribute("aria-pressed", i === image));
  }

  watch() {
    const wanted = [...this.visible].flatMap((layer) => [...this.kinds].filter((kind) => this.grids.has(`${layer} ${kind}`)).map((kind) => [layer, kind]));
    this.panel.socket?.send({ type: "watch", wanted, image: this.image });
  }

  draw(frame) {
    if (frame.image !== this.image) this.#press(frame.image); // another tab has chosen it
    for (const tensor of frame.tensors) {
      const found = this.grids.get(`${tensor.layer} ${tensor.kind}`);
      if (!found) continue;
      const part = tensor.sent.join("×") === tensor.shape.join("×") ? "" : `, ${tensor.sent.join("×")} of ${tensor.shape.join("×")} shown`;
      found.range.textContent = `${found.text}: ${number(tensor.min)} to ${number(tensor.max)}${part}`;
      found.grid.draw(tensor, this.scale);
    }
    this.received += 1;
    this.seen ||= frame.tensors.length > 0;
    const now = performance.now();
    if (now - (this.since ?? 0) > 2000) {
      if (this.since) this.frames.textContent = `${((1000 * this.received) / (now - this.since)).toFixed(1)} frames/s at step ${number(frame.step)}`;
      [this.received, this.since] = [0, now];
    }
  }
}
