// Points in the plane, the decision regions of a small network, and how its hidden layers transform the plane.

import { connect } from "../api.js";
import { button, commandBox, field, h, notify, number, percent, replace, select } from "../dom.js";
import { CLASSES } from "../colors.js";
import { remember } from "../address.js";
import { unpack } from "../tensors.js";

const LIMIT = 1.2, SIDE = 480, NEAR = 0.06, STEP = 0.05;
const [LINES, PER_LINE] = [13, 49];
const MOST_IN_ADDRESS = 250;
const asPoints = (text) => text?.split(";").map((point) => point.split(",").map(Number)) ?? null;
const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

const MAKERS = {
  circles: () => two((i) => {
    const [radius, angle] = [i % 2 ? 0.95 : 0.35, 2 * Math.PI * Math.random()];
    return [radius * Math.cos(angle) + noise(), radius * Math.sin(angle) + noise(), i % 2];
  }),
  moons: () => two((i) => {
    const angle = Math.PI * Math.random();
    return i % 2 ? [0.25 + 0.7 * Math.cos(angle) + noise(), -0.15 + 0.7 * Math.sin(angle) - 0.2 + noise(), 1]
      : [-0.25 + 0.7 * Math.cos(angle) + noise(), 0.25 - 0.7 * Math.sin(angle) + noise(), 0];
  }),
  spiral: () => two((i) => {
    const [arm, radius] = [i % 3, 0.05 + 0.95 * Math.random()];
    const angle = 4 * radius + (2 * Math.PI * arm) / 3 + 0.2 * gaussian();
    return [radius * Math.sin(angle), radius * Math.cos(angle), arm];
  }, 150),
  blobs: () => two((i) => {
    const [x, y] = [[-0.6, -0.4], [0.6, -0.4], [0, 0.6]][i % 3];
    return [x + 2.5 * noise(), y + 2.5 * noise(), i % 3];
  }, 120),
};
const gaussian = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const noise = () => 0.08 * gaussian();
const two = (make, count = 80) => Array.from({ length: count }, (_, i) => make(i).map((v, k) => (k < 2 ? Math.max(-LIMIT, Math.min(LIMIT, v)) : v)));

export async function show(root, parameters, signal) {
  const order = {
    points: asPoints(parameters.get("points")) ?? MAKERS[parameters.get("data") ?? "circles"]?.() ?? [],
    hidden: JSON.parse(parameters.get("hidden") ?? "[6,2]"),
    activation: parameters.get("activation") ?? "tanh",
    optimizer: parameters.get("optimizer") ?? "adam",
    lr: Number(parameters.get("lr") ?? 0.01),
    l2: Number(parameters.get("l2") ?? 0.001),
    seed: 0,
    paused: false,
  };
  let brush = 0, held = -1, carried = -1, frame = null, cursor = [0, 0];
  const plane = h("canvas", { width: SIDE, height: SIDE, className: "plane", tabIndex: 0, role: "application",
    ariaLabel: "Plane", ariaRoleDescription: "plane of points; move the cursor with the arrow keys, add a point with Enter, move one with m and the arrow keys, delete it with Delete" });
  const warped = h("canvas", { width: SIDE, height: SIDE, className: "plane", role: "img", ariaLabel: "The plane as a hidden layer transforms it" });
  const figures = h("p", { className: "figures" });
  const layer = h("div");
  let [shownLayer, pair] = [null, [0, 1]];
  const command = commandBox("");

  const socket = connect("api/plane", {
    opened: () => send(),
    text: (message) => message.error && notify(message.error, "error"),
    binary: (buffer) => requestAnimationFrame(() => {
      frame = unpack(buffer);
      draw();
      socket.send("drawn");
    }),
  }, signal);

  function send() {
    socket.send(order);
    command.show(`convnet plane --data points.csv --set ${JSON.stringify(`model.hidden=${JSON.stringify(order.hidden)}`)} --set model.activation=${order.activation} --set optimizer=${order.optimizer} --set optimizer.lr=${order.lr} --set regularizers.l2=${order.l2}`);
    remember({ points: order.points.length <= MOST_IN_ADDRESS ? order.points.map(([x, y, c]) => [x.toFixed(2), y.toFixed(2), c].join(",")).join(";") : null, hidden: JSON.stringify(order.hidden), activation: order.activation, optimizer: order.optimizer, lr: order.lr, l2: order.l2 });
  }

  const change = (values) => {
    Object.assign(order, values);
    send();
  };
  const toCanvas = ([x, y]) => [((x + LIMIT) / (2 * LIMIT)) * SIDE, ((LIMIT - y) / (2 * LIMIT)) * SIDE];
  const toPlane = (event) => {
    const box = plane.getBoundingClientRect();
    return [(2 * (event.clientX - box.left) / box.width - 1) * LIMIT, (1 - (2 * (event.clientY - box.top)) / box.height) * LIMIT];
  };
  const nearest = ([x, y]) => {
    let [best, distance] = [-1, NEAR];
    order.points.forEach(([px, py], i) => {
      const d = Math.hypot(px - x, py - y);
      if (d < distance) [best, distance] = [i, d];
    });
    return best;
  };

  plane.addEventListener("pointerdown", (event) => {
    const place = toPlane(event);
    held = nearest(place);
    if (held >= 0 && (event.shiftKey || event.button === 2)) {
      order.points.splice(held, 1);
      held = -1;
    } else if (held < 0) held = order.points.push([...place, brush]) - 1;
    plane.setPointerCapture(event.pointerId);
    send();
  });
  plane.addEventListener("pointermove", (event) => {
    if (held < 0) return;
    order.points[held] = [...toPlane(event).map((v) => Math.max(-LIMIT, Math.min(LIMIT, v))), order.points[held][2]];
    send();
  });
  plane.addEventListener("pointerup", () => (held = -1));
  plane.addEventListener("contextmenu", (event) => event.preventDefault());
  plane.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    if (event.key in moves) {
      cursor = cursor.map((v, i) => Math.max(-LIMIT, Math.min(LIMIT, v + moves[event.key][i])));
      if (carried >= 0) order.points[carried] = [...cursor, order.points[carried][2]], send();
    } else if (event.key === "m") carried = carried >= 0 ? -1 : nearest(cursor);
    else if (event.key === "Enter" || event.key === " ") order.points.push([...cursor, brush]), send();
    else if (event.key === "Delete" || event.key === "Backspace") {
      const found = nearest(cursor);
      if (found >= 0) order.points.splice(found, 1), send();
    } else if (/^[1-6]$/.test(event.key)) pickBrush(Number(event.key) - 1);
    else return;
    event.preventDefault();
    draw();
  });

  function draw() {
    if (!frame) return;
    const found = Object.fromEntries(frame.tensors.map((tensor) => [tensor.layer, tensor]));
    regions(plane, found.probabilities);
    const context = plane.getContext("2d");
    for (const [x, y, c] of order.points) dot(context, toCanvas([x, y]), CLASSES[c]);
    if (document.activeElement === plane) {
      const [x, y] = toCanvas(cursor);
      context.strokeStyle = "#000";
      context.strokeRect(x - 6, y - 6, 12, 12);
    }
    figures.textContent = `step ${number(frame.step)} · loss ${number(frame.loss)} · ${frame.points ? percent(frame.right / frame.points) : "–"} of ${frame.points} points right`;
    plane.dataset.step = frame.step;
    plane.dataset.right = frame.right;
    chooseLayer();
    const grid = found[`grid ${shownLayer}`];
    if (grid) transformed(warped, grid, found[`points ${shownLayer}`]);
    warped.hidden = !grid;
  }

  function regions(canvas, probabilities) {
    const [classes, rows, columns] = probabilities.sent;
    const small = new ImageData(columns, rows);
    const colors = CLASSES.map(rgb);
    for (let i = 0; i < rows * columns; i++) {
      let [r, g, b] = [0, 0, 0];
      for (let k = 0; k < classes; k++) {
        const p = probabilities.values[k * rows * columns + i];
        r += p * colors[k][0]; g += p * colors[k][1]; b += p * colors[k][2];
      }
      [small.data[4 * i], small.data[4 * i + 1], small.data[4 * i + 2], small.data[4 * i + 3]] = [r, g, b, 150];
    }
    const buffer = new OffscreenCanvas(columns, rows);
    buffer.getContext("2d").putImageData(small, 0, 0);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.drawImage(buffer, 0, 0, SIDE, SIDE);
  }

  function transformed(canvas, grid, points) {
    const [count, units] = grid.sent;
    const [a, b] = units > 1 ? pair : [0, 0];
    let [low, high] = [Infinity, -Infinity];
    for (let i = 0; i < count; i++) for (const unit of [a, b]) {
      low = Math.min(low, grid.values[i * units + unit]);
      high = Math.max(high, grid.values[i * units + unit]);
    }
    const scale = (value) => 20 + ((value - low) / (high - low || 1)) * (SIDE - 40);
    const place = (values, i) => [scale(values[i * units + a]), SIDE - scale(values[i * units + b])];
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = "#8a93a3";
    for (let line = 0; line < 2 * LINES; line++) {
      context.beginPath();
      for (let i = 0; i < PER_LINE; i++) context[i ? "lineTo" : "moveTo"](...place(grid.values, line * PER_LINE + i));
      context.stroke();
    }
    order.points.slice(0, points?.sent[0] ?? 0).forEach(([, , c], i) => dot(context, place(points.values, i), CLASSES[c]));
  }

  function dot(context, [x, y], color) {
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = 1.5;
    context.stroke();
    context.lineWidth = 1;
  }

  // The hidden layer and the two units that are drawn against each other.
  function chooseLayer() {
    const hidden = frame.hidden;
    if (layer.dataset.hidden === JSON.stringify(hidden)) return;
    layer.dataset.hidden = JSON.stringify(hidden);
    shownLayer = hidden.length ? hidden.length - 1 : null;
    const units = () => Array.from({ length: hidden[shownLayer] }, (_, i) => [i, `unit ${i + 1}`]);
    const axes = h("span");
    const again = () => {
      pair = [0, Math.min(1, hidden[shownLayer] - 1)];
      replace(axes, field("Horizontal axis", select(units(), pair[0], (event) => (pair[0] = Number(event.target.value)))),
        field("Vertical axis", select(units(), pair[1], (event) => (pair[1] = Number(event.target.value)))));
    };
    replace(layer, hidden.length ? [field("Hidden layer", select(hidden.map((n, i) => [i, `layer ${i + 1} (${n} units)`]), shownLayer, (event) => {
      shownLayer = Number(event.target.value);
      again();
    })), axes] : h("p", { className: "quiet" }, "The network has no hidden layer."));
    if (hidden.length) again();
  }

  const brushes = h("div", { className: "brushes", role: "radiogroup", ariaLabel: "Class of new points" }, CLASSES.slice(0, 4).map((color, i) => {
    const swatch = button(String(i + 1), () => pickBrush(i), { role: "radio", ariaChecked: i === 0, ariaLabel: `Class ${i + 1}` });
    swatch.style.background = color;
    return swatch;
  }));
  function pickBrush(i) {
    brush = i;
    [...brushes.children].forEach((swatch, k) => (swatch.ariaChecked = k === i));
  }
  const slider = (text, min, max, value, shown, changed) => {
    const label = h("output", {}, shown(value));
    const input = h("input", { type: "range", min, max, step: (max - min) / 100, value, oninput: () => {
      label.textContent = shown(Number(input.value));
      changed(Number(input.value));
    } });
    const made = field(text, input);
    made.append(label);
    return made;
  };
  const layers = h("div");
  const drawLayers = () => replace(layers, order.hidden.map((units, i) => {
    const label = h("output", {}, units);
    const input = h("input", { type: "range", min: 1, max: 20, step: 1, value: units, oninput: () => {
      label.textContent = input.value;
      change({ hidden: order.hidden.map((n, k) => (k === i ? Number(input.value) : n)) });
    } });
    const made = field(`Units of hidden layer ${i + 1}`, input);
    made.append(label);
    return made;
  }), h("p", { className: "actions" },
    order.hidden.length < 4 ? button("Add a layer", () => { change({ hidden: [...order.hidden, 6] }); drawLayers(); }) : null,
    order.hidden.length ? button("Remove a layer", () => { change({ hidden: order.hidden.slice(0, -1) }); drawLayers(); }) : null));
  drawLayers();
  const pause = button("Pause", () => {
    change({ paused: !order.paused });
    pause.textContent = order.paused ? "Resume" : "Pause";
  });
  const power = (value) => number(10 ** value, 2);
  root.append(
    h("h1", {}, "Plane"),
    h("p", { className: "quiet" }, "Click to add a point, drag to move it, shift-click to delete it. With the keyboard: arrow keys, Enter, m, Delete."),
    h("div", { className: "columns wide" },
      h("figure", {}, plane, h("figcaption", {}, "Decision regions")),
      h("figure", {}, warped, h("figcaption", {}, "The plane as the hidden layer transforms it")),
      h("section", { className: "settings", ariaLabel: "Settings" }, figures,
        field("Points", select([["", "choose …"], ...Object.keys(MAKERS).map((name) => [name, name]), ["none", "none"]], "", (event) => {
          change({ points: MAKERS[event.target.value]?.() ?? [], seed: order.seed + 1 });
          remember({ data: event.target.value });
        })),
        h("p", {}, "Class of new points ", brushes),
        layers,
        field("Activation", select(["tanh", "relu", "sigmoid", "leaky-relu", "elu"], order.activation, (event) => change({ activation: event.target.value }))),
        field("Optimizer", select(["adam", "sgd", "momentum", "adadelta", "rmsprop"], order.optimizer, (event) => change({ optimizer: event.target.value, lr: event.target.value === "adadelta" ? 1 : order.lr }))),
        slider("Learning rate", -4, 0, Math.log10(order.lr), power, (value) => change({ lr: 10 ** value })),
        slider("L2 penalty λ", -6, 0, Math.log10(Math.max(order.l2, 1e-6)), (value) => (value <= -6 ? "0" : power(value)), (value) => change({ l2: value <= -6 ? 0 : 10 ** value })),
        h("p", { className: "actions" }, pause, button("New weights", () => change({ seed: order.seed + 1 })), button("Download the points", save)),
        layer)),
    command,
  );

  function save() {
    const text = ["x,y,class", ...order.points.map(([x, y, c]) => `${x},${y},${c + 1}`)].join("\n");
    const link = h("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: "points.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
