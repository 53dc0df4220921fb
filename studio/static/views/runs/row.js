// One run of the list. A row is made once and then only brought up to date, so that focus and an open field survive.

import { $, fixed, h, icon, say, seconds, svg, glyph } from '../../lib/dom.js';
import { dot, ink, stroke, through } from '../../lib/marks.js';
import { modelName } from '../strip.js';
import * as act from './actions.js';
import { menuButton } from './menu.js';
import { fullTime, shortTime } from './when.js';

const ICONS = { running: 'play', paused: 'pause', stopped: 'stop', finished: 'flag', failed: 'warn', died: 'warn', silent: 'warn', broken: 'warn' };
const TONES = { running: 'ok', finished: 'ok', paused: 'warn', silent: 'warn', failed: 'bad', died: 'bad', broken: 'bad' };
const VERDICTS = { Healthy: 'ok', Recovering: 'ok', Narrowing: 'warn', Collapsing: 'bad' };
const [W, H] = [92, 40];

export const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : n < 1e9 ? `${Math.round(n / 1e6)} MB` : `${(n / 1e9).toFixed(1)} GB`);
const last = (saved) => saved?.[saved.length - 1] ?? 0;

/** `chart` has ticked(name), place(name), full(), toggle(name). */
export function makeRow(first, chart) {
  let run = first;
  const tick = h('input', { type: 'checkbox', 'aria-label': `Chart ${run.name}`, onchange: () => chart.toggle(run.name) });
  const name = h('button', { class: 'name', onclick: () => act.open(run.name) });
  const go = h('button', { class: 'btn sm go', onclick: () => act.resume(run.name) }, icon('play', 14), h('span', { class: 'word' }), h('span', { class: 'rest' }));
  const node = h(
    'li',
    { class: 'run', 'data-run': run.name },
    h('label', { class: 'tick' }, tick),
    h('div', { class: 'path', 'aria-hidden': 'true' }),
    h('div', { class: 'who' }, h('div', { class: 'line' }, h('span', { class: 'mark' }), name), h('p', { class: 'sub' })),
    h('div', { class: 'how' }, h('span', { class: 'state' }, h('span', { class: 'ic' }), h('span', { class: 'word' })), h('p', { class: 'sub' })),
    h('div', { class: 'what' }, h('b', {}), h('p', { class: 'sub' }, h('span', {}), h('span', { class: 'rest' }))),
    h('div', { class: 'began' }, h('span', {}), h('p', { class: 'sub' })),
    h(
      'div',
      { class: 'acts' },
      go,
      menuButton(`More for ${run.name}`, () => items(run, node, chart)),
    ),
  );

  function update(found, axes) {
    run = found;
    node.classList.toggle('dead', Boolean(run.broken));
    tick.checked = chart.ticked(run.name);
    tick.disabled = !run.path?.length || (!tick.checked && chart.full());
    tick.title = !run.path?.length ? 'Nothing to draw yet' : tick.disabled ? 'Six runs at most' : 'Draw in the figure';
    const mark = $('.mark', node),
      place = chart.place(run.name);
    if (mark.dataset.place !== String(place)) {
      mark.dataset.place = place;
      mark.replaceChildren(...(place < 0 ? [] : [glyph(place, 12)]));
    }
    say(name, run.name);
    name.title = run.broken ? run.name : `Open ${run.name} in Live`; // a narrow list cuts long names
    name.disabled = Boolean(run.broken);
    $('.dots', node).hidden = Boolean(run.nameless);
    drawPath($('.path', node), run, axes);
    words(node, run);
    const to = further(run);
    go.hidden = !to;
    ['.word', '.rest'].forEach((part, i) => say($(part, go), to?.[i] ?? ''));
    if (to) go.title = to.filter(Boolean).join(' ');
    if (to) go.setAttribute('aria-label', go.title);
  }
  return { node, update };
}

/** What the button says that lets a run go on, [word, the rest that a narrow list leaves out], or null if nothing is left to do or it is not ours. */
function further(run) {
  if (run.broken || run.watched || run.alive || run.state === 'finished' || run.iteration >= run.iterations) return null;
  if (run.place) return ['Start', 'now'];
  if (last(run.saved)) return ['Resume', `from ${last(run.saved)}`];
  return run.iteration ? ['Start', 'again'] : ['Start'];
}

function words(node, run) {
  const state = run.broken ? 'broken' : run.state,
    chip = $('.how .state', node);
  if (chip.dataset.state !== state) {
    chip.dataset.state = state;
    chip.className = `state ${TONES[state] ?? ''}`;
    $('.ic', chip).replaceChildren(icon(ICONS[state] ?? 'clock', 13));
  }
  say($('.word', chip), run.broken ? 'Unreadable' : run.place ? `Queued, ${run.place}` : run.word);
  const ended = run.state === 'died' ? `Ended unexpectedly at ${run.iteration}, ${last(run.saved) ? `saved at ${last(run.saved)}` : 'nothing saved'}` : null;
  const plan = run.broken ? '' : run.branch ? `${preset(run.preset)}, from ${run.branch.of} at ${run.branch.at}` : `${preset(run.preset)} on ${modelName(run.model)}`;
  const said = run.broken || ended || (run.state === 'failed' && run.message) || plan;
  const line = $('.who .sub', node);
  say(line, run.watched && !run.broken ? `Watching, read only. ${said}` : said);
  line.title = line.textContent;
  line.classList.toggle('told', Boolean(run.broken || ended || run.state === 'failed'));
  say($('.how .sub', node), run.broken ? '' : `${run.iteration} of ${run.iterations}`);
  const verdict = $('.what b', node);
  say(verdict, run.verdict ?? '');
  verdict.className = `v ${VERDICTS[run.verdict] ?? ''}`;
  const end = run.path?.[run.path.length - 1];
  say($('.what .sub span', node), end ? `variety ${fixed(end[0], 1)}` : '');
  say($('.what .rest', node), end ? `, reward ${fixed(end[1])}` : '');
  say($('.began span', node), run.started ? shortTime(run.started) : '–');
  say($('.began .sub', node), `${run.seconds ? `${seconds(run.seconds)}, ` : ''}${bytes(run.size)}`);
  $('.began', node).title = [
    run.started ? `Started on ${fullTime(run.started)}.` : run.broken ? '' : 'Not started yet.',
    run.seconds ? `Trained for ${seconds(run.seconds)}.` : '',
    `Takes ${bytes(run.size)} of the disk.`,
  ].join('\n').trim();
}

const preset = ({ title, changes }) => (changes ? `${title}, ${changes} ${changes === 1 ? 'change' : 'changes'}` : title);

/** Reward (up) against variety (right) in the same box for all rows; the base model hollow. */
function drawPath(place, run, axes) {
  const key = JSON.stringify([run.path?.length, run.path?.[run.path.length - 1], axes]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  if (!run.path?.length) return place.replaceChildren();
  const X = (v) => 4 + ((v - axes.x0) / (axes.x1 - axes.x0)) * (W - 8);
  const Y = (v) => H - 4 - ((v - axes.y0) / (axes.y1 - axes.y0)) * (H - 8);
  const points = [...(run.base ? [run.base] : []), ...run.path].map(([x, y]) => [X(x), Y(y)]);
  const [x, y] = points[points.length - 1];
  let s = stroke(through(points), '--ink', 1.2, { 'stroke-opacity': 0.55, 'stroke-linejoin': 'round' });
  if (run.base) s += dot(points[0][0], points[0][1], 2.8, { fill: ink('--panel'), stroke: ink('--base'), 'stroke-width': 1.3 });
  return place.replaceChildren(svg(W, H, s + dot(x, y, 2.8, { fill: ink('--ink') })));
}

function items(run, node, chart) {
  if (run.broken) return run.watched ? [['Stop watching', () => act.forget(run.name)]] : [['Archive', () => act.archive(run.name)], ['Delete', () => act.screen.ask.delete(run), { bad: true }]];
  const out = [['Open in Live', () => act.open(run.name)]];
  if (run.iteration) out.push(['Open in Compare', () => act.compare(run.name)]);
  if (run.path?.length && (chart.ticked(run.name) || !chart.full())) out.push([chart.ticked(run.name) ? 'Take off the chart' : 'Add to chart', () => chart.toggle(run.name)]);
  out.push(['Duplicate to Setup', () => act.duplicate(run.name)]);
  if (last(run.saved)) out.push(['Export LoRA', () => act.screen.ask.export(run)]);
  if (run.watched) return [...out, null, ['Stop watching', () => act.forget(run.name)]];
  if (run.place) out.push(['Take out of the queue', () => act.leaveQueue(run.name)]);
  else if (further(run)) out.push(['Add to the queue', () => act.enqueue(run.name)]);
  if (run.alive) return out;
  return [...out, null, ['Rename', () => renameIn(node, run)], ['Archive', () => act.archive(run.name)], ['Delete', () => act.screen.ask.delete(run), { bad: true }]];
}

/** A field in place of the name: Enter keeps, Esc gives up, a refusal is said below. */
function renameIn(node, run) {
  const line = $('.who .line', node),
    name = $('.name', line);
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const field = h('input', { class: 'text', value: run.name, maxlength: 60, spellcheck: 'false', autocomplete: 'off', 'aria-label': `New name of ${run.name}` });
  let done = false;
  let ended = false;
  const end = () => {
    if (ended) return; // a field that goes loses the focus, which would end it again
    ended = done = true;
    wrong.remove();
    name.hidden = false;
    field.remove();
    name.focus();
  };
  const keep = async () => {
    if (done) return undefined;
    const to = field.value.trim();
    if (to === run.name) return end();
    try {
      done = true;
      await act.rename(run.name, to);
      end();
      document.querySelector(`.mm-runs [data-run="${CSS.escape(to)}"] .name`)?.focus();
    } catch (problem) {
      done = false;
      say(wrong, problem.message.replace(/^\w+: /, ''));
      field.setAttribute('aria-invalid', 'true');
    }
    return undefined;
  };
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') keep();
    if (event.key === 'Escape') end();
  });
  field.addEventListener('blur', () => (field.getAttribute('aria-invalid') ? end() : keep()));
  name.hidden = true;
  line.append(field);
  line.after(wrong);
  field.select();
}
