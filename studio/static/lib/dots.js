// The dots of one prompt on the map, loaded in blocks around the viewed iteration.

const BLOCK = 400; // iterations fetched before the viewed one
export const TRAIL = 8; // iterations shown on the map
const AGAIN = 1000; // milliseconds between looks at dots that are not laid out yet

/** Columns of a binary answer; see studio/data/points.py for the layout. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const { n, method } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const column = (Kind) => {
    const values = new Kind(buffer, at, n);
    at += n * Kind.BYTES_PER_ELEMENT;
    return values;
  };
  return {
    n,
    method,
    x: column(Float32Array),
    y: column(Float32Array),
    reward: column(Float32Array),
    id: column(Uint32Array),
    iteration: column(Uint32Array),
    prompt: column(Uint16Array),
    look: column(Uint8Array),
  };
}

export class Dots {
  constructor(method = 'pca') {
    this.method = method;
    this.groups = new Map(); // iteration -> [{x, y, reward, id, iteration, look}]
    this.low = null; // groups are complete for low < iteration <= high
    this.high = null;
    this.pending = false;
    this.bare = Infinity; // oldest iteration with a dot that is not laid out yet
    this.again = 0; // when to ask for it again
  }

  asked(range) {
    this.pending = range !== null;
  }

  /** The range to fetch next so that the iterations around `viewed` are there, or null. */
  missing(viewed, newest) {
    if (this.pending || newest < 1) return null;
    if (this.low === null || viewed < this.low - 2 * BLOCK || viewed > this.high + 2 * BLOCK)
      return { since: Math.max(0, viewed - BLOCK), until: Math.min(newest, viewed + BLOCK), fresh: true };
    if (this.high < newest && viewed + BLOCK / 4 > this.high) return { since: this.high, until: Math.min(newest, this.high + 2 * BLOCK) };
    if (this.bare <= this.high && Date.now() > this.again) return { since: this.bare - 1, until: this.high, again: true };
    if (this.low > 0 && viewed - BLOCK / 4 < this.low) return { since: Math.max(0, this.low - BLOCK), until: this.low };
    return null;
  }

  add(c, { since, until, fresh, again }) {
    if (fresh) this.groups.clear();
    if (again) for (const i of this.groups.keys()) if (i > since && i <= until) this.groups.delete(i);
    if (fresh || again) this.bare = Infinity;
    this.again = Date.now() + AGAIN;
    for (let i = 0; i < c.n; i++) {
      const iteration = c.iteration[i];
      let group = this.groups.get(iteration);
      if (!group) this.groups.set(iteration, (group = []));
      if (c.x[i] !== c.x[i]) this.bare = Math.min(this.bare, iteration);
      group.push({ x: c.x[i], y: c.y[i], reward: c.reward[i], id: c.id[i], iteration, look: c.look[i] });
    }
    this.low = fresh ? since : Math.min(this.low, since);
    this.high = fresh ? until : Math.max(this.high, until);
  }

  /** The last 8 iterations of the prompt up to `viewed`, oldest first: [[dots, age]], age 0 is the newest. */
  trail(viewed) {
    const out = [];
    for (let i = Math.min(viewed, this.high ?? 0); i > (this.low ?? 0) && out.length < TRAIL; i--) {
      const group = this.groups.get(i);
      if (group) out.push([group, out.length]);
    }
    return out.reverse();
  }
}
