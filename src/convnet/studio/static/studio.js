// The frame of all views: navigation.

import { address, shown, state } from "./address.js";
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

async function show() {
  if (location.hash === shown.hash) return;
  shown.hash = location.hash;
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
