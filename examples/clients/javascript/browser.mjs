// The page index.html: a bundle and an image from this machine, computed by onnxruntime-web.
import * as ort from "onnxruntime-web";
import { Bundle } from "./bundle.mjs";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
ort.env.wasm.numThreads = 1;
const byId = (id) => document.getElementById(id);
let bundle = null;

function say(text) {
  byId("message").textContent = text;
}

/** The pixels of an image file, upright, over the background of the bundle, without its color profile. */
async function decode(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = byId("canvas");
  [canvas.width, canvas.height, canvas.hidden] = [bitmap.width, bitmap.height, false];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = bundle.manifest.inputs.preprocess.background;
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const pixels = new Uint8Array((data.length / 4) * 3);
  for (let i = 0; i < data.length / 4; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { pixels, height: bitmap.height, width: bitmap.width, channels: 3 };
}

byId("bundle").addEventListener("change", async (event) => {
  const files = new Map([...event.target.files].map((file) => [file.name, file]));
  try {
    bundle = await Bundle.open(ort, async (name) => new Uint8Array(await files.get(name).arrayBuffer()));
    const { samples, difference } = await bundle.check();
    say(`${bundle.manifest.name} ${bundle.manifest.version}: ${samples} golden samples agree to ${difference.toExponential(1)}`);
    byId("image").disabled = false;
  } catch (error) {
    say(`The bundle cannot be opened: ${error.message}`);
  }
});

byId("image").addEventListener("change", async (event) => {
  try {
    const found = await bundle.predict(await decode(event.target.files[0]));
    const rows = found.top.slice(0, 5).map(({ class: name, probability }) => {
      const row = document.createElement("tr");
      for (const text of [name, `${(100 * probability).toFixed(1)} %`]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    });
    byId("answer").tBodies[0].replaceChildren(...rows);
    byId("answer").hidden = false;
    say(found.unknown ? "unknown: probably none of the classes" : found.class);
  } catch (error) {
    say(`The image cannot be predicted: ${error.message}`);
  }
});
