// Binary answers of the server; see studio/data/packed.py for the layout.

/** [what the JSON text told, where the bytes that it tells of begin]. */
export function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), 4 + length];
}
