// Letters on the outlines of the map: on their own outline, clear of dots, labels and other outlines.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inside, placeLabels, placeLetters } from '../../studio/static/lib/hull.js';

const SIZE = [600, 400];
const ring = (x, y, r) => Array.from({ length: 120 }, (_, i) => [x + r * Math.cos((i * Math.PI) / 60), y + r * Math.sin((i * Math.PI) / 60)]);
const far = ([a, b], [x, y]) => Math.hypot(a - x, b - y);

test('a letter stands on its own outline, outside the others and clear of the labels', () => {
  const outlines = [ring(200, 200, 80), ring(310, 200, 80), ring(470, 120, 60)];
  const labels = placeLabels(outlines, [], 112, 38, ...SIZE);
  const letters = placeLetters(outlines, [], labels, ...SIZE);
  letters.forEach((at, i) => {
    assert.ok(outlines[i].some((p) => far(p, at) < 1e-9));
    for (const other of outlines) assert.ok(other === outlines[i] || !inside(at, other));
    for (const { left, right, top, bottom } of labels) assert.ok(at[0] < left || at[0] > right || at[1] < top || at[1] > bottom);
    for (const other of letters) assert.ok(other === at || far(other, at) > 20);
  });
});

test('of a free outline it takes the side of its label, and gives way to dots', () => {
  const outline = ring(300, 200, 80);
  const labels = placeLabels([outline], [], 112, 38, ...SIZE);
  const { left, right, top, bottom } = labels[0];
  const [free] = placeLetters([outline], [], labels, ...SIZE);
  assert.ok(far(free, [(left + right) / 2, (top + bottom) / 2]) < far([300, 200], [(left + right) / 2, (top + bottom) / 2]));
  const crowd = outline.filter((p) => far(p, free) < 60);
  const [moved] = placeLetters([outline], crowd, labels, ...SIZE);
  assert.ok(crowd.every((p) => far(p, moved) >= 11));
});

test('a label that lies on the outline does not hide its letter', () => {
  const label = { left: 330, right: 442, top: 181, bottom: 219 };
  const [[x, y]] = placeLetters([ring(300, 200, 80)], [], [label], ...SIZE);
  assert.ok(x < 320 || y < 171 || y > 229, `${x} ${y}`);
});

test('two outlines that touch get letters that do not', () => {
  const outlines = [ring(220, 200, 80), ring(381, 200, 80)];
  const label = { left: 299, right: 302, top: 199, bottom: 201 };
  const [a, b] = placeLetters(outlines, [], [label, label], ...SIZE);
  assert.ok(far(a, b) >= 22);
});

test('it stays in the frame', () => {
  const outline = ring(20, 20, 60);
  const label = { left: -80, right: -40, top: -60, bottom: -20 };
  const [[x, y]] = placeLetters([outline], [], [label], ...SIZE);
  assert.ok(x > 10 && y > 10, `${x} ${y}`);
});
