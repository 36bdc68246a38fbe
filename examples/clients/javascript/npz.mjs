// Arrays in .npz files: zip archives of .npy files.

const TYPES = { "|u1": Uint8Array, "<f4": Float32Array, "<i8": BigInt64Array };

/** The arrays of an .npz file by name: {data, shape}. */
export async function readNpz(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  const found = {};
  let place = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const method = view.getUint16(place + 10, true);
    const size = view.getUint32(place + 20, true);
    const [name, extra, comment] = [28, 30, 32].map((at) => view.getUint16(place + at, true));
    const title = new TextDecoder().decode(bytes.subarray(place + 46, place + 46 + name));
    const local = view.getUint32(place + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const packed = bytes.subarray(start, start + size);
    found[title.replace(/\.npy$/, "")] = readNpy(method === 8 ? await inflate(packed) : packed);
    place += 46 + name + extra + comment;
  }
  return found;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readNpy(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
  const header = new TextDecoder().decode(bytes.subarray(10, 10 + length));
  const [, type] = header.match(/'descr': '([^']+)'/);
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((s) => s.trim()).map(Number);
  if (!(type in TYPES)) throw new Error(`arrays of ${type} are not read`);
  const content = bytes.slice(10 + length);
  return { data: new TYPES[type](content.buffer), shape };
}
