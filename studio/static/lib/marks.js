// SVG marks as text. Words are escaped here, so a chart can never be given markup.

import { diamond } from './dom.js';

const SAFE = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (value) => String(value).replace(/[&<>"]/g, (c) => SAFE[c]);
const short = (value) => (typeof value === 'number' ? +value.toFixed(2) : escaped(value));

function tag(name, attributes, inner = '') {
  const written = Object.entries(attributes).map(([key, value]) => (value == null ? '' : ` ${key}="${short(value)}"`));
  return `<${name}${written.join('')}>${inner}</${name}>`;
}

/** Ink by the name of a CSS variable. */
export const ink = (variable) => `var(${variable})`;
export const path = (d, style) => tag('path', { d, fill: 'none', ...style });
export const stroke = (d, variable, width = 1, more = {}) => path(d, { stroke: ink(variable), 'stroke-width': width, ...more });
export const area = (d, variable, more = {}) => path(d, { fill: ink(variable), ...more });
export const rect = (x, y, width, height, style) => tag('rect', { x, y, width, height, ...style });
export const dot = (cx, cy, r, style) => tag('circle', { cx, cy, r, ...style });
/** Words at (x, y). kind: '' quiet, 'm' plain, 's' strong; anchor: start, middle, end. */
export const text = (x, y, words, anchor = 'start', kind = null, more = {}) =>
  tag('text', { x, y, 'text-anchor': anchor, class: kind, ...more }, escaped(words));
let drawn = 0;
/** An id that no other drawing has: one view may stand on two screens, and a mark cannot use what a hidden one defines. */
export const unique = (name) => `${name}-${++drawn}`;
export const clip = (id, width, height) => tag('clipPath', { id }, rect(0, -4, width, height + 4, {}));
export const group = (attributes, inner, title) => tag('g', attributes, `<title>${escaped(title)}</title>${inner}`);
/** The mark of a turned dial. */
export const turned = (x, y, r = 4.6) => area(diamond(x, y, r), '--panel', { stroke: ink('--ink'), 'stroke-width': 1.5 });
/** "x y" of a point, and a line through points. */
export const xy = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
export const through = (points) => `M${points.map(xy).join('L')}`;
/** Hatching for cells: a pattern to be named in a fill. */
export function hatch(id, size, width, opacity = 1) {
  const line = stroke(`M0 0V${size}`, '--hatch', width, { opacity });
  return tag('pattern', { id, width: size, height: size, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, line);
}
