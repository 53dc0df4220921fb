// The small pictures of the preset cards in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { scheduleWords } from '../../studio/static/views/setup/glyph.js';

const PLAN = { steps: 10, trained: [0, 1, 2, 3, 4, 5, 6, 7, 8], leash: 0, noise: [], start: null, chosen: false, bonus: false, past: false, pull: false };
const said = (changes) => scheduleWords({ ...PLAN, ...changes });

test('every mark of the picture is said, and no other', () => {
  assert.equal(said({}), 'Each block is one of 10 steps from noise (left) to the clean picture (right). Trained are 9 of them. Does not pay for variety.');
  assert.match(said({ leash: 3, bonus: true }), /Trained are 9 of them\. The first 3 are held near the base model\. Pays for variety\.$/);
  assert.match(said({ noise: [0.1, 0.1, 0.05, 0, 0] }), /The prompt is shaken in the first 3\./);
  assert.match(said({ trained: [7, 8], start: 7 }), /Trained are 2 of them, from step 7 on\./);
  assert.match(said({ start: 0, chosen: true }), /Trained are the later steps, from a start that is found as it trains\./);
  assert.match(said({ pull: true }), /All trained steps are pulled lightly to the base model\./);
  assert.match(said({ past: true, bonus: true }), /judged against the past of their prompt\.$/);
});
