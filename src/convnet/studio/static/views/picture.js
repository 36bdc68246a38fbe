// The image that a network takes: edited by hand, drawn, or from the webcam.

import { button, field, h, notify } from "../dom.js";

const SIDE = 280;
const INK = 22;

// The pixels C×H×W that are sent to the network: erased, shifted, turned and with noise.
export class ImageEditor {
  constructor([channels, height, width], changed) {
    Object.assign(this, { channels, height, width, changed });
    this.canvas = h("canvas", { className: "editor", width, height, tabIndex: 0, role: "application", ariaLabel: "The image; drag to erase",
      ariaRoleDescription: "image; move the eraser with the arrow keys, erase with Space" });
    this.zoom = Math.max(1, Math.floor(SIDE / Math.max(height, width)));
    this.canvas.style.width = `${width * this.zoom}px`;
    this.canvas.style.height = `${height * this.zoom}px`;
    this.sliders = {};
    const slider = (name, text, most, step) => {
      const output = h("output", {}, "0");
      const input = h("input", { type: "range", min: name === "noise" ? 0 : -most, max: most, step, value: 0, oninput: () => { output.textContent = input.value; this.#edited(); } });
      this.sliders[name] = { input, output };
      const made = field(text, input);
      made.append(output);
      return made;
    };
    this.brush = Math.max(1, Math.round(Math.max(height, width) / 12));
    this.cursor = [Math.floor(height / 2), Math.floor(width / 2)];
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.erasing = true; this.#erase(this.#place(event)); });
    this.canvas.addEventListener("pointermove", (event) => this.erasing && this.#erase(this.#place(event)));
    this.canvas.addEventListener("pointerup", () => (this.erasing = false));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.element = h("div", { className: "image-editor" }, this.canvas,
      h("div", { className: "fields tight" }, slider("x", "Shift right", width / 2, 1), slider("y", "Shift down", height / 2, 1), slider("angle", "Rotate", 180, 1), slider("noise", "Noise", 100, 1)),
      button("Reset the image", () => { this.#clear(); this.#edited(); }));
  }

  load(tensor) {
    this.original = Float32Array.from(tensor.values);
    this.#clear();
    this.#draw();
  }

  #clear() {
    this.erased = new Uint8Array(this.height * this.width);
    for (const { input, output } of Object.values(this.sliders)) [input.value, output.textContent] = [0, "0"];
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [Math.floor(((event.clientY - box.top) / box.height) * this.height), Math.floor(((event.clientX - box.left) / box.width) * this.width)];
  }

  #erase([row, column]) {
    for (let y = row - this.brush; y <= row + this.brush; y++) for (let x = column - this.brush; x <= column + this.brush; x++) {
      if (y >= 0 && y < this.height && x >= 0 && x < this.width && Math.hypot(y - row, x - column) <= this.brush) this.erased[y * this.width + x] = 1;
    }
    this.#edited();
  }

  #key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key in moves) this.cursor = this.cursor.map((v, i) => Math.max(0, Math.min([this.height, this.width][i] - 1, v + moves[event.key][i])));
    else if (event.key === " ") this.#erase(this.cursor);
    else return;
    event.preventDefault();
    this.#draw();
  }

  #edited() {
    this.#draw();
    this.changed();
  }

  // The edited pixels as uint8.
  pixels() {
    const { height, width, channels } = this;
    const value = (name) => Number(this.sliders[name].input.value);
    const [dx, dy, angle, noise] = [value("x"), value("y"), (value("angle") * Math.PI) / 180, value("noise")];
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const plane = height * width;
    const made = new Uint8Array(channels * plane);
    const background = this.original.subarray(0, plane).reduce((sum, v) => sum + v, 0) / plane < 127 ? 0 : 255;
    let seed = 1;
    const random = () => ((seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32) * 2 - 1;
    for (let c = 0; c < channels; c++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      // the place in the original, before the rotation about the center and the shift
      const [u, v] = [x - dx - (width - 1) / 2, y - dy - (height - 1) / 2];
      const [sx, sy] = [cos * u + sin * v + (width - 1) / 2, -sin * u + cos * v + (height - 1) / 2];
      let value = angle || dx || dy ? this.#sample(c, sx, sy, background) : this.original[c * plane + y * width + x];
      if (this.erased[y * width + x]) value = background;
      made[c * plane + y * width + x] = Math.max(0, Math.min(255, Math.round(value + (noise ? noise * random() : 0))));
    }
    return made;
  }

  #sample(c, x, y, background) {
    const [x0, y0] = [Math.floor(x), Math.floor(y)];
    const at = (row, column) => (row < 0 || row >= this.height || column < 0 || column >= this.width ? background : this.original[(c * this.height + row) * this.width + column]);
    const [fx, fy] = [x - x0, y - y0];
    return (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x0 + 1)) + fy * ((1 - fx) * at(y0 + 1, x0) + fx * at(y0 + 1, x0 + 1));
  }

  #draw() {
    const made = this.pixels();
    const picture = new ImageData(this.width, this.height);
    const plane = this.height * this.width;
    for (let i = 0; i < plane; i++) for (let c = 0; c < 4; c++) {
      picture.data[4 * i + c] = c === 3 ? 255 : made[(this.channels < 3 ? 0 : c * plane) + i];
    }
    const context = this.canvas.getContext("2d");
    context.putImageData(picture, 0, 0);
    if (document.activeElement === this.canvas) {
      context.strokeStyle = "#e0662a";
      context.strokeRect(this.cursor[1] - this.brush + 0.5, this.cursor[0] - this.brush + 0.5, 2 * this.brush, 2 * this.brush);
    }
  }
}

// A canvas for a digit, which is centered as in MNIST: 20×20 within 28×28, by its center of mass.
export class DrawingPad {
  constructor(done) {
    this.done = done;
    this.canvas = h("canvas", { className: "pad", width: SIDE, height: SIDE, tabIndex: 0, role: "application", ariaLabel: "Drawing",
      ariaRoleDescription: "canvas; move the pen with the arrow keys, lower and lift it with Space" });
    this.pen = [SIDE / 2, SIDE / 2];
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.last = this.#place(event); this.#line(this.last); });
    this.canvas.addEventListener("pointermove", (event) => this.last && this.#line(this.#place(event)));
    this.canvas.addEventListener("pointerup", () => { this.last = null; this.#send(); });
    this.clear();
    this.element = h("details", {}, h("summary", {}, "Or draw"), this.canvas, h("p", { className: "actions" }, button("Clear", () => this.clear())));
  }

  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, SIDE, SIDE);
    this.last = null;
  }

  #key(event) {
    const moves = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
    if (event.key === " ") {
      if (this.last) {
        this.last = null;
        this.#send();
      } else {
        this.last = this.pen;
        this.#line(this.pen);
      }
    } else if (event.key in moves) {
      this.pen = this.pen.map((v, i) => Math.max(0, Math.min(SIDE, v + moves[event.key][i])));
      if (this.last) this.#line(this.pen);
    } else return;
    event.preventDefault();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  #line(to) {
    const context = this.context;
    [context.strokeStyle, context.lineWidth, context.lineCap] = ["#fff", INK, "round"];
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(...to);
    context.stroke();
    this.last = to;
  }

  #send() {
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE);
    let [left, right, top, bottom] = [SIDE, -1, SIDE, -1];
    for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) if (data[4 * (y * SIDE + x)] > 30) {
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < 0) return;
    const scale = 20 / Math.max(right - left + 1, bottom - top + 1);
    const [wide, high] = [(right - left + 1) * scale, (bottom - top + 1) * scale];
    const draw = (x, y) => {
      const small = new OffscreenCanvas(28, 28);
      const context = small.getContext("2d");
      context.fillRect(0, 0, 28, 28);
      [context.imageSmoothingEnabled, context.imageSmoothingQuality] = [true, "high"];
      context.drawImage(this.canvas, left, top, right - left + 1, bottom - top + 1, x, y, wide, high);
      return small;
    };
    const first = draw(14 - wide / 2, 14 - high / 2);
    const pixels = first.getContext("2d").getImageData(0, 0, 28, 28).data;
    let [mass, mx, my] = [0, 0, 0];
    for (let i = 0; i < 784; i++) [mass, mx, my] = [mass + pixels[4 * i], mx + pixels[4 * i] * (i % 28), my + pixels[4 * i] * Math.floor(i / 28)];
    const moved = draw(14 - wide / 2 + 13.5 - mx / mass, 14 - high / 2 + 13.5 - my / mass);
    moved.convertToBlob({ type: "image/png" }).then(this.done);
  }
}

export class Webcam {
  constructor(done, signal) {
    Object.assign(this, { done, signal });
    this.video = h("video", { muted: true, playsInline: true, width: 280, hidden: true });
    this.start = button("Start the webcam", () => this.#start());
    this.take = button("Take a picture", () => this.#take(), { hidden: true });
    this.element = h("details", {}, h("summary", {}, "Or use the webcam"), this.video, h("p", { className: "actions" }, this.start, this.take));
    signal.addEventListener("abort", () => this.#stop());
  }

  async #start() {
    if (this.stream) return this.#stop();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: true });
    } catch (error) {
      return notify(`the webcam cannot be used: ${error.message}`, "error");
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.video.hidden = this.take.hidden = false;
    this.start.textContent = "Stop the webcam";
  }

  #stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.hidden = this.take.hidden = true;
    this.start.textContent = "Start the webcam";
  }

  #take() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    canvas.convertToBlob({ type: "image/png" }).then(this.done);
  }
}

