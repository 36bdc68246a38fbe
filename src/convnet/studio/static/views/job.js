// Watch a run being trained, and change it: curves, held-out images, layers.

import { connect, getBytes, post } from "../api.js";
import { button, commandBox, field, h, notify, number, percent, replace, select } from "../dom.js";
import { asText, asValue, title } from "../form.js";
import { drawImage } from "../maps.js";
import { address } from "../address.js";
import { unpack } from "../tensors.js";
import { Charts } from "./curves.js";
import { Layers } from "./layers.js";

const ENDED = ["finished", "stopped", "failed"];

export async function show(root, parameters, signal) {
  const numbers = [parameters.get("n"), parameters.get("with")].filter(Boolean);
  const charts = new Charts();
  const panels = numbers.map((n, i) => new Panel(n, i, charts, signal));
  root.append(
    h("h1", {}, numbers.length > 1 ? "Race" : "Training"),
    charts.element,
    h("div", { className: numbers.length > 1 ? "race-panels" : "" }, panels.map((panel) => panel.element)),
  );
  charts.panels = panels;
  panels.forEach((panel) => panel.connect());
}

class Panel {
  constructor(job, place, charts, signal) {
    Object.assign(this, { job, place, charts, signal });
    [this.steps, this.epochs, this.changes, this.facts] = [[], [], [], null];
    this.curves = { loss: [], score: [] };
    this.status = h("p", { className: "status", role: "status" });
    this.bar = h("progress", { max: 1, value: 0, ariaLabel: "Progress" });
    this.figures = h("p", { className: "figures" });
    this.actions = h("p", { className: "actions" });
    this.controls = h("div", { className: "fields" });
    this.log = h("pre", { className: "log", tabIndex: 0, ariaLabel: "Log" });
    this.made = h("ul", { className: "changes" });
    this.command = commandBox("");
    this.answers = h("div", { className: "answers" });
    this.layers = new Layers(this);
    this.ended = h("div");
    this.heading = h("h2", {}, `Job ${job}`);
    this.element = h("section", { className: "panel", ariaLabel: `Job ${job}` },
      this.heading, this.status, this.bar, this.figures, this.actions, this.ended, this.command,
      h("details", { open: true }, h("summary", {}, "Change while it runs"), this.controls, this.made),
      h("section", {}, h("h3", {}, "Held-out images"), this.answers),
      this.layers.element,
      h("details", {}, h("summary", {}, "Log"), this.log));
  }

  get optimizer() {
    return this.facts?.recipe.optimizer.name ?? `job ${this.job}`;
  }

  // Running means, as losses are noisy from step to step; only new steps are added.
  smoothed() {
    const kept = 1 - 1 / Math.max(10, (this.perEpoch || 0) / 100); // over a hundredth of an epoch
    if (this.curves.done > this.steps.length) this.curves = { loss: [], score: [] };
    for (const row of this.steps.slice(this.curves.done ?? 0)) {
      for (const [name, value] of [["loss", row[2]], ["score", row[3]]]) {
        const before = this.curves[name].at(-1)?.[1];
        if (Number.isFinite(value)) this.curves[name].push([row[0], before === undefined ? value : kept * before + (1 - kept) * value]);
      }
    }
    this.curves.done = this.steps.length;
    return this.curves;
  }

  connect() {
    this.socket = connect(`api/jobs/${this.job}/live`, {
      opened: () => this.layers.watch(),
      text: (message) => this.#take(message),
      binary: (buffer) => this.#frame(buffer),
      missing: () => this.#missing(),
    }, this.signal);
  }

  #missing() {
    replace(this.element, h("p", {}, "This job does not exist; the studio was restarted. "), h("a", { href: address("runs") }, "Open its run in Runs"));
  }

  #take(message) {
    const { type } = message;
    if (type === "snapshot") {
      if (this.start && this.start !== message.start) return location.reload(); // another start of the studio
      this.start = message.start ?? this.start;
      this.curves = { loss: [], score: [] };
      [this.steps, this.epochs, this.changes] = [message.steps, message.epoch_rows, message.changes];
      this.log.textContent = message.log.join("\n");
      if (message.facts) this.#start(message.facts);
      if (message.has_images) this.#images();
      this.#state(message);
      if (message.answers) this.#answer(message.answers);
      this.#listChanges();
    } else if (type === "state") this.#state(message);
    else if (type === "images") this.#images();
    else if (type === "steps") {
      this.steps.push(...message.rows);
      this.perEpoch = message.per_epoch || this.perEpoch;
    }
    else if (type === "epoch") {
      this.epochs.push(message.row);
      this.speed = message.seconds ? message.images / message.seconds : null;
    } else if (type === "history") {
      [this.steps, this.epochs, this.changes] = [message.steps, message.epochs, message.changes];
      this.curves = { loss: [], score: [] };
      this.#listChanges();
    } else if (type === "change") {
      this.changes = message.rows;
      this.command.show(message.command);
      this.#listChanges();
      if (message.recipe) this.#fields(message.recipe, message.changeable);
    } else if (type === "answers") this.#answer(message);
    else if (type === "log") this.log.textContent += `${message.text}\n`;
    this.#figures();
    this.charts.plan();
  }

  #start(facts) {
    const first = this.facts === null;
    this.facts = facts;
    this.perEpoch = facts.steps_per_epoch;
    this.heading.textContent = `${facts.recipe.name}: ${facts.recipe.model.name}, ${facts.recipe.optimizer.name}`;
    this.#fields(facts.recipe, facts.changeable);
    if (first) this.layers.build(facts.layers);
    this.layers.watch();
  }

  // The fields that can be changed, with their present values.
  #fields(recipe, changeable) {
    this.present = recipe;
    replace(this.controls, changeable.map((name) => this.#control(name)));
  }

  // A field that can be changed during training.
  #control(name) {
    const value = name.split(".").reduce((place, part) => place?.[part], this.present);
    const problem = h("small", { className: "error", role: "alert" });
    const send = async (next) => {
      problem.textContent = "";
      try {
        await post(`api/jobs/${this.job}/change`, { field: name, value: next });
      } catch (error) {
        problem.textContent = error.message;
      }
    };
    const control = name === "optimizer"
      ? select([...new Set([value.name, ...this.facts.optimizers])], value.name, (event) => send(event.target.value))
      : typeof value === "boolean"
        ? h("input", { type: "checkbox", checked: value, onchange: (event) => send(event.target.checked) })
        : h("input", { type: "text", value: asText(value), spellcheck: false, onchange: (event) => send(asValue(event.target.value)) });
    control.name = name;
    const [section, option] = name.split(".");
    const label = option ? `${title(option)}${section === "model" ? " (model)" : ""}` : title(name);
    const made = field(label, control);
    made.append(problem);
    return made;
  }

  #state(message) {
    Object.assign(this, { state: message.state, paused: message.paused, result: message.result, run: message.run });
    this.name = message.name;
    this.command.show(message.command);
    const text = { queued: "Queued", preparing: "Preparing", running: this.paused ? "Paused" : "Training", finished: "Finished", stopped: "Stopped", failed: "Failed" }[this.state];
    this.status.textContent = this.state === "failed" || (this.state === "stopped" && message.message) ? `${text}: ${message.message}` : text;
    this.status.className = `status ${this.state}`;
    // In a race, both runs are paused, stepped and stopped together.
    const act = (verb, label, properties) => button(label, () => {
      for (const panel of this.charts.panels) {
        if (!ENDED.includes(panel.state)) post(`api/jobs/${panel.job}/${verb}`).catch((error) => notify(error.message, "error"));
      }
    }, properties);
    const running = this.state === "running";
    replace(this.actions,
      running && !this.paused ? act("pause", "Pause") : null,
      running && this.paused ? act("resume", "Resume", { className: "primary" }) : null,
      running ? act("step", "One step") : null,
      running ? act("save", "Save") : null,
      ENDED.includes(this.state) ? null : act("stop", "Stop"),
      running ? act("finish", "Finish now") : null);
    replace(this.ended, ENDED.includes(this.state) ? this.#next() : null);
    this.controls.inert = !running;
    this.layers.element.hidden = ENDED.includes(this.state) && !this.layers.seen;
  }

  // What can be done with a run that has ended.
  #next() {
    const { name } = this;
    if (this.state !== "finished") {
      return this.run ? h("p", { className: "actions" }, button("Resume the run", async () => {
        const { jobs } = await post("api/resume", { run: name });
        location.hash = address("job", { n: jobs[0] });
      })) : null;
    }
    const { test, val, seconds } = this.result;
    const held = test ?? val ?? {};
    const score = this.facts?.score;
    const figure = score && held[score.key] !== undefined ? `${test ? "Test" : "Validation"} ${score.label}: ${score.percent ? percent(held[score.key]) : number(held[score.key])} (n = ${number(held.samples)}), trained in ${seconds.toFixed(1)} s.` : "";
    return [h("p", { className: "result" }, figure),
      h("p", { className: "actions" },
        h("a", { className: "button", href: address("report", { run: name }) }, "Report"),
        h("a", { className: "button", href: address("inspect", { network: name }) }, "Inspect"),
        h("a", { className: "button", href: address("runs", { run: name }) }, "Runs"))];
  }

  #figures() {
    if (!this.facts) return;
    const [step, lr, loss, score] = this.steps.at(-1) ?? [0, null, null, null];
    const { epochs } = this.facts;
    const done = this.epochs.length;
    const within = this.perEpoch ? (step - (this.epochs.at(-1)?.[1] ?? 0)) / this.perEpoch : 0;
    this.bar.value = this.state === "finished" ? 1 : epochs ? Math.min(1, (done + Math.min(1, Math.max(0, within))) / epochs) : 0;
    const { label, percent: share } = this.facts.score;
    const figures = [`step ${number(step)}`, `epoch ${done} of ${epochs}`, `learning rate ${number(lr, 3)}`, `loss ${number(loss)}`, `${label} ${share ? percent(score) : number(score)}`];
    if (this.speed) figures.push(`${number(Math.round(this.speed))} samples/s`);
    this.figures.textContent = figures.join(" · ");
    this.element.dataset.step = step;
  }

  #listChanges() {
    replace(this.made, this.changes.map(([step, name, value]) => h("li", {}, `step ${number(step)}: ${name} = ${asText(value?.name ?? value)}`)));
  }

  async #images() {
    if (this.pictures) return;
    this.pictures = [];
    const { tensors } = unpack(await getBytes(`api/jobs/${this.job}/images`, this.signal));
    const classes = this.facts.classes;
    this.pictures = tensors.map((tensor, i) => {
      const canvas = h("canvas", { className: "thumb" });
      drawImage(canvas, tensor);
      const label = classes.length && this.facts.targets.length ? asLabel(this.facts.targets[i], classes) : "";
      const answer = h("span", { className: "answer" }, label);
      const tile = h("button", { type: "button", className: "tile", title: `Show the layers for this image (${label})`, onclick: () => this.layers.show(i) }, canvas, answer);
      return { tile, answer, label };
    });
    replace(this.answers, this.pictures.map((picture) => picture.tile));
    if (this.last) this.#answer(this.last);
  }

  // The network's present answers, and whether they are right.
  #answer(message) {
    this.last = message;
    if (!this.pictures?.length || !this.facts.targets.length) return;
    const { classes, targets } = this.facts;
    let right = 0;
    message.probabilities.forEach((row, i) => {
      const picture = this.pictures[i];
      if (!picture) return;
      const order = row.map((p, k) => [p, k]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      const good = Array.isArray(targets[i]) ? targets[i].every((t, k) => t === (row[k] >= 0.5 ? 1 : 0)) : order[0][1] === targets[i];
      right += good;
      picture.tile.classList.toggle("right", good);
      picture.tile.classList.toggle("wrong", !good);
      replace(picture.answer, h("b", {}, `${good ? "✓" : "✗"} ${picture.label}`),
        order.map(([p, k]) => h("span", { className: "share" }, h("i", { className: "fill" }), `${classes[k]} ${(100 * p).toFixed(0)}%`)));
      [...picture.answer.querySelectorAll(".fill")].forEach((bar, j) => (bar.style.width = `${100 * order[j][0]}%`));
    });
    this.answers.ariaLabel = `${right} of ${message.probabilities.length} right`;
  }

  #frame(buffer) {
    requestAnimationFrame(() => {
      const frame = unpack(buffer);
      this.layers.draw(frame);
      this.socket.send({ type: "drawn" });
    });
  }
}

const asLabel = (target, classes) => (Array.isArray(target) ? target.flatMap((t, i) => (t ? [classes[i]] : [])).join(", ") || "none" : classes[target]);
