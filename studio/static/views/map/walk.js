// By keyboard over the map: up and down from look to look (from prompt to prompt when all are shown), left and right
// through the newest pictures of one, best first.

import { state, viewed } from '../../lib/store.js';

/** The dot to go to from `dot` (or null) with an arrow key, or undefined if the key is none or there is nothing to walk. */
export function walk(dot, key) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[key];
  if (!step) return undefined;
  const kind = state.all ? 'prompt' : 'look';
  // the very newest may not have their places yet
  const newest = state.dots.trail(viewed()).map(([group]) => group.filter((d) => d.x === d.x)).findLast((group) => group.length);
  if (!newest) return undefined;
  const groups = Object.values(Object.groupBy(newest, (d) => d[kind]));
  for (const group of groups) group.sort((a, b) => b.reward - a.reward);
  const at = dot ? groups.findIndex((g) => g[0][kind] === dot[kind]) : -1;
  if (at < 0) return groups[step > 0 ? 0 : groups.length - 1][0];
  if (key === 'ArrowUp' || key === 'ArrowDown') return groups[(at + step + groups.length) % groups.length][0];
  const group = groups[at];
  return group[(Math.max(0, group.findIndex((d) => d.id === dot.id)) + step + group.length) % group.length];
}
