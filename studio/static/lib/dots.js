// The dots of one prompt or of all on the map, loaded in blocks around the viewed iteration.

import { unpacked } from './packed.js';

const BLOCK = 400; // iterations fetched before the viewed one, fewer if they hold more than
const MOST = 30000; // dots: an answer of the server holds up to 100,000
export const TRAIL = 8; // iterations shown on the map
const AGAIN = 1000; // milliseconds between looks at dots that are not laid out yet

/** Columns of a binary answer; see studio/data/points.py for the layout. */
export function decode(buffer) {
  let [told, at] = unpacked(buffer);
  const column = (Kind) => {
    const values = new Kind(buffer, at, told.n);
    at += told.n * Kind.BYTES_PER_ELEMENT;
    return values;
  };
  return {
    ...told,
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
  constructor(method = 'pca', each = 1, sparse = false) {
    this.method = method;
    this.sparse = sparse; // not every iteration kept its pictures: the trail is of the last 8 all the same
    this.block = Math.max(2 * TRAIL, Math.min(BLOCK, Math.floor(MOST / each))); // `each`: dots of one iteration
    this.groups = new Map(); // iteration -> [{x, y, reward, id, iteration, prompt, look}]
    this.rewards = [Infinity, -Infinity]; // between which nearly all of them lie, in whole steps; only grows
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
    const block = this.block;
    if (this.low === null || viewed < this.low - 2 * block || viewed > this.high + 2 * block)
      return { since: Math.max(0, viewed - block), until: Math.min(newest, viewed + block), fresh: true };
    if (this.high < newest && viewed + block / 4 > this.high) return { since: this.high, until: Math.min(newest, this.high + 2 * block) };
    if (this.bare <= this.high && Date.now() > this.again) return { since: this.bare - 1, until: this.high, again: true };
    if (this.low > 0 && viewed - block / 4 < this.low) return { since: Math.max(0, this.low - block), until: this.low };
    return null;
  }

  add(c, { since, until, fresh, again }) {
    if (fresh) this.groups.clear();
    if (again) for (const i of this.groups.keys()) if (i > since && i <= until) this.groups.delete(i);
    if (fresh || again) this.bare = Infinity;
    this.again = Date.now() + AGAIN;
    this.see(c.reward);
    for (let i = 0; i < c.n; i++) {
      const iteration = c.iteration[i];
      let group = this.groups.get(iteration);
      if (!group) this.groups.set(iteration, (group = []));
      if (c.x[i] !== c.x[i]) this.bare = Math.min(this.bare, iteration);
      group.push({ x: c.x[i], y: c.y[i], reward: c.reward[i], id: c.id[i], iteration, prompt: c.prompt[i], look: c.look[i] });
    }
    this.low = fresh ? since : Math.min(this.low, since);
    this.high = fresh ? until : Math.max(this.high, until);
  }

  /** Widen the range of rewards to the 2nd and 98th percentile of `rewards`, outwards to whole numbers. */
  see(rewards) {
    const known = rewards.filter((r) => r === r).sort();
    if (!known.length) return;
    const at = (share) => known[Math.round(share * (known.length - 1))];
    const [low, high] = this.rewards;
    this.rewards = [Math.min(low, Math.floor(at(0.02))), Math.max(high, Math.ceil(at(0.98)))];
  }

  /** Dots with these ids, as far as they are loaded. */
  find(ids) {
    const wanted = new Set(ids);
    const found = [];
    for (const group of this.groups.values()) for (const dot of group) if (wanted.has(dot.id)) found.push(dot);
    return found;
  }

  /** The last 8 iterations of the prompt up to `viewed`, oldest first: [[dots, age]], age 0 is the newest. */
  trail(viewed) {
    const out = [];
    const first = Math.max(this.low ?? 0, this.sparse ? viewed - TRAIL : 0);
    for (let i = Math.min(viewed, this.high ?? 0); i > first && out.length < TRAIL; i--) {
      const group = this.groups.get(i);
      if (group) out.push([group, out.length]);
    }
    return out.reverse();
  }
}
