// The audit of data with live corrections of labels, and the preview of augmentation.

import { get, post, postForBytes } from "../api.js";
import { button, commandBox, field, h, notify, number, replace, select } from "../dom.js";
import { title } from "../form.js";
import { drawImage } from "../maps.js";
import { address, go, remember } from "../address.js";
import { unpack } from "../tensors.js";

const REMOVE = "remove";
const PAGE = 48;

export async function show(root, parameters, signal) {
  const sets = await get("api/data", signal);
  const word = h("input", { type: "text", value: parameters.get("data") ?? "", list: "known-data", spellcheck: false, placeholder: "a folder of images, or a data set", name: "data" });
  const known = h("datalist", { id: "known-data" }, sets.map((set) => h("option", { value: set.name })));
  word.setAttribute("list", "known-data");
  const content = h("div");
  const open = h("form", { className: "inline", onsubmit: (event) => {
    event.preventDefault();
    remember({ data: word.value });
    check({ data: word.value, again: true });
  } }, field("Data", word), known, h("button", { className: "primary" }, "Check"));
  let last = new AbortController();
  signal.addEventListener("abort", () => last.abort());
  const check = (order) => {
    last.abort();
    last = new AbortController();
    audit(content, order, last.signal).catch((error) => {
      if (error.name === "AbortError") return;
      replace(content);
      notify(error.message, "error");
    });
  };
  const run = parameters.get("run");
  root.append(h("h1", {}, run ? `Labels of the data of ${run}` : "Data"), run ? "" : open, content);
  if (run) check({ run });
  else if (word.value) check({ data: word.value });
}

async function audit(content, order, signal) {
  const { id, command } = await post("api/data/audit", order, signal);
  const data = order.data;
  const bar = h("progress", { ariaLabel: "Checking images" });
  replace(content, h("p", { role: "status" }, "Checking images "), bar);
  let found = await get(`api/data/audit/${id}`, signal);
  while (found.state === "running") {
    if (found.total) [bar.max, bar.value] = [found.total, found.done];
    await new Promise((done) => setTimeout(done, 300));
    signal.throwIfAborted();
    found = await get(`api/data/audit/${id}`, signal);
  }
  if (found.state === "failed") throw new Error(found.error);
  new Review(content, id, data, found, command, signal);
}

class Review {
  constructor(content, id, data, found, command, signal) {
    Object.assign(this, { id, data, found, signal });
    this.classes = Object.keys(found.classes);
    this.corrections = found.corrections;
    this.undone = [];
    this.filter = new URLSearchParams(location.hash.split("?")[1]).get("finding") ?? (found.findings.some((f) => f.kind === "suspect_label") ? "suspect_label" : "");
    this.shown = PAGE;
    this.list = h("div", { className: "findings" });
    this.status = h("p", { role: "status" });
    const counts = Object.entries(found.classes).map(([name, count]) => `${name} ${number(count)}`).slice(0, 20).join(", ");
    const filters = h("div", { className: "filters", role: "group", ariaLabel: "Findings" },
      [["", `all images with findings`], ...found.findings.map((f) => [f.kind, `${f.kind.replaceAll("_", " ")} (${number(f.rows.length)})`])]
        .map(([kind, text]) => button(text, () => this.choose(kind), { "data-kind": kind, ariaPressed: kind === this.filter })));
    this.filters = filters;
    const preview = h("section", {});
    replace(content,
      h("p", {}, `${found.name}: ${number(found.images)} of ${number(found.files)} files are readable images${counts ? `; ${counts}` : ""}`),
      commandBox(command),
      found.findings.length ? filters : h("p", { className: "quiet" }, "No findings."),
      found.correctable && this.classes.length ? h("p", { className: "help" }, `Keys on a selected image: ${this.classes.slice(0, 9).map((name, i) => `${i + 1} ${name}`).join(", ")}, x exclude, u undo. The images are not changed.`) : null,
      h("p", { className: "actions" }, this.undo = button("Undo", () => this.takeBack()), this.train = button("Train with the corrections", () => this.apply()), this.status),
      this.list, preview);
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.draw();
    if (data) augmentation(preview, data, signal);
  }

  choose(kind) {
    this.filter = kind;
    this.shown = PAGE;
    remember({ finding: kind });
    for (const one of this.filters.children) one.ariaPressed = one.dataset.kind === kind;
    this.draw();
  }

  // The findings of the chosen kind; of all kinds, each image once.
  #rows() {
    if (this.filter) return this.found.findings.find((f) => f.kind === this.filter)?.rows ?? [];
    const seen = new Map();
    for (const { rows } of this.found.findings) for (const row of rows) if (!seen.has(row[0])) seen.set(row[0], row);
    return [...seen.values()];
  }

  draw() {
    const rows = this.#rows();
    const about = this.found.findings.find((f) => f.kind === this.filter)?.about;
    replace(this.list, about ? h("p", { className: "quiet" }, about) : null,
      h("ul", { className: "tiles" }, rows.slice(0, this.shown).map((row, i) => this.#tile(row, i))),
      rows.length > this.shown ? button(`Show ${Math.min(PAGE, rows.length - this.shown)} more`, () => { this.shown += PAGE; this.draw(); }) : null);
    this.#say();
  }

  #tile([path, detail, label], i) {
    const corrected = this.corrections[path];
    const text = corrected === REMOVE ? "excluded" : corrected ? `${label} → ${corrected}` : label ?? "";
    const picture = label === null ? null : h("img", { src: `api/data/audit/${this.id}/picture?path=${encodeURIComponent(path)}`, loading: "lazy", alt: "", width: 132, height: 132, onerror: () => picture.remove() });
    const chooser = this.found.correctable && label !== null
      ? select([[label, label], ...this.classes.filter((name) => name !== label).map((name) => [name, name]), [REMOVE, "exclude"]], corrected ?? label,
          (event) => this.correct(path, event.target.value === label ? null : event.target.value), { ariaLabel: `Class of ${path}` })
      : null;
    return h("li", { className: `finding${corrected ? " corrected" : ""}`, tabIndex: i === 0 ? 0 : -1, "data-path": path, "data-label": label ?? "", onfocus: (event) => this.#focus(event.currentTarget) },
      picture, h("b", {}, text), h("span", { className: "path" }, path), h("small", {}, detail), chooser);
  }

  #focus(tile) {
    for (const other of this.list.querySelectorAll("li.finding")) other.tabIndex = other === tile ? 0 : -1;
  }

  #key(event) {
    const tile = event.target.closest?.("li.finding");
    if (!tile || event.target !== tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const tiles = [...this.list.querySelectorAll("li.finding")];
    const place = tiles.indexOf(tile);
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const { path, label } = tile.dataset;
    if (move) tiles[place + move]?.focus();
    else if (/^[1-9]$/.test(event.key) && this.classes[Number(event.key) - 1]) {
      const chosen = this.classes[Number(event.key) - 1];
      this.correct(path, chosen === label ? null : chosen, place + 1);
    } else if (event.key === "x") this.correct(path, REMOVE, place + 1);
    else if (event.key === "u") this.takeBack();
    else return;
    event.preventDefault();
  }

  async correct(path, label, next = null, undoable = true) {
    if (!this.found.correctable) return;
    const before = this.corrections[path] ?? null;
    try {
      this.corrections = (await post(`api/data/audit/${this.id}/correct`, { path, label })).corrections;
    } catch (error) {
      return notify(error.message, "error");
    }
    if (undoable) this.undone.push([path, before]);
    this.draw();
    const tiles = [...this.list.querySelectorAll("li.finding")];
    (next === null ? tiles.find((tile) => tile.dataset.path === path) : tiles[Math.min(next, tiles.length - 1)])?.focus();
  }

  takeBack() {
    const last = this.undone.pop();
    if (last) this.correct(last[0], last[1], null, false);
  }

  async apply() {
    try {
      const made = await post(`api/data/audit/${this.id}/apply`);
      notify(`Labels changed: ${made.changed}. Images excluded: ${made.removed}.`);
      go("train", { data: made.table });
    } catch (error) {
      notify(error.message, "error");
    }
  }

  #say() {
    const count = Object.keys(this.corrections).length;
    this.undo.disabled = !this.undone.length;
    this.train.disabled = !count;
    this.status.textContent = count ? `Corrections: ${count}, in ${this.found.file}` : "";
  }
}

// Augmented versions of a training image, with sliders for the fields of `augment`.
async function augmentation(section, data, signal) {
  const schema = (await get("api/schema", signal)).$defs.Augment.properties;
  const values = {};
  let [index, seed, asked] = [0, 0, 0];
  const pictures = h("div", { className: "augmented" });
  const command = commandBox("");
  const error = h("p", { className: "error", role: "alert" });
  const draw = async () => {
    const number = ++asked;
    try {
      const found = unpack(await postForBytes("api/data/augment", { data, augment: values, index, seed }, signal));
      if (number !== asked) return;
      error.textContent = "";
      command.show(found.command);
      replace(pictures, found.tensors.map((tensor) => {
        const canvas = h("canvas", { className: "thumb large", role: "img", ariaLabel: tensor.layer === "original" ? "Original" : "Augmented" });
        drawImage(canvas, tensor);
        return h("figure", {}, canvas, h("figcaption", {}, tensor.layer === "original" ? "original" : ""));
      }));
    } catch (problem) {
      if (problem.name !== "AbortError" && number === asked) error.textContent = problem.message;
    }
  };
  const set = (name, value, off) => {
    if (value === off) delete values[name];
    else values[name] = value;
    draw();
  };
  const range = { shift: 8, pad_crop: 8, elastic: 8, cutout: 32 };
  const control = (name, property) => {
    if (property.enum) return field(title(name), select(property.enum, property.default, (event) => set(name, event.target.value, property.default)));
    if (property.default === false) return field(title(name), h("input", { type: "checkbox", onchange: (event) => set(name, event.target.checked, false) }));
    const most = property.maximum ?? property.exclusiveMaximum ?? range[name] ?? 1;
    const whole = [property, ...(property.anyOf ?? [])].some((part) => part.type === "integer");
    const label = h("output", {}, "0");
    const input = h("input", { type: "range", min: 0, max: property.exclusiveMaximum ? 0.95 * most : most, step: whole ? 1 : most / 100, value: 0, oninput: () => {
      label.textContent = input.value;
      set(name, Number(input.value), 0);
    } });
    const made = field(title(name), input);
    made.append(label);
    return made;
  };
  const shown = ["flip", "flip_vertical", "quarter_turns", "shift", "pad_crop", "rotate", "translate", "scale", "shear", "elastic", "tone", "brightness", "contrast", "saturation", "hue", "policy", "erase", "cutout"];
  const details = h("details", { ontoggle: () => details.open && !pictures.firstChild && draw() }, h("summary", {}, "Augmentation"),
    h("div", { className: "columns" }, h("div", { className: "fields" }, shown.map((name) => control(name, schema[name]))),
      h("div", {}, error, pictures, h("p", { className: "actions" }, button("Other image", () => { index += 1; draw(); }), button("Draw again", () => { seed += 1; draw(); })), command)));
  replace(section, h("h2", {}, "Preview"), details, h("p", {}, h("a", { className: "button", href: address("train", { data }) }, "Train on this data")));
}
