// Every live dial: its words, its range, how its value is written, and its mark on a time axis.

import { plain } from '../../lib/dom.js';
import { state } from '../../lib/store.js';

export const BONUS = {
  name: 'creative_beta',
  label: 'Diversity bonus',
  symbol: 'β',
  low: 0,
  high: 3,
  step: 0.05,
  digits: 2,
  usual: () => 0.5,
  help: 'Pays extra for rare looks.',
  title:
    'Pays a picture extra when its look is rare in the group. 0 is reward alone, 1 weighs both alike, at 3 variety mostly decides. Double-click for 0.50.',
};
export const LEASH = {
  name: 'sa_reg_steps',
  label: 'Leash length',
  symbol: 'K',
  low: 0,
  high: null,
  step: 1,
  digits: 0,
  usual: (c) => Math.round(c.steps / 3),
  help: 'First steps held near the base model.',
  title:
    'Holds the first K denoising steps near the base model. Early steps decide layout, so they decide variety. 0 lets go. Double-click for a third of the steps.',
};
export const NOISE = {
  name: 'prompt_noise_scale',
  label: 'Prompt noise',
  symbol: 's',
  low: 0,
  high: 0.3,
  step: 0.01,
  digits: 2,
  usual: (c) => (c.prompt_noise_scale ? 0.1 : 0), // a run that began without it has it off by default
  help: 'Shakes the prompt while the picture is noise.',
  title:
    'Shakes the prompt while the picture is still noise, so equal prompts start apart. Never used when comparing. Above 0.25 pictures may drift off the prompt. Double-click for 0.10, or for none if the run began with none.',
};
export const MORE = [
  {
    name: 'learning_rate',
    label: 'Learning rate',
    symbol: '',
    low: 1e-6,
    high: 1e-2,
    log: true,
    usual: (c) => c.learning_rate,
    start: true,
    help: 'How far each update goes.',
  },
  {
    name: 'noise_level',
    label: 'Noise level',
    symbol: 'a',
    low: 0.05,
    high: 1.2,
    step: 0.05,
    digits: 2,
    usual: (c) => c.noise_level,
    start: true,
    help: 'How much the sampler explores.',
  },
  {
    name: 'pull',
    label: 'Pull to base',
    symbol: '',
    low: 0,
    high: 0.2,
    step: 0.005,
    digits: 3,
    usual: (c) => c.pull,
    start: true,
    help: 'Weight of the KL to the base model.',
  },
];
export const STRENGTH = {
  name: 'sa_reg_weight',
  label: 'Leash strength',
  symbol: 'w',
  help: 'auto spends the budget of a light KL.',
  title: 'A multiple of the automatic weight; auto is 1.',
  mark: (v) => `leash ${shown(v)}`, // w is also the size of a window
};

/** The steps between which the prompt noise fades: full strength up to step `low`, gone from step `high` of T. */
export const FADE = { low: 'prompt_noise_tau2', high: 'prompt_noise_tau1' };
export const fadeStep = (tau, steps) => +((1 - tau) * steps).toFixed(2);
export const fadeTau = (step, steps) => (steps - step) / steps;

export const WINDOW = { kind: 'window', size: 'window_size', stride: 'window_stride', interval: 'window_interval' };
/** Kinds of window: what one is called, and its line; a number in braces is a field that the kind needs. */
export const KINDS = {
  full: ['All steps', 'all but the last, which is never trained'],
  mix_progressive: ['Slides forward', '{size} steps, moves {stride} every {interval} iterations'],
  mix_random: ['Random place', '{size} steps, drawn anew in every iteration'],
  mix_decay: ['Speeds up', '{size} steps, moves {stride}, at first every {interval}'],
  mix_frozen: ['Stays put', '{size} steps, always the first'],
  hrf_scheduled: ['Suffix (HRF)', 'early starts for {interval} iterations, then late'],
  hrf_dynamic: ['Chosen live (HRF-D)', 'from the start at which reward moves most'],
};
/** Kinds that a preset may have, beside the seven that most people choose from. */
export const MORE_KINDS = {
  fast_random: ['Random place, first half', '{size} steps, drawn anew in every iteration'],
  random_fraction: ['Random steps', 'drawn anew in every iteration'],
  mix_exp_decay: ['Speeds up late', '{size} steps, moves {stride}, at first every {interval}'],
  hrf_early: ['Suffix, early starts', 'a start in the noisy half, drawn anew'],
  hrf_latter: ['Suffix, late starts', 'a start in the clean half, drawn anew'],
};
export const kindName = (kind) => (KINDS[kind] ?? MORE_KINDS[kind] ?? ['Other'])[0];

// Values come from a run folder that anyone may have written: only plain numbers and words reach a chart.
export const shown = (value) =>
  typeof value === 'number'
    ? plain(value)
    : String(value)
        .replace(/[^\w .-]/g, '')
        .slice(0, 12);
export const write = (row, value) => (row.digits == null || typeof value !== 'number' ? shown(value) : value.toFixed(row.digits));

const steps = () => state.info?.config.steps ?? 10;
const tau = (value) => plain(fadeStep(value, steps()));
const OTHERS = [
  { name: FADE.low, label: 'Prompt noise in full up to step', mark: (v) => `s to ${tau(v)}`, text: tau },
  { name: FADE.high, label: 'Prompt noise gone from step', mark: (v) => `s gone ${tau(v)}`, text: tau },
  { name: WINDOW.kind, label: 'Training window', mark: kindName, text: kindName },
  { name: WINDOW.size, label: 'Window size', symbol: 'w' },
  { name: WINDOW.stride, label: 'Window moves by', symbol: 'd' },
  { name: WINDOW.interval, label: 'Window moves every', symbol: 'τ' },
];
export const known = (name) =>
  [BONUS, LEASH, NOISE, ...MORE, STRENGTH, ...OTHERS].find((r) => r.name === name) ?? { label: '', symbol: '' };

/** "β 0.50": the short mark on a time axis. */
function turnMark(turn) {
  const row = known(turn.name);
  return row.mark ? row.mark(turn.new) : `${row.symbol || row.label} ${write(row, turn.new)}`;
}
/** "Diversity bonus 0.00 to 0.50". */
function turnText(turn) {
  const row = known(turn.name);
  const text = row.text ?? ((value) => write(row, value));
  return `${row.label} ${text(turn.old)} to ${text(turn.new)}`;
}

const NAMED = 2; // dials in one mark
/** Turned dials as a time axis shows them, those of one iteration together: [{iteration, mark, text}]. */
export function marksOf(turns) {
  const found = Map.groupBy(turns, (t) => t.iteration);
  return [...found].map(([iteration, together]) => {
    const more = together.length - NAMED;
    const mark = together.slice(0, NAMED).map(turnMark).join(', ') + (more > 0 ? `, +${more}` : '');
    return { iteration, mark, text: together.map(turnText).join('; ') };
  });
}
