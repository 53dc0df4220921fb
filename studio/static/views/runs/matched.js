// Numbers behind the figure of fronts, without a page: axes for all, what is not beaten, looks at the same reward.
// A point is [iteration, looks, reward, share of the base's looks].

export const LOOKS = 1;
export const REWARD = 2;

/** Points that no other of the list beats in both looks and reward, by falling reward. */
export function unbeaten(points) {
  const kept = [];
  for (const p of [...points].sort((a, b) => b[REWARD] - a[REWARD] || b[LOOKS] - a[LOOKS]))
    if (!kept.length || p[LOOKS] > kept[kept.length - 1][LOOKS]) kept.push(p);
  return kept;
}

/** The most looks that a run kept at this reward or more; null if it never reaches it. */
export function looksAt(points, reward) {
  const reached = points.filter((p) => p[REWARD] >= reward);
  return reached.length ? Math.max(...reached.map((p) => p[LOOKS])) : null;
}

/** The edge of what was reached, as corners of stairs: down from each unbeaten point, then out to the next. */
export function stairs(points) {
  const best = unbeaten(points);
  return best.flatMap((p, i) => (i ? [[p[0], best[i - 1][LOOKS], p[REWARD]], p] : [p]));
}

/** A run's points with its base model in front, from which it starts. */
export const fromBase = (run) => (run.base ? [[0, run.base[0], run.base[1], 1], ...run.points] : run.points);

/** The highest reward that every run reaches. */
export const common = (runs) => Math.min(...runs.map((r) => Math.max(...r.points.map((p) => p[REWARD]))));

/** Smallest box around all pairs [looks, reward], never without width or height. */
export function box(pairs) {
  const xs = pairs.map((p) => p[0]),
    ys = pairs.map((p) => p[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  return { x0, x1: Math.max(x1, x0 + 1), y0, y1: Math.max(y1, y0 + 0.5) };
}

/** Heights of labels that want to be at `wanted`, moved apart so that none is nearer than `gap` and all stay in [low, high]. */
export function apart(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [];
  let next = low;
  for (const i of order) {
    placed[i] = Math.max(next, wanted[i]);
    next = placed[i] + gap;
  }
  let most = high;
  for (const i of order.reverse()) {
    placed[i] = Math.min(most, placed[i]);
    most = placed[i] - gap;
  }
  return placed;
}

/** In which of the things that should be alike these runs differ. */
export const differ = (runs) => Object.keys(runs[0]?.alike ?? {}).filter((name) => new Set(runs.map((r) => r.alike[name])).size > 1);
