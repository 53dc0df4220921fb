// Fields of the form made from the config's own words and bounds, and the folded advanced groups.

import { h, icon, say, plain } from '../lib/dom.js';
import { form, set } from './setup.js';

const GROUPS = [
  ['dials', 'Dials'],
  ['window', 'Training window'],
  ['drift', 'DRIFT-style parts'],
  ['learning', 'Learning'],
  ['sampling', 'Sampling and looks'],
  ['saving', 'Saving and device'],
];
const leash = (v) => (v.sa_reg_steps ? `${v.sa_reg_steps} steps, strength ${plain(v.sa_reg_weight)}` : 'off');
const clusters = (v) => (v.cluster_k === 'eigengap' ? 'clusters by eigengap' : `${v.cluster_k} clusters`);
const SHORT = {
  dials: (v) => [`bonus ${plain(v.creative_beta)}`, `leash ${leash(v)}`],
  window: (v) => [
    WORDS[v.window],
    ...(/^(mix|fast)/.test(v.window) ? [`${v.window_size} steps`] : []),
    ...(/^mix_(p|d|e)|scheduled/.test(v.window) ? [`every ${v.window_interval} iterations`] : []),
  ],
  drift: (v) => [
    v.subset_mode === 'off' ? 'all pictures' : `subset ${WORDS[v.subset_mode]}`,
    v.prompt_noise_scale ? `prompt noise ${plain(v.prompt_noise_scale)}` : 'clean prompts',
    v.shaping_alpha ? `shaping ${plain(v.shaping_alpha)}` : 'no shaping',
  ],
  learning: (v) => [
    `learning rate ${plain(v.learning_rate)}`,
    `LoRA rank ${v.lora_rank}`,
    `clip ${plain(v.clip_epsilon)}`,
    `${v.updates_per_iteration} updates per iteration`,
    `pull ${plain(v.pull)}`,
    `seed ${v.seed}`,
  ],
  sampling: (v) => [
    `${v.steps} steps`,
    `${WORDS[v.dynamics]} noise ${plain(v.noise_level)}`,
    `guidance ${plain(v.guidance)}`,
    clusters(v),
  ],
  saving: (v) => [
    `checkpoint every ${v.checkpoint_every} iterations`,
    `keep ${v.keep_checkpoints}`,
    `${v.base_pictures} base pictures`,
    `device ${v.device}`,
  ],
};
const WORDS = {
  zscore_sum: 'by z-scores',
  raw_sum: 'as they are',
  scaled_sum: 'scaled',
  none: 'all',
  above_mean: 'above the mean',
  w2_latent: 'latents',
  v_mse: 'velocities',
  median: 'median distance',
  self_tuning: 'self-tuning',
  flow_sde: 'Flow-SDE',
  cps: 'CPS',
  dance_sde: 'Dance-SDE',
  ddim: 'DDIM',
  full: 'all but the last',
  fast_random: 'a few, drawn anew (Fast)',
  random_fraction: 'a random part (Dance)',
  mix_progressive: 'a few, moving on (Mix)',
  mix_random: 'a few, drawn anew (Mix)',
  mix_decay: 'a few, moving faster (Mix)',
  mix_exp_decay: 'a few, moving ever faster (Mix)',
  mix_frozen: 'the first few (Mix)',
  hrf_early: 'from an early start on (HRF)',
  hrf_latter: 'from a late start on (HRF)',
  hrf_scheduled: 'early starts, then late (HRF)',
  hrf_dynamic: 'from a chosen start on (HRF-D)',
  anchor_renoise: 'finished pictures',
  full_rollout: 'full rollouts',
  pixel_cosine: 'pixels',
  perceptual: 'the likeness measure',
  off: 'off',
  min_variance: 'closest together',
  band: 'near the mean',
  median_k: 'nearest the median',
  trim: 'without the ends',
  subset: 'the kept',
  step: 'steps',
  sigma: 'noise level',
  per_step: 'at every step',
  per_trajectory: 'once a picture',
  both: 'both',
  sequence: 'words',
  pooled: 'summary',
  linear: 'in a line',
  mean_group: 'group on average',
  nn_group: 'nearest of the group',
  nn_memory: 'nearest of earlier ones',
  sigmoid: 'more, the better',
  history: 'its own past',
  novelty: 'group, more for the new',
  clipped: 'clipped ratio',
  guard: 'GRPO-Guard',
  inv_dt: 'even',
  'adv_std_scope.none': 'nothing',
  'prompt_noise_iter_decay.none': 'no',
  'guard_step_reweight.none': 'none',
  'subset_stats_scope.full': 'the whole group',
  'subset_fallback.full': 'whole group',
  'subset_fallback.skip': 'skip the group',
  clip: 'CLIP',
  dreamsim: 'DreamSim',
  group: 'of the group',
  global: 'of all groups',
};

export const labelOf = (name) => (name === 'name' ? 'Name' : (form.known?.fields[name]?.label ?? name));

/** A field with a place for its sentence, so that an error moves nothing far away. */
export const field = (name, ...children) =>
  h('div', { class: 'field', 'data-field': name }, children, h('p', { class: 'wrong', role: 'status' }));

/** A number stays a number; anything else travels as typed, and the server says what is wrong with it. */
export function read(text) {
  const clean = text
    .trim()
    .replace('−', '-')
    .replace(/^(-?\d+),(\d+)$/, '$1.$2');
  return clean !== '' && Number.isFinite(Number(clean)) ? Number(clean) : clean;
}

export function advanced() {
  return h(
    'div',
    { class: 'acc', 'aria-label': 'Advanced settings' },
    GROUPS.map(([id, title]) => {
      const names = Object.keys(form.known.fields).filter((n) => form.known.fields[n].group === id);
      if (id === 'learning') names.push('seed');
      const summary = h('span', { class: 'sum' });
      form.draws.push(() => say(summary, form.values.steps === undefined ? '' : SHORT[id](form.values).join(', ')));
      return h(
        'details',
        {},
        h('summary', {}, icon('chevron', 12), h('b', {}, title), summary),
        h(
          'div',
          { class: 'grid' },
          names.map((n) => control(n)),
        ),
      );
    }),
  );
}

export function control(name, title = null) {
  const known = form.known.fields[name],
    parts = known.schema.anyOf || [known.schema],
    choice = parts.find((p) => p.enum);
  const sign = known.symbol ? h('i', { class: 'sym' }, ` ${known.symbol}`) : null;
  let input;
  if (parts.length === 1 && choice) {
    input = h(
      'select',
      { class: 'sel', 'aria-label': known.label, onchange: (e) => set(name, e.target.value) },
      choice.enum.map((v) => h('option', { value: v }, WORDS[`${name}.${v}`] || WORDS[v] || v)),
    );
    form.draws.push(() => {
      input.value = form.values[name];
    });
  } else if (known.schema.type === 'boolean') {
    input = h('input', { type: 'checkbox', 'aria-label': known.label, onchange: (e) => set(name, e.target.checked) });
    form.draws.push(() => {
      input.checked = Boolean(form.values[name]);
    });
  } else {
    const empty = parts.some((p) => p.type === 'null');
    input = h('input', {
      class: 'numin',
      'aria-label': known.label,
      autocomplete: 'off',
      placeholder: empty ? 'none' : '',
      oninput: (e) => set(name, empty && e.target.value.trim() === '' ? null : read(e.target.value)),
    });
    form.draws.push(() => {
      if (document.activeElement !== input) input.value = form.values[name] ?? '';
    });
  }
  return field(name, h('div', { class: 'line', title: known.help }, h('span', {}, title ?? known.label, sign), input));
}
