// What the marks of the tiny pictures on the preset cards mean.

import { h, svg } from '../../lib/dom.js';
import { hatch, ink, rect, stroke, unique } from '../../lib/marks.js';
import { MARKS, noisePath, paid } from './glyph.js';

const WIDE = 16,
  HIGH = 12;

/** The line of marks. */
export function scheduleKey() {
  const lines = unique('mm-key');
  const cell = (style) => rect(0.5, 1.5, WIDE - 1, 9, { rx: 2, ...style });
  const entry = (words, marks, width = WIDE) => h('span', {}, svg(width, HIGH, marks, { 'aria-hidden': 'true' }), words);
  return h(
    'p',
    { class: 'cardkey' },
    entry('trained (grey: at times)', cell({ fill: ink('--ink') })),
    entry('held near the base (pale: lightly)', hatch(lines, 4, 2) + cell({ fill: `url(#${lines})`, stroke: ink('--ink'), 'stroke-opacity': 0.75 })),
    entry('prompt shaken', noisePath(`0 1L${WIDE / 2} 3L${WIDE} 11`, 11)),
    entry('starts here (dashed: found as it trains)', stroke(`M2 0V${HIGH}`, '--ink', 1.6), 4),
    entry('pays for variety', marksPaid({ bonus: true }), MARKS),
    entry('does not', marksPaid({}), MARKS),
    entry('against the prompt’s own past', marksPaid({ past: true }), MARKS),
  );
}

const marksPaid = (plan) => `<g transform="translate(0 -1)">${paid(plan)}</g>`;
