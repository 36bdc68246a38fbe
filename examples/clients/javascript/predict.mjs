// Predict images with a bundle in Node.js:
//   node predict.mjs BUNDLE            compare with the golden outputs
//   node predict.mjs BUNDLE IMAGE...   print the classes of images as JSON
import { readFile } from "node:fs/promises";
import path from "node:path";
import ort from "onnxruntime-node";
import sharp from "sharp";
import { Bundle } from "./bundle.mjs";

const [folder, ...images] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node predict.mjs BUNDLE [IMAGE...]");
  process.exit(2);
}

/** The pixels of an image file, upright, over the background of the bundle, without its color profile. */
async function decode(file, background) {
  const { data, info } = await sharp(file, { ignoreIcc: true }).rotate().flatten({ background }).raw().toBuffer({ resolveWithObject: true });
  return { pixels: new Uint8Array(data), height: info.height, width: info.width, channels: info.channels };
}

let current = folder;
try {
  const bundle = await Bundle.open(ort, async (name) => new Uint8Array(await readFile(path.join(folder, name))));
  if (images.length === 0) console.log(JSON.stringify(await bundle.check()));
  const { background } = bundle.manifest.inputs.preprocess;
  for (current of images) {
    const found = await bundle.predict(await decode(current, background));
    console.log(JSON.stringify({ image: current, ...found, top: found.top.slice(0, 5) }));
  }
} catch (error) {
  console.error(`${current}: ${error.message}`);
  process.exit(2);
}
