// Run by test_runs_js.py with Node's own test runner.
import assert from 'node:assert/strict';
import test from 'node:test';
import { apart, box, common, differ, looksAt, stairs, unbeaten } from '../../studio/static/views/runs/matched.js';

const run = (pairs, base = [6, 0]) => ({ base, points: pairs.map(([looks, reward], i) => [i + 1, looks, reward, looks / base[0]]), alike: {} });
const random = (seed) => () => ((seed = (seed * 16807) % 2147483647) / 2147483647);

test('looks at a reward are the most that were kept at it or above', () => {
  const { points } = run([[5, 0.4], [4, 0.2], [3, 0.8], [4.5, 0.6]]);
  assert.equal(looksAt(points, 0.1), 5);
  assert.equal(looksAt(points, 0.4), 5);
  assert.equal(looksAt(points, 0.41), 4.5);
  assert.equal(looksAt(points, 0.7), 3);
  assert.equal(looksAt(points, 0.81), null);
  assert.equal(looksAt([], 0), null);
});

test('the stairs stand at the looks of every reward', () => {
  const next = random(11);
  for (let round = 0; round < 100; round++) {
    const { points } = run(Array.from({ length: 9 }, () => [Math.round(next() * 9), Math.round(next() * 9)]));
    const corners = stairs(points);
    for (let i = 1; i < corners.length; i++) assert.ok((corners[i][1] === corners[i - 1][1]) !== (corners[i][2] === corners[i - 1][2]));
    for (const [, looks, reward] of corners) assert.ok(looksAt(points, reward) >= looks);
    for (let i = 2; i < corners.length; i += 2) assert.equal(looksAt(points, (corners[i - 1][2] + corners[i - 2][2]) / 2), corners[i - 1][1]);
  }
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
  assert.equal(common([run([[5, -0.4]]), run([[5, 0.7]])]), -0.4);
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
