// The form of a recipe, from its JSON schema.

import { button, field, h, select } from "./dom.js";

const HIDDEN = ["name", "metrics"];
const FIRST_FIELDS = { early_stopping: ["early_stopping.patience", 5], weights: ["weights.source", "imagenet"] };
const FIRST = ["model", "optimizer", "epochs", "batch_size", "augment", "schedule"];
const WORDS = {
  lr: "Learning rate", l1: "L1", l2: "L2", ema: "EMA", batch_size: "Batch size", clip_norm: "Clip gradient norm",
};

export function title(name) {
  return WORDS[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");
}

// A value as text of a field, and back.
export const asText = (value) => (value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));

export function asValue(text) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  try {
    return JSON.parse(trimmed);
  } catch {
    return trimmed;
  }
}

// A control for one field; `changed(value)` is called when the user has changed it.
export function control(schema, value, changed) {
  const kinds = schema.anyOf ?? [schema];
  if (schema.enum) return select(schema.enum, value, (event) => changed(event.target.value));
  if (schema.type === "boolean") return h("input", { type: "checkbox", checked: Boolean(value), onchange: (event) => changed(event.target.checked) });
  const numeric = kinds.some((kind) => kind.type === "number" || kind.type === "integer");
  return h("input", {
    type: "text", inputMode: numeric && kinds.length === 1 ? "decimal" : "text", value: asText(value), spellcheck: false,
    placeholder: kinds.some((kind) => kind.type === "null") ? "none" : "", onchange: (event) => changed(asValue(event.target.value)),
  });
}

export class RecipeForm {
  // `changed(path, value)` is called for every change of a field.
  constructor(schema, changed) {
    this.schema = schema;
    this.changed = changed;
    this.element = h("div", { className: "recipe" });
    this.shape = null;
    this.controls = new Map();
  }

  // Show the values of a recipe; the form is built anew if other fields apply.
  show(recipe) {
    const shape = JSON.stringify(Object.entries(recipe).map(([name, value]) => [name, value?.name, value && Object.keys(value)]));
    if (shape !== this.shape) this.#build(recipe);
    this.shape = shape;
    for (const [path, control] of this.controls) {
      if (control === document.activeElement) continue;
      const value = path.split(".").reduce((place, part) => place?.[part], recipe);
      if (control.type === "checkbox") control.checked = Boolean(value);
      else control.value = asText(value);
    }
  }

  // Show a message beside a field; without one, remove the last.
  mark(path, message = "") {
    this.problem?.remove();
    this.marked?.removeAttribute("aria-invalid");
    this.marked = this.controls.get(path) ?? null;
    if (!this.marked) return;
    this.marked.setAttribute("aria-invalid", "true");
    this.problem = h("small", { className: "error" }, message);
    this.marked.closest(".field").append(this.problem);
  }

  #build(recipe) {
    this.controls.clear();
    const names = Object.keys(this.schema.properties).filter((name) => !HIDDEN.includes(name) && name in recipe);
    const simple = names.filter((name) => recipe[name] === null || typeof recipe[name] !== "object");
    const sections = names.filter((name) => !simple.includes(name));
    const open = new Set([...this.element.querySelectorAll("details[open]")].map((part) => part.dataset.name));
    const ordered = [...FIRST, ...sections, ...simple].filter((name, i, all) => names.includes(name) && all.indexOf(name) === i);
    const main = ordered.filter((name) => simple.includes(name) && FIRST.includes(name));
    const other = simple.filter((name) => !main.includes(name) && !this.#document(name));
    const unused = simple.filter((name) => this.#document(name) && name in FIRST_FIELDS);
    this.element.replaceChildren(
      h("div", { className: "fields" }, main.map((name) => this.#field(name, this.schema.properties[name], recipe[name]))),
      ...ordered.filter((name) => sections.includes(name)).map((name) => this.#section(name, recipe[name], open.has(name) || name === "optimizer" || name === "model")),
      h("details", { open: open.has("more"), "data-name": "more" }, h("summary", {}, "More"),
        h("div", { className: "fields" }, other.map((name) => this.#field(name, this.schema.properties[name], recipe[name]))),
        unused.length ? h("p", { className: "actions" }, unused.map((name) => button(`Use ${title(name).toLowerCase()}`, () => this.changed(...FIRST_FIELDS[name])))) : null),
    );
  }

  // The schema of the section that a field holds, if it holds one.
  #document(name) {
    const property = this.schema.properties[name];
    const link = [property, ...(property.anyOf ?? []), ...(property.allOf ?? [])].map((part) => part.$ref).find(Boolean);
    return link ? this.schema.$defs[link.split("/").at(-1)] : null;
  }

  #field(path, schema, value) {
    const made = control(schema ?? {}, value, (next) => this.changed(path, next));
    this.controls.set(path, made);
    made.name = path;
    return field(title(path.split(".").at(-1)), made, schema?.description);
  }

  #section(name, value, open) {
    const names = this.schema.components[name];
    const fields = [];
    if (names) {
      const chosen = select(Object.keys(names), value.name, (event) => this.changed(name, event.target.value));
      if (!(value.name in names)) chosen.append(h("option", { value: value.name, selected: true }, value.name));
      this.controls.set(`${name}.name`, chosen);
      chosen.name = `${name}.name`;
      fields.push(field(title(name), chosen, names[value.name]?.summary));
    }
    const document = names ? names[value.name] : this.#document(name);
    for (const [key, inner] of Object.entries(value)) {
      if ((key !== "name" || !names) && !(name === "data" && key === "source")) fields.push(this.#field(`${name}.${key}`, document?.properties?.[key], inner));
    }
    const summary = names ? `${title(name)}: ${value.name}` : title(name);
    return h("details", { open, "data-name": name }, h("summary", {}, summary), h("div", { className: "fields" }, fields));
  }
}
