// Color scales as tables of 256 pixels (little-endian RGBA).

function table(color) {
  const found = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const [r, g, b] = color(i / 255).map((part) => Math.round(255 * Math.min(1, Math.max(0, part))));
    found[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return found;
}

const mix = (from, to, t) => from.map((part, i) => part + (to[i] - part) * t);
const BLUE = [0.13, 0.35, 0.72], WHITE = [0.97, 0.97, 0.97], ORANGE = [0.8, 0.33, 0.08];

export const GRAY = table((t) => [t, t, t]);
export const SIGNED = table((t) => (t < 0.5 ? mix(BLUE, WHITE, 2 * t) : mix(WHITE, ORANGE, 2 * t - 1)));
export const HEAT = table((t) => [Math.min(1, 1.8 * t), Math.max(0, 1.6 * t - 0.5), Math.max(0, 2.5 * t - 1.6)]);

export const CLASSES = ["#3566b8", "#d9722e", "#2f8f5b", "#9a4fb0", "#b8860b", "#c43d6b"];

// The ends of the scale of some values: symmetric about zero for signed ones.
export function limits(low, high, signed) {
  if (!signed) return [low, high > low ? high : low + 1];
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return [-size, size];
}
