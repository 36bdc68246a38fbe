// Elements. Text always becomes text nodes, so that names of files and classes are never read as HTML.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || (value === false && !name.startsWith("aria"))) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !["list", "form", "role"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let numbered = 0;

// A label and its control in one paragraph.
export function field(text, control, help) {
  control.id ||= `field-${++numbered}`;
  const about = help ? h("small", { id: `${control.id}-help`, className: "help" }, help) : null;
  if (about) control.setAttribute("aria-describedby", about.id);
  return h("p", { className: "field" }, h("label", { htmlFor: control.id }, text), control, about);
}

export function select(options, value, onchange, properties = {}) {
  const item = (option) => {
    const [key, text] = Array.isArray(option) ? option : [option, option];
    return h("option", { value: key, selected: String(key) === String(value) }, text);
  };
  const entries = options.map((option) =>
    option.group ? h("optgroup", { label: option.group }, option.options.map(item)) : item(option));
  return h("select", { onchange, ...properties }, entries);
}

export function button(text, onclick, properties = {}) {
  return h("button", { type: "button", onclick, ...properties }, text);
}

const FOCUSABLE = "button, a[href], input, select, [tabindex]";
const keyOf = (element) => element.dataset.key ?? element.name ?? element.ariaLabel ?? element.textContent;

// Replace the children. If one of them had the focus, the new one of that name, else of that place, gets it.
export function replace(element, ...children) {
  const focused = element.contains(document.activeElement) && document.activeElement !== element ? document.activeElement : null;
  const place = focused ? [...element.querySelectorAll(FOCUSABLE)].indexOf(focused) : -1;
  const key = focused ? keyOf(focused) : null;
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  if (focused) {
    const now = [...element.querySelectorAll(FOCUSABLE)];
    (now.find((one) => key && keyOf(one) === key) ?? now[Math.min(place, now.length - 1)])?.focus({ preventScroll: true });
  }
  return element;
}

// A message that goes away by itself; errors stay until they are dismissed.
export function notify(text, kind = "info") {
  const box = h("p", { className: `message ${kind}` }, text, button("×", () => box.remove(), { ariaLabel: "Dismiss" }));
  document.getElementById("messages").append(box);
  if (kind === "info") setTimeout(() => box.remove(), 6000);
}

// The command that does the same as the page, with a button that copies it.
export function commandBox(text) {
  const code = h("code", {}, text);
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(code.textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  const box = h("div", { className: "command", role: "group", ariaLabel: "Equivalent command" }, code, copy);
  box.show = (next) => {
    code.textContent = next ?? "";
    box.hidden = !next;
  };
  box.show(text);
  return box;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0"; // also for -0
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : value.toPrecision(digits);
}

export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)}%`);

export function bytes(count) {
  return count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}
