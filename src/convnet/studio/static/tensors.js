// Binary messages of the server: the length of a header, the header (JSON), float32 values.

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const values = new Float32Array(buffer, 4 + length);
  for (const tensor of header.tensors) {
    const count = tensor.sent.reduce((product, side) => product * side, 1);
    tensor.values = values.subarray(tensor.start, tensor.start + count);
  }
  return header;
}
