// The report of a run, or a comparison of runs, in a frame of its own.

import { commandBox, h } from "../dom.js";
import { address } from "../address.js";

export async function show(root, parameters) {
  const [run, comparison] = [parameters.get("run"), parameters.get("comparison")];
  const source = run ? `api/runs/report?run=${encodeURIComponent(run)}` : `api/runs/comparison?name=${encodeURIComponent(comparison)}`;
  const name = run ?? comparison;
  root.append(
    h("h1", {}, run ? `Report of ${run}` : "Comparison"),
    h("p", { className: "actions" },
      h("a", { className: "button", href: source, target: "_blank", rel: "noopener" }, "Open in a new tab"),
      run ? h("a", { className: "button", href: address("inspect", { network: run }) }, "Inspect") : null,
      h("a", { className: "button", href: address("runs") }, "All runs")),
    commandBox(run ? `convnet report ${parameters.get("path") ?? `runs/${run}`}` : parameters.get("command")),
    h("iframe", { className: "report", src: source, title: `${run ? "Report" : "Comparison"}: ${name}` }),
  );
}
