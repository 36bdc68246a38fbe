// The frame of all views: navigation, and the state in the address.

import { get } from "./api.js";
import { h, notify, replace } from "./dom.js";

const VIEWS = {
  train: () => import("./views/train.js"),
  job: () => import("./views/job.js"),
  inspect: () => import("./views/inspect.js"),
  plane: () => import("./views/plane.js"),
  data: () => import("./views/data.js"),
  runs: () => import("./views/runs.js"),
  report: () => import("./views/report.js"),
};
const main = document.getElementById("main");
let leaving = new AbortController();
let current = "";

// The view and the parameters in the address: #/inspect?network=digits-1&layer=conv1.
export function state() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "train", parameters: new URLSearchParams(query ?? "") };
}

export function address(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

export const go = (view, parameters) => (location.hash = address(view, parameters));

// Store a part of the state in the address without opening the view again.
export function remember(changes) {
  const { view, parameters } = state();
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  current = address(view, Object.fromEntries(parameters));
  history.replaceState(null, "", current);
}

async function show() {
  if (location.hash === current) return;
  current = location.hash;
  const { view, parameters } = state();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const shownBelow = { job: "train", report: "runs" }[view] ?? view;
  for (const link of document.querySelectorAll("nav a")) {
    link.dataset.view === shownBelow ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  document.title = `${view[0].toUpperCase()}${view.slice(1)} · convnet studio`;
  if (!(view in VIEWS)) return replace(main, h("h1", {}, "Not found"), h("p", {}, `There is no view ${view}.`));
  try {
    const module = await VIEWS[view]();
    if (signal.aborted) return;
    replace(main);
    await module.show(main, parameters, signal);
  } catch (error) {
    if (!signal.aborted && error.name !== "AbortError") {
      notify(error.message, "error");
      if (!main.firstChild) replace(main, h("h1", {}, "This view cannot be shown"), h("p", {}, error.message));
    }
  }
}

addEventListener("hashchange", show);
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  if (event.reason?.name !== "AbortError") notify(event.reason?.message ?? String(event.reason), "error");
});
if (!location.hash) {
  const { view, ...parameters } = await get("api/start");
  if (!location.hash) history.replaceState(null, "", address(view, parameters));
}
show();
