// The folded groups of further settings, each saying its values when closed.

import { h, icon, say, plain } from '../../lib/dom.js';
import { form, labelOf } from './form.js';
import { control, OURS } from './fields.js';
import { inWords } from './words.js';

const GROUPS = [
  ['dials', 'Dials'],
  ['window', 'Training window'],
  ['drift', 'DRIFT-style parts'],
  ['learning', 'Learning'],
  ['sampling', 'Sampling and looks'],
  ['alarms', 'Alarms'],
  ['saving', 'Saving and device'],
];
const leash = (v) => (v.sa_reg_steps ? `${v.sa_reg_steps} steps, strength ${plain(v.sa_reg_weight)}` : 'off');
const clusters = (v) => (v.cluster_k === 'eigengap' ? 'clusters by eigengap' : `${v.cluster_k} clusters`);
const SHORT = {
  dials: (v) => [`bonus ${plain(v.creative_beta)}`, `leash ${leash(v)}`],
  window: (v) => [
    inWords('window', v.window),
    ...(/^(mix|fast)/.test(v.window) ? [`${v.window_size} steps`] : []),
    ...(/^mix_(p|d|e)|scheduled/.test(v.window) ? [`every ${v.window_interval} iterations`] : []),
  ],
  drift: (v) => [
    v.subset_mode === 'off' ? 'all pictures' : `subset ${inWords('subset_mode', v.subset_mode)}`,
    v.prompt_noise_scale ? `prompt noise ${plain(v.prompt_noise_scale)}` : 'clean prompts',
    v.shaping_alpha ? `shaping ${plain(v.shaping_alpha)}` : 'no shaping',
  ],
  learning: (v) => [
    `learning rate ${plain(v.learning_rate)}`,
    `LoRA rank ${v.lora_rank}`,
    `clip ${plain(v.clip_epsilon)}`,
    `${v.updates_per_iteration} updates per iteration`,
    `${v.micro_batch} in flight`,
    ...(v.gradient_checkpointing ? ['checkpointing'] : []),
    `pull ${plain(v.pull)}`,
    `seed ${v.seed}`,
  ],
  sampling: (v) => [
    `${v.steps} steps`,
    `${inWords('dynamics', v.dynamics)} noise ${plain(v.noise_level)}`,
    `guidance ${plain(v.guidance)}`,
    clusters(v),
  ],
  alarms: (v) => [
    v.alarm_warn === null ? 'no warning' : `warn below ${plain(v.alarm_warn)} % of base variety`,
    v.alarm_pause === null ? 'never pause' : `pause below ${plain(v.alarm_pause)} %`,
    ...(v.alarm_action === 'none' ? [] : [`a warning also ${inWords('alarm_action', v.alarm_action)}`]),
  ],
  saving: (v) => [
    `checkpoint every ${v.checkpoint_every} iterations`,
    `keep ${v.keep_checkpoints}`,
    `${v.base_pictures} base pictures`,
    `device ${v.device}`,
  ],
};

export function advanced() {
  const namesOf = (id) => [...Object.keys(form.known.fields).filter((n) => form.known.fields[n].group === id && n !== 'clip_model'), ...(id === 'learning' ? ['seed'] : [])];
  return h(
    'div',
    { class: 'acc', role: 'group', 'aria-label': 'Advanced settings' },
    GROUPS.filter(([id]) => namesOf(id).length).map(([id, title]) => group(id, title, namesOf(id))),
  );
}

function group(id, title, names) {
  const summary = h('span', { class: 'sum' });
  form.draws.push(() => {
    const wrong = names.find((n) => form.problems[n]);
    say(summary, wrong ? `${labelOf(wrong)}: ${form.problems[wrong]}` : SHORT[id](form.values).join(', '));
    summary.classList.toggle('off', Boolean(wrong));
  });
  return h(
    'details',
    {},
    h('summary', {}, icon('chevron', 12), h('b', {}, title), summary),
    h(
      'div',
      { class: 'grid' },
      names.map((n) => control(n)),
      names.some((n) => form.known.fields[n].ours) ? h('p', { class: 'key' }, `* ${OURS}`) : null,
    ),
  );
}
