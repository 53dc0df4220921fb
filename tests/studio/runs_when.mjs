// Run by test_runs_js.py with Node's own test runner.
import assert from 'node:assert/strict';
import test from 'node:test';

process.env.TZ = 'America/New_York'; // summer time ends there on 1 November 2026, a day of 25 hours
const { fullTime, shortTime } = await import('../../studio/static/views/runs/when.js');

const at = (...local) => new Date(...local).getTime() / 1000;

test('the day is the one of this place, up to midnight', () => {
  const now = new Date(2026, 10, 21, 0, 5);
  assert.equal(shortTime(at(2026, 10, 21, 0, 2), now), 'today 00:02');
  assert.equal(shortTime(at(2026, 10, 20, 23, 58), now), 'yesterday 23:58');
  assert.equal(shortTime(at(2026, 10, 19, 23, 59), now), '19 Nov 23:59');
  assert.equal(shortTime(Date.UTC(2026, 10, 21, 4, 30) / 1000, now), 'yesterday 23:30');
});

test('yesterday is the day before, however long it was', () => {
  assert.equal(shortTime(at(2026, 10, 1, 0, 30), new Date(2026, 10, 2, 23, 59)), 'yesterday 00:30');
  assert.equal(shortTime(at(2026, 9, 31, 12, 0), new Date(2026, 10, 1, 23, 30)), 'yesterday 12:00');
  assert.equal(shortTime(at(2026, 9, 31, 23, 59), new Date(2026, 10, 2, 0, 1)), '31 Oct 23:59');
  assert.equal(shortTime(at(2025, 11, 31, 9, 0), new Date(2026, 0, 1, 8, 0)), 'yesterday 09:00');
});

test('another year is named, and the tooltip has everything', () => {
  assert.equal(shortTime(at(2025, 10, 12, 14, 2), new Date(2026, 10, 21)), '12 Nov 2025');
  assert.match(fullTime(at(2026, 10, 21, 14, 2, 31)), /^Saturday,? 21 November 2026 at 14:02:31$/);
});
