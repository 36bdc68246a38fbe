// Choose data and a recipe, change its fields, and start training.

import { get, post, upload } from "../api.js";
import { button, commandBox, field, h, notify, replace, select } from "../dom.js";
import { RecipeForm } from "../form.js";
import { address, go, remember } from "../address.js";

const DEMO = "convnetjs-cifar10";

export async function show(root, parameters, signal) {
  const [sets, recipes, schema] = await Promise.all([get("api/data", signal), get("api/recipes", signal), get("api/schema", signal)]);
  let word = parameters.get("data") ?? "digits";
  let changes = JSON.parse(parameters.get("changes") ?? "{}");
  let wanted = { word, changes }; // the latest input, which may not be checked yet
  let checked = Promise.resolve(false);
  const error = h("p", { className: "error", role: "alert" });
  const command = commandBox("");
  const expected = h("p", { className: "quiet" });
  const form = new RecipeForm(schema, (path, value) => {
    const next = { ...wanted.changes };
    for (const name of Object.keys(next)) if (name.startsWith(`${path}.`)) delete next[name];
    next[path] = value;
    resolve(wanted.word, next, path);
  });
  const words = [...sets.map((set) => set.name), ...recipes.map((recipe) => recipe.name)];
  const chooser = () =>
    select(
      [
        ...(words.includes(word) ? [] : [[word, word]]),
        { group: "Data sets", options: sets.map((set) => [set.name, `${set.name}: ${set.title}`]) },
        { group: "Recipes", options: recipes.filter((r) => !sets.some((set) => set.name === r.name)).map((r) => [r.name, `${r.name}: ${r.summary}`]) },
      ],
      word,
      (event) => resolve(event.target.value, {}),
      { id: "word" },
    );
  const choice = h("div");
  let asked = 0;

  function resolve(nextWord, nextChanges, path = null) {
    wanted = { word: nextWord, changes: nextChanges };
    checked = check(nextWord, nextChanges, path);
    return checked;
  }

  // Whether a recipe is valid; it is shown if it is.
  async function check(nextWord, nextChanges, path) {
    const number = ++asked;
    error.textContent = "";
    form.mark(null);
    try {
      const found = await post("api/recipe", { word: nextWord, changes: nextChanges }, signal);
      if (number !== asked) return checked;
      [word, changes] = [nextWord, nextChanges];
      form.show(found.recipe);
      command.show(found.command);
      start.disabled = false;
      const named = recipes.find((recipe) => recipe.name === word);
      expected.textContent = named ? `Measured with this recipe: ${named.expected}` : "";
      remember({ data: word, changes: Object.keys(changes).length ? JSON.stringify(changes) : null });
      replace(choice, field("Data or recipe", chooser()));
      return true;
    } catch (problem) {
      if (number !== asked) return checked;
      if (problem.name === "AbortError") return false;
      error.textContent = problem.message;
      form.mark(path, problem.message);
      if (!choice.firstChild) replace(choice, field("Data or recipe", chooser()));
      return false;
    }
  }

  async function submit(order) {
    start.disabled = true;
    if (!(await checked)) {
      start.disabled = false;
      return;
    }
    try {
      const { jobs } = await post("api/jobs", { word, changes, ...order });
      go("job", { n: jobs[0], with: jobs[1] });
    } catch (problem) {
      error.textContent = problem.message;
      start.disabled = false;
    }
  }

  async function take(file) {
    const bar = h("progress", { max: 1, value: 0, ariaLabel: `Uploading ${file.name}` });
    replace(sent, `Uploading ${file.name} `, bar);
    try {
      await resolve(await upload(file, (part) => (bar.value = part)), {});
      replace(sent, `${file.name} is uploaded`);
    } catch (problem) {
      replace(sent);
      error.textContent = problem.message;
    }
  }

  const sent = h("span", { role: "status" });
  const file = h("input", { type: "file", accept: ".zip,.csv,.npz,.tar,.arff", onchange: () => file.files[0] && take(file.files[0]) });
  const start = button("Train", () => submit({ paused: paused.checked }), { className: "primary", disabled: true });
  const rival = select(Object.keys(schema.components.optimizer), "momentum", null, { ariaLabel: "The other optimizer" });
  const paused = h("input", { type: "checkbox", id: "paused" });
  const demo = h("section", { className: "demo" },
    h("h2", {}, "The lecture's demo"),
    h("p", {}, "ConvNetJS's network on CIFAR-10, trained live with Adadelta, flips and shifts of 2 pixels."),
    button("Start the demo", async () => {
      await resolve(DEMO, {});
      if (word === DEMO) await submit({});
    }));
  const drop = h("div", { className: "drop" }, field("Or upload a zip archive or a table", file, "A zip with one folder of images per class. It stays on this machine."), sent);
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  const jobs = h("section", {}, h("h2", {}, "Jobs"));
  root.append(
    h("h1", {}, "Train a network"),
    h("div", { className: "columns" },
      h("section", { ariaLabel: "Data" }, choice, folderBrowser((path) => resolve(path, {}), signal), drop, expected),
      demo),
    h("section", { className: "start", ariaLabel: "Start" },
      h("p", { className: "actions" }, start, h("label", { htmlFor: "paused" }, paused, " Start paused"),
        h("span", { className: "race" }, button("Race", () => submit({ rival: rival.value })), " against ", rival)),
      error, command), // below the buttons, which must not move while they are clicked
    h("section", {}, h("h2", {}, "Recipe"), form.element),
    jobs,
  );
  await resolve(word, changes);
  listJobs(jobs, signal);
}

// A button that opens a list of the folders that the studio may read.
function folderBrowser(chosen, signal) {
  const list = h("ul", { className: "folders" });
  const place = h("p", { className: "quiet" });
  const use = button("Use this folder", () => chosen(use.value));
  const open = async (path) => {
    const found = await get(`api/folders?path=${encodeURIComponent(path)}`, signal);
    place.textContent = found.path || "Folders of the studio";
    use.hidden = !found.path;
    use.value = found.path;
    const name = (full) => full.split(/[\\/]/).filter(Boolean).at(-1);
    replace(list,
      found.parent !== null ? h("li", {}, button("↑ Up", () => open(found.parent))) : null,
      found.folders.map((folder) => h("li", {}, button(`${name(folder)}/`, () => open(folder)))),
      found.files.map((file) => h("li", {}, button(name(file), () => chosen(file)))));
  };
  const details = h("details", { ontoggle: () => details.open && !list.firstChild && open("").catch((problem) => notify(problem.message, "error")) },
    h("summary", {}, "Or choose a folder"), place, list, use);
  use.hidden = true;
  return details;
}

async function listJobs(section, signal) {
  const table = h("div");
  section.append(table);
  let shown = "";
  while (!signal.aborted) {
    const jobs = await get("api/jobs", signal).catch(() => null);
    if (signal.aborted) return;
    const now = JSON.stringify(jobs?.map((job) => [job.number, job.state, job.paused, job.epoch, job.message]));
    if (jobs && now !== shown) {
      shown = now;
      replace(table, jobs.length
        ? h("ul", { className: "jobs" }, jobs.map((job) => h("li", {},
            h("a", { href: address("job", { n: job.group, with: jobs.find((other) => other.group === job.group && other.number !== job.group)?.number }) }, `${job.number}: ${job.title}`),
            ` ${job.paused ? "paused" : job.state}${job.epochs ? `, epoch ${job.epoch} of ${job.epochs}` : ""}${job.state === "failed" ? `: ${job.message}` : ""}`)))
        : h("p", { className: "quiet" }, "Nothing is being trained."));
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}
