// The curves of one run, or of two in a race.

import { LineChart } from "../charts.js";
import { h, number, percent } from "../dom.js";
import { asText } from "../form.js";

const REDRAW = 250;

export class Charts {
  constructor() {
    this.panels = [];
    this.loss = new LineChart({ title: "Loss", across: "step", logarithmic: true });
    this.score = new LineChart({ title: "Accuracy", across: "step", unit: percent });
    this.element = h("div", { className: "charts" }, this.loss.element, this.score.element);
    this.due = 0;
  }

  plan() {
    if (this.due) return;
    this.due = setTimeout(() => requestAnimationFrame(() => { this.due = 0; this.draw(); }), REDRAW);
  }

  draw() {
    const [losses, scores, marks] = [[], [], []];
    this.panels.forEach((panel, i) => {
      const name = this.panels.length > 1 ? `${panel.optimizer} ` : "";
      const style = this.panels.length > 1 ? 2 * i : 0;
      const other = this.panels.length > 1 ? 2 * i : 1;
      const { loss, score } = panel.smoothed();
      losses.push({ name: `${name}per step`, points: panel.steps.map((row) => [row[0], row[2]]), style, faint: true });
      losses.push({ name: `${name}training`, points: loss, style });
      losses.push({ name: `${name}validation`, points: panel.epochs.map((row) => [row[1], row[4]]), style: other, dashed: true });
      scores.push({ name: `${name}training`, points: score, style });
      scores.push({ name: `${name}validation`, points: panel.epochs.map((row) => [row[1], row[5]]), style: other, dashed: true });
      marks.push(...panel.changes.map(([step, name, value]) => [step, `step ${step}: ${name} = ${asText(value)}`]));
    });
    this.loss.draw(losses, marks);
    const score = this.panels[0]?.facts?.score;
    if (score) {
      this.score.title = this.score.element.firstChild.textContent = score.label[0].toUpperCase() + score.label.slice(1);
      if (!score.percent) this.score.unit = (value) => number(value, 4);
    }
    this.score.draw(scores, marks);
  }
}
