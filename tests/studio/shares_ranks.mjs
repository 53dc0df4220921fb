// Shares of several prompts together, against sums by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { averaged, mean, ranked } from '../../studio/static/views/shares/ranks.js';

const near = (a, b) => a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) < 1e-12, `${a} is not ${b}`));

test('looks are ranked, and what is new keeps the last place', () => {
  near(ranked([0.2, 0.5, 0.25, 0.05], 4), [0.5, 0.25, 0.2, 0, 0.05]);
});

test('letters do not cancel out: a different look takes over in each of two prompts', () => {
  near(mean([[0.9, 0.1, 0], [0.1, 0.9, 0]], 2), [0.9, 0.1, 0]);
});

test('a prompt that an iteration does not draw counts as it was last drawn, at first as the base', () => {
  const base = new Map([['0', [0.5, 0.5, 0]], ['3', [0.6, 0.4, 0]]]);
  const rows = [
    { iteration: 0, shares: { 0: [0, 0, 1] } },
    { iteration: 1, shares: { 0: [0.2, 0.8, 0] } },
    { iteration: 2, shares: { 3: [0.5, 0.3, 0.2], 7: [1, 0, 0] } },
  ];
  const first = averaged(rows, base, 2);
  assert.deepEqual(first.map((r) => r.iteration), [1, 2]);
  near(first[0].shares, [0.7, 0.3, 0]);
  near(first[1].shares, [0.65, 0.25, 0.1]);
  // rows that come later are added to those that are known
  rows.push({ iteration: 3, shares: { 0: [0.5, 0.5, 0] } });
  near(averaged(rows, base, 2).at(-1).shares, [0.5, 0.4, 0.1]);
  // another run begins anew
  const other = Array.from({ length: 5 }, (_, i) => ({ iteration: i + 1, shares: {} }));
  near(averaged(other, base, 2)[4].shares, [0.55, 0.45, 0]);
});
