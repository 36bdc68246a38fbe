// Pixels as the model takes them: the same integers as convnet's own preprocessing.

const BLOCKED = new Map();

/** Resize, crop or pad an image as bundle.json says. Pixels are uint8, rows of channels. */
export function preprocess(image, inputs) {
  const [channels, height, width] = inputs.shape;
  const { resize, crop_pct: cropPct, interpolation } = inputs.preprocess;
  let { pixels } = image;
  let size = [image.height, image.width];
  pixels = toChannels(pixels, image.channels, channels);
  if (size[0] !== height || size[1] !== width || cropPct !== 1) {
    if (resize === "letterbox") return planes(letterbox(pixels, size, [height, width], channels, interpolation), channels);
    if (resize === "crop") [pixels, size] = centerCrop(pixels, size, [height, width], cropPct, channels);
    pixels = resample(pixels, size, [height, width], channels, interpolation);
  }
  return planes(pixels, channels);
}

/** Color to gray by ITU-R 601, or gray to color. */
function toChannels(pixels, found, wanted) {
  if (found === wanted) return pixels;
  const count = pixels.length / found;
  const out = new Uint8Array(count * wanted);
  for (let i = 0; i < count; i++) {
    if (wanted === 1) {
      const [red, green, blue] = pixels.subarray(found * i, found * i + 3);
      out[i] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >>> 16;
    } else if (found === 1) {
      out.fill(pixels[i], wanted * i, wanted * (i + 1));
    } else {
      throw new Error(`an image with ${found} channels cannot be converted to ${wanted}`);
    }
  }
  return out;
}

/** Rows of channels to planes: H×W×C → C×H×W. */
function planes(pixels, channels) {
  const count = pixels.length / channels;
  const out = new Uint8Array(pixels.length);
  for (let i = 0; i < count; i++) for (let c = 0; c < channels; c++) out[c * count + i] = pixels[i * channels + c];
  return out;
}

/** Python's round: halves go to the even neighbor. */
function round(value) {
  const below = Math.floor(value);
  const part = value - below;
  return part < 0.5 || (part === 0.5 && below % 2 === 0) ? below : below + 1;
}

function centerCrop(pixels, [height, width], size, cropPct, channels) {
  const scale = Math.max(size[0] / height, size[1] / width) / cropPct;
  const rows = Math.min(height, Math.max(1, round(size[0] / scale)));
  const columns = Math.min(width, Math.max(1, round(size[1] / scale)));
  const top = (height - rows) >> 1;
  const left = (width - columns) >> 1;
  const out = new Uint8Array(rows * columns * channels);
  for (let y = 0; y < rows; y++) {
    const start = ((top + y) * width + left) * channels;
    out.set(pixels.subarray(start, start + columns * channels), y * columns * channels);
  }
  return [out, [rows, columns]];
}

function letterbox(pixels, [height, width], size, channels, interpolation) {
  const scale = Math.min(size[0] / height, size[1] / width);
  const rows = Math.min(size[0], Math.max(1, round(height * scale)));
  const columns = Math.min(size[1], Math.max(1, round(width * scale)));
  const inner = resample(pixels, [height, width], [rows, columns], channels, interpolation);
  const out = new Uint8Array(size[0] * size[1] * channels);
  const [top, left] = [(size[0] - rows) >> 1, (size[1] - columns) >> 1];
  for (let y = 0; y < rows; y++) {
    const row = inner.subarray(y * columns * channels, (y + 1) * columns * channels);
    out.set(row, ((top + y) * size[1] + left) * channels);
  }
  return out;
}

/** Antialiased resizing with integer weights: rows first, then columns. */
export function resample(pixels, [height, width], [rows, columns], channels, interpolation) {
  let current = pixels;
  if (columns !== width) {
    const { starts, weights, taps, bits } = filter(width, columns, interpolation);
    const out = new Uint8Array(height * columns * channels);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < columns; x++)
        for (let c = 0; c < channels; c++) {
          let sum = 2 ** (bits - 1);
          for (let k = 0; k < taps; k++) {
            const weight = weights[x * taps + k];
            if (weight) sum += weight * current[(y * width + starts[x] + k) * channels + c];
          }
          out[(y * columns + x) * channels + c] = clamp(Math.floor(sum / 2 ** bits));
        }
    current = out;
  }
  if (rows !== height) {
    const { starts, weights, taps, bits } = filter(height, rows, interpolation);
    const line = columns * channels;
    const out = new Uint8Array(rows * line);
    for (let y = 0; y < rows; y++)
      for (let i = 0; i < line; i++) {
        let sum = 2 ** (bits - 1);
        for (let k = 0; k < taps; k++) {
          const weight = weights[y * taps + k];
          if (weight) sum += weight * current[(starts[y] + k) * line + i];
        }
        out[y * line + i] = clamp(Math.floor(sum / 2 ** bits));
      }
    current = out;
  }
  return current;
}

const clamp = (value) => Math.min(255, Math.max(0, value));

/** The weights of every output place, as integers below 2¹⁵. */
function filter(length, target, interpolation) {
  const key = `${length} ${target} ${interpolation}`;
  if (BLOCKED.has(key)) return BLOCKED.get(key);
  const scale = length / target;
  const stretch = Math.max(scale, 1);
  const reach = (interpolation === "bicubic" ? 2 : 1) * stretch;
  const taps = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(target);
  const weights = new Float64Array(target * taps);
  for (let i = 0; i < target; i++) {
    const center = scale * (i + 0.5);
    starts[i] = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), length);
    let total = 0;
    for (let k = 0; k < taps && starts[i] + k < end; k++) {
      weights[i * taps + k] = kernel(Math.abs((starts[i] + k - center + 0.5) / stretch), interpolation);
      total += weights[i * taps + k];
    }
    for (let k = 0; k < taps; k++) weights[i * taps + k] /= total || 1;
  }
  const largest = weights.reduce((a, b) => Math.max(a, b), 0);
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 1 << 15) bits++;
  for (let i = 0; i < weights.length; i++)
    weights[i] = Math.trunc(weights[i] * 2 ** bits + (weights[i] < 0 ? -0.5 : 0.5));
  const found = { starts, weights, taps, bits };
  BLOCKED.set(key, found);
  return found;
}

function kernel(distance, interpolation) {
  if (interpolation === "bilinear") return Math.max(0, 1 - distance);
  const a = -0.5;
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0;
}
