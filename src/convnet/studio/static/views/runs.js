// The table of runs: reports, comparison, export, serving, the trash.

import { get, post } from "../api.js";
import { button, bytes, commandBox, field, h, notify, number, percent, replace } from "../dom.js";
import { address, go, remember } from "../address.js";

const COLUMNS = [
  ["name", "Run"], ["data", "Data"], ["model", "Network"], ["epochs", "Epochs"], ["score", "Score"], ["bytes", "Size"], ["date", "Date"], ["state", "State"],
];
const REFRESH = 2000;

export async function show(root, parameters, signal) {
  let rows = [];
  let shown = "";
  let sort = parameters.get("sort") ?? "date";
  let down = (parameters.get("down") ?? "1") === "1";
  let filter = parameters.get("filter") ?? "";
  const chosen = new Set(parameters.get("run") ? [parameters.get("run")] : []);
  const command = commandBox("convnet runs");
  const table = h("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table of runs" });
  const actions = h("div", { className: "actions", role: "toolbar", ariaLabel: "Actions for the selected runs" });
  const said = h("div", { role: "status" });
  const trash = h("section", {});
  const search = h("input", { type: "search", value: filter, oninput: () => {
    filter = search.value;
    remember({ filter });
    draw();
  } });
  root.append(h("h1", {}, "Runs"), field("Filter", search), actions, said, table, trash, command);

  const score = (row) => (row.score === null ? "–" : row.metric === "PSNR" ? `${row.score.toFixed(2)} dB` : percent(row.score));
  const cells = {
    name: (row) => h("a", { href: row.state === "finished" ? address("report", { run: row.name }) : row.job ? address("job", { n: row.job }) : address("runs", { run: row.name }) }, row.name),
    epochs: (row) => (row.planned ? `${row.epochs}/${row.planned}` : "–"),
    score,
    bytes: (row) => bytes(row.bytes),
    date: (row) => row.date.replace("T", " ").slice(0, 16),
    state: (row) => [row.state, row.served ? h("a", { href: row.served, target: "_blank", rel: "noopener", className: "served" }, ` served at ${row.served}`) : row.bundle ? " exported" : ""],
  };

  function draw() {
    const wanted = filter.toLowerCase();
    const found = rows.filter((row) => `${row.name} ${row.data} ${row.model} ${row.state}`.toLowerCase().includes(wanted));
    found.sort((a, b) => {
      const [x, y] = [a[sort] ?? -Infinity, b[sort] ?? -Infinity];
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
    const focused = document.activeElement?.dataset?.key;
    replace(table, found.length ? h("table", { className: "runs" },
      h("caption", {}, `${found.length} of ${rows.length} runs`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { className: "hidden" }, "Selected")),
        COLUMNS.map(([key, text]) => h("th", { scope: "col", ariaSort: sort === key ? (down ? "descending" : "ascending") : null },
          button(`${text}${sort === key ? (down ? " ↓" : " ↑") : ""}`, () => {
            down = sort === key ? !down : true;
            sort = key;
            remember({ sort, down: down ? "1" : "0" });
            draw();
          }, { className: "sort", "data-key": `sort-${key}` }))))),
      h("tbody", {}, found.map((row) => h("tr", { className: chosen.has(row.name) ? "chosen" : "" },
        h("td", {}, h("input", { type: "checkbox", checked: chosen.has(row.name), ariaLabel: `Select ${row.name}`, "data-key": `row-${row.name}`, onchange: (event) => {
          event.target.checked ? chosen.add(row.name) : chosen.delete(row.name);
          draw();
        } })),
        COLUMNS.map(([key]) => h("td", { className: `column-${key}` }, cells[key]?.(row) ?? row[key]))))),
    ) : h("p", { className: "quiet" }, rows.length ? "No run matches the filter." : "There are no runs yet. Train one in the view Train."));
    if (focused) table.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    toolbar();
  }

  function toolbar() {
    const selected = rows.filter((row) => chosen.has(row.name));
    const one = selected.length === 1 ? selected[0] : null;
    const done = selected.length && selected.every((row) => row.state === "finished");
    replace(actions,
      h("span", { className: "quiet" }, selected.length ? `${selected.length} selected` : "Select runs to compare, export, serve or delete them."),
      one && done ? h("a", { className: "button", href: address("inspect", { network: one.name }) }, "Inspect") : null,
      one && !done && !one.job ? button("Resume", () => act(async () => go("job", { n: (await post("api/resume", { run: one.name })).jobs[0] }))) : null,
      selected.length > 1 && done ? button("Compare", () => act(async () => {
        const made = await post("api/runs/compare", { runs: selected.map((row) => row.name) });
        go("report", { comparison: made.comparison, command: made.command });
      })) : null,
      one && done ? h("a", { className: "button", href: address("data", { run: one.name }) }, "Review labels") : null,
      one && done ? button(one.bundle ? "Export again" : "Export", () => act(() => exportRun(one))) : null,
      one?.bundle && !one.served ? button("Serve", () => act(async () => {
        const made = await post("api/runs/serve", { bundle: one.bundle });
        command.show(made.command);
        notify(`served at ${made.address}`);
      })) : null,
      one?.served ? button("Stop serving", () => act(() => post("api/runs/unserve", { bundle: one.bundle }))) : null,
      selected.length ? button(`Delete (${bytes(selected.reduce((sum, row) => sum + row.bytes, 0))})`, () => act(() => remove(selected)), { className: "danger" }) : null,
    );
  }

  async function exportRun(row) {
    said.textContent = `Exporting ${row.name}; every format is compared with the network …`;
    try {
      const made = await post("api/runs/export", { run: row.name });
      command.show(made.command);
      const { parity } = made;
      said.textContent = `Exported to ${made.bundle}: ${made.formats.join(", ")}; the largest difference of an output is ${number(parity.max_difference, 2)} on ${parity.images} images.`;
    } catch (error) {
      said.textContent = "";
      throw error;
    }
  }

  async function remove(selected) {
    const moved = [];
    try {
      for (const row of selected) {
        moved.push([row.name, (await post("api/runs/delete", { run: row.name })).trash]);
        chosen.delete(row.name);
      }
    } finally {
      if (moved.length) replace(said, `Moved to the trash: ${moved.map(([name]) => name).join(", ")}. `, button("Undo", () => act(async () => {
        for (const [, trash] of moved) await post("api/runs/restore", { trash });
        replace(said, "Restored.");
      })));
    }
  }

  async function act(action) {
    try {
      await action();
    } catch (error) {
      notify(error.message, "error");
    }
    if (!signal.aborted) await load();
  }

  async function showTrash() {
    const found = await get("api/runs/trash", signal);
    replace(trash, found.bytes ? [h("h2", {}, `Trash: ${bytes(found.bytes)}`),
      h("ul", {}, found.runs.map((name) => h("li", {}, `${name.slice(name.indexOf("/") + 1)} `, button("Restore", () => act(() => post("api/runs/restore", { trash: name })))))),
      button("Delete permanently", () => act(() => post("api/runs/empty-trash")), { className: "danger" })] : null);
  }

  async function load() {
    rows = await get("api/runs", signal);
    const now = JSON.stringify(rows);
    if (now === shown) return;
    shown = now;
    for (const name of [...chosen]) if (!rows.some((row) => row.name === name)) chosen.delete(name);
    draw();
    await showTrash();
  }

  await load();
  draw();
  (async () => {
    while (!signal.aborted) {
      await new Promise((done) => setTimeout(done, REFRESH));
      if (!signal.aborted && !document.hidden) await load().catch(() => {});
    }
  })();
}
