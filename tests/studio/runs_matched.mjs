// Run by test_runs_js.py with Node's own test runner.
import assert from 'node:assert/strict';
import test from 'node:test';
import { apart, box, common, differ, fromBase, looksAt, unbeaten } from '../../studio/static/views/runs/matched.js';

const run = (pairs, base = [6, 0]) => ({ base, points: pairs.map(([looks, reward], i) => [i + 1, looks, reward, looks / base[0]]), alike: {} });
const random = (seed) => () => ((seed = (seed * 16807) % 2147483647) / 2147483647);

test('looks are read where the reward is first reached, on the line between neighbours', () => {
  const points = fromBase(run([[5, 0.4], [4, 0.2], [3, 0.8]]));
  assert.equal(looksAt(points, 0), 6);
  assert.equal(looksAt(points, 0.2), 5.5);
  assert.ok(Math.abs(looksAt(points, 0.6) - (4 - (0.4 / 0.6))) < 1e-12); // not on the first rise, which ends at 0.4
  assert.equal(looksAt(points, 0.9), null);
  assert.equal(looksAt(points.slice(1), 0.1), null); // it was above from the start
});

test('a run without an iteration after the base has its base only', () => {
  assert.equal(looksAt(fromBase(run([])), 0), null);
  assert.equal(common([run([])]), 0);
});

test('what is unbeaten is exactly what no other point beats', () => {
  const next = random(7);
  for (let round = 0; round < 200; round++) {
    const points = run(Array.from({ length: 12 }, () => [Math.round(next() * 6), Math.round(next() * 6)])).points;
    const beaten = (p) => points.some((o) => o[1] >= p[1] && o[2] >= p[2] && (o[1] > p[1] || o[2] > p[2]));
    const expected = new Set(points.filter((p) => !beaten(p)).map((p) => `${p[1]} ${p[2]}`));
    const found = unbeaten(points);
    assert.deepEqual(new Set(found.map((p) => `${p[1]} ${p[2]}`)), expected);
    assert.equal(found.length, expected.size);
    for (let i = 1; i < found.length; i++) assert.ok(found[i][2] < found[i - 1][2] && found[i][1] > found[i - 1][1]);
  }
});

test('the common reward is the least of the best', () => {
  assert.equal(common([run([[5, 0.9], [5, 0.3]]), run([[5, 0.7]])]), 0.7);
  assert.equal(common([run([[5, -0.4]]), run([[5, 0.7]])]), 0); // the base reaches 0
});

test('labels stay apart and inside, and those with room stay where they want to be', () => {
  const next = random(3);
  for (let round = 0; round < 100; round++) {
    const wanted = Array.from({ length: 6 }, () => next() * 200);
    const placed = apart(wanted, 14, 10, 190);
    const sorted = [...placed].sort((a, b) => a - b);
    assert.ok(sorted[0] >= 10 - 1e-9 && sorted[5] <= 190 + 1e-9);
    for (let i = 1; i < 6; i++) assert.ok(sorted[i] - sorted[i - 1] >= 14 - 1e-9);
  }
  assert.deepEqual(apart([50, 100, 150], 14, 10, 190), [50, 100, 150]);
});

test('a box is never flat, and differences are named', () => {
  assert.deepEqual(box([[3, 1]]), { x0: 3, x1: 4, y0: 1, y1: 1.5 });
  const alike = (rewards, model) => ({ alike: { rewards, model } });
  assert.deepEqual(differ([alike('a', 'm'), alike('b', 'm')]), ['rewards']);
  assert.deepEqual(differ([alike('a', 'm'), alike('a', 'm')]), []);
});
