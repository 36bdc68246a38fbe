// A bundle's ONNX model with its preprocessing, classes and rule for unknown images.
import { preprocess } from "./preprocess.mjs";
import { readNpz } from "./npz.mjs";

/** The largest difference from the golden outputs, as a fraction of the largest of them. */
const TOLERANCE = 1e-4;

export class Bundle {
  /** `ort` is onnxruntime-node or onnxruntime-web; `read` returns a file of the bundle as Uint8Array. */
  static async open(ort, read) {
    const manifest = JSON.parse(new TextDecoder().decode(await read("bundle.json")));
    if (manifest.schema !== 1) throw new Error(`bundle.json: schema ${manifest.schema}; this client reads schema 1`);
    const session = await ort.InferenceSession.create(await read("model.onnx"));
    return new Bundle(ort, read, manifest, session);
  }

  constructor(ort, read, manifest, session) {
    Object.assign(this, { ort, read, manifest, session });
  }

  /** Outputs of the model for samples as they are read: typed array and shape N×C×H×W. */
  async run(samples, shape) {
    const type = this.manifest.inputs.modality === "images" ? "uint8" : "float32";
    return this.session.run({ samples: new this.ort.Tensor(type, samples, shape) });
  }

  /** Classes of an image {pixels, height, width, channels}, most probable first, and whether it is unknown. */
  async predict(image) {
    const { task, inputs, outputs } = this.manifest;
    if (task.name !== "classification" || inputs.modality !== "images" || inputs.preprocess.white !== null)
      throw new Error("this client predicts the classes of images of 8 bits, not those of this bundle");
    const found = await this.run(preprocess(image, inputs), [1, ...inputs.shape]);
    const probabilities = Array.from(found.probabilities.data);
    const top = outputs.classes
      .map((name, i) => ({ class: name, probability: probabilities[i] }))
      .sort((a, b) => b.probability - a.probability);
    return { ...top[0], unknown: this.unknown(found), top };
  }

  /** Whether the score of a sample is below the threshold of known ones. */
  unknown(found) {
    const calibration = this.manifest.outputs.calibration;
    const rule = calibration?.unknown;
    if (!rule) return false;
    if (rule.score === "max-probability") return Math.max(...found.probabilities.data) < rule.threshold;
    const logits = Array.from(found.logits.data, (value) => value / calibration.temperature);
    const largest = Math.max(...logits);
    const energy = largest + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    return energy < rule.threshold;
  }

  /** The largest difference from the golden outputs, relative to the largest of them. */
  async check() {
    const golden = await readNpz(await this.read("golden.npz"));
    const { data, shape } = golden.samples;
    const found = await this.run(data, shape);
    const values = (found.logits ?? found.image).data;
    let largest = 0;
    let difference = 0;
    for (let i = 0; i < values.length; i++) {
      largest = Math.max(largest, Math.abs(golden.outputs.data[i]));
      difference = Math.max(difference, Math.abs(values[i] - golden.outputs.data[i]));
    }
    const relative = difference / largest;
    if (!(relative < TOLERANCE)) throw new Error(`the outputs differ from golden.npz by ${relative}`);
    return { samples: shape[0], difference: relative };
  }
}
