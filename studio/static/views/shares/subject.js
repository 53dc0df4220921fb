// Whose shares the chart stacks: the looks of one prompt, or over all prompts the largest look of each, the second, and so on.
// Letters mean something for one prompt only, so several prompts are ranked before they are averaged.

import { glyphPath, lookColour, lookLetter, lookName, NEW } from '../../lib/dom.js';
import { area, ink, rect } from '../../lib/marks.js';
import { looksOf, state, viewed } from '../../lib/store.js';
import { mappedPrompts } from '../map/paint.js';
import { averaged, mean } from './ranks.js';

const STRONG = 0.86,
  FAINT = 0.5; // of what is new
const NTH = ['1st', '2nd', '3rd', '4th', '5th', '6th', '7th', '8th'];

/** {words and their title, layers, base, rows}; layer: {name, letter, fill, opacity, mark(x, y)}, 'new' is the last; rows: [{iteration, shares}]. */
export function subject() {
  return state.all ? ranks() : looks();
}

/** The shares are not those of one iteration, and say of how many pictures they are: at first of fewer. '' if there are none. */
function pictures(rows) {
  const drawn = rows.filter((r) => r.iteration <= viewed()).length;
  const many = Math.min(drawn, state.groups) * (state.info?.config.group_size ?? 0);
  return many ? `${drawn < state.groups ? 'first' : 'last'} ${many} pictures` : '';
}
const smoothed = () => `Each point is the mean of the ${state.groups === 1 ? 'newest iteration' : `last ${state.groups} iterations`} that drew the prompt, so that chance does not make the bands jump.`;

function looks() {
  const found = looksOf();
  const key = String(state.prompt);
  const layer = (look, opacity) => ({
    name: lookName(look),
    letter: look === NEW ? '' : lookLetter(look),
    fill: lookColour(look),
    opacity,
    mark: (x, y) => area(glyphPath(look, x, y, 4.2), lookColour(look)),
  });
  const rows = state.rows.filter((r) => r.iteration > 0 && key in r.shares).map((r) => ({ iteration: r.iteration, shares: r.shares[key] }));
  const said = pictures(rows);
  return {
    words: said && `in the ${said}`,
    title: smoothed(),
    layers: [...found.map(({ look }) => layer(look, STRONG)), layer(NEW, FAINT)],
    base: found.map((l) => l.share),
    rows,
  };
}

function ranks() {
  const prompts = mappedPrompts();
  const base = new Map(prompts.map((p) => [String(p), [...looksOf(p).map((l) => l.share), 0]]));
  const most = Math.max(0, ...[...base.values()].map((shares) => shares.length - 1));
  const grey = (k) => (k === most ? FAINT : 0.8 - (0.66 * k) / Math.max(1, most - 1));
  const layer = (_, k) => {
    const fill = k === most ? lookColour(NEW) : '--text-2';
    return {
      name: k === most ? 'New' : `${NTH[k] ?? k + 1} look`,
      letter: k === most ? '' : (NTH[k] ?? String(k + 1)),
      fill,
      opacity: grey(k),
      mark: (x, y) => (k === most ? area(glyphPath(NEW, x, y, 4.2), fill) : rect(x - 4, y - 4, 8, 8, { fill: ink(fill), 'fill-opacity': grey(k), rx: 1 })),
    };
  };
  const said = pictures(state.rows.filter((r) => r.iteration > 0));
  return {
    words: said && `${said} each`,
    title: `The largest look of each prompt, the second, and so on: letters mean something for one prompt only. ${smoothed()}`,
    layers: Array.from({ length: most + 1 }, layer),
    base: mean([...base.values()], most).slice(0, -1),
    rows: averaged(state.rows, base, most),
  };
}
