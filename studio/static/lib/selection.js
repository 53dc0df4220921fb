// A selection of pictures as text in the address: how many were on the map, then the ids as steps in base 36.

/** {ids, of} -> text, null -> null. Ids are kept in rising order. */
export function writeSelection(selection) {
  if (!selection?.ids.length) return null;
  const ids = selection.ids.slice().sort((a, b) => a - b);
  return [selection.of, ...ids.map((id, i) => id - (i ? ids[i - 1] : 0))].map((n) => n.toString(36)).join('.');
}

/** Text -> {ids, of}; null for none, and for text that holds no selection. */
export function readSelection(text) {
  if (!/^[0-9a-z]{1,7}(\.[0-9a-z]{1,7})+$/.test(text ?? '')) return null;
  const [of, ...steps] = text.split('.').map((n) => parseInt(n, 36));
  let id = 0;
  return { of, ids: steps.map((step) => (id += step)) };
}
