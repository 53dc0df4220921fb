// The Lesson: six steps on recorded runs, replayed through the views of Live. One idea, one sentence, one action a step.

import { $, clamp, h, icon, say } from '../lib/dom.js';
import { emit, get, on, openRun, poll, state, view, viewed, writeAddress } from '../lib/store.js';
import { lessonKeys } from './lesson/keys.js';
import { Notes } from './lesson/notes.js';
import { Player } from './lesson/player.js';
import { stage } from './lesson/stage.js';

export function lesson(root) {
  let told = null, // the server's answer: {steps, pairs, live}
    scene = null, // the views, mounted when the lesson is first seen
    own = null, // what was viewed before: the lesson puts its recorded runs into the one state that all views share
    done = false; // the action of this step
  const notes = new Notes(() => parts.press);
  const player = new Player((finished) => {
    if (finished) done = true;
    draw();
  });
  const parts = { steps: [] };
  const step = () => told.steps[state.step - 1];

  // --- coming and going --------------------------------------------------------------------------------------------
  async function enter() {
    if (!state.replay) own = { run: state.run, prompt: state.prompt, all: state.all, iteration: state.iteration, sel: state.sel };
    if (!told) {
      const answer = await get('/api/lesson').catch((problem) => problem);
      if (!answer.steps) return root.replaceChildren(missing(answer.message));
      told = answer;
      build();
    }
    if (state.screen === 'lesson') go(state.step ?? 1);
    return undefined;
  }

  function leave() {
    if (!told) return;
    player.stop();
    present(false);
    if (!state.replay) return;
    openRun(own?.run ?? null); // none: the newest, as when the studio starts
    if (own?.run) Object.assign(state, own);
    writeAddress();
  }

  /** Another run was chosen in the strip. */
  function chosen() {
    if (state.screen !== 'lesson' || !told || state.replay || !state.run) return;
    own = { run: state.run };
    window.manymodes.show('live');
  }

  // --- the steps -----------------------------------------------------------------------------------------------------
  function go(number) {
    player.stop();
    state.step = clamp(Math.round(number) || 1, 1, told.steps.length);
    done = false;
    showRun(step().run, step().until, step().from);
    writeAddress();
    draw();
  }
  const next = () => state.step < told.steps.length && go(state.step + 1);
  const back = () => state.step > 1 && go(state.step - 1);

  function showRun(run, until, iteration) {
    if (state.run === run && state.until === until) return view({ iteration });
    openRun(run, until);
    state.iteration = iteration;
    return undefined;
  }

  function act() {
    const { action, from, to, then } = step();
    if (action.kind === 'play') {
      if (player.playing) return player.stop();
      if (viewed() >= to) view({ iteration: from });
      if (state.until !== null && state.until < to) {
        state.until = to; // now the rest of the run is known
        poll();
      }
      player.play(to, to - from);
      return draw();
    }
    done = true;
    if (then) showRun(then, null, null);
    return draw();
  }
  /** Space and the large button: the action while it waits, then the next step. */
  const onward = () => (done && !player.playing ? next() : act());

  function tryLive() {
    present(false);
    state.preset = told.live;
    emit('preset');
    window.manymodes.show('setup');
  }

  function present(yes) {
    root.classList.toggle('presenting', yes);
    parts.present?.setAttribute('aria-pressed', String(yes));
  }

  // --- page ----------------------------------------------------------------------------------------------------------
  function build() {
    scene = stage(told);
    const button = (props, ...inner) => h('button', { class: 'btn', ...props }, inner);
    parts.steps = told.steps.map((s, i) =>
      h('button', { title: s.title, 'aria-label': `Step ${i + 1}: ${s.title}`, onclick: () => go(i + 1) }, String(i + 1)),
    );
    parts.present = button({ id: 'mm-present', 'aria-pressed': 'false', title: 'One view at a time, larger type  P', onclick: turnPresent }, 'Present');
    parts.count = h('span', { class: 'count' });
    parts.title = h('h1', { dir: 'auto' });
    parts.sentence = h('p', { class: 'sentence', dir: 'auto' });
    parts.blocked = h('p', { class: 'blocked', role: 'alert' });
    parts.main = h('button', { class: 'onward', id: 'mm-onward', onclick: onward }, h('span', { class: 'word' }), h('kbd', {}, 'Space'));
    parts.again = button({ class: 'btn ghost again', onclick: act }, 'Play again');
    parts.live = h('button', { class: 'onward', id: 'mm-try-live', onclick: tryLive }, 'Try it live');
    parts.back = button({ id: 'mm-lesson-back', title: 'Step before  ←', onclick: back }, '← Back');
    parts.next = button({ id: 'mm-lesson-next', title: 'Next step  →', onclick: next }, 'Next →');
    root.replaceChildren(
      h(
        'header',
        { class: 'top' },
        h('nav', { class: 'steps', 'aria-label': 'Steps' }, parts.steps),
        h('span', { class: 'sub' }, 'A recorded run of this studio. Nothing is computed here.'),
        h('div', { class: 'r' }, button({ id: 'mm-notes', onclick: openNotes }, 'Speaker notes'), parts.present),
      ),
      h(
        'section',
        { class: 'words' },
        h('div', { class: 'live', 'aria-live': 'polite' }, parts.count, parts.title, parts.sentence),
        h('div', { class: 'act' }, parts.main, parts.live, parts.again),
        parts.blocked,
        h('div', { class: 'walk' }, parts.back, parts.next),
      ),
      scene.node,
    );
    parts.press = lessonKeys({ onward, next, back, play: () => step().action.kind === 'play' && act(), leave: () => present(false) });
  }

  function turnPresent() {
    present(!root.classList.contains('presenting'));
  }
  function openNotes() {
    say(parts.blocked, notes.open() ? '' : 'The browser opened no second window. Allow pop-up windows for this page.');
    draw();
  }

  function draw() {
    if (!told || !state.step) return;
    const { title, sentence, after, action, view: seen } = step();
    const last = state.step === told.steps.length;
    parts.steps.forEach((node, i) => node.setAttribute('aria-current', i + 1 === state.step ? 'step' : 'false'));
    say(parts.count, `${state.step} of ${told.steps.length}`);
    say(parts.title, title);
    say(parts.sentence, done ? after : sentence);
    const under = action.kind === 'play' && viewed() > step().from && viewed() < step().to; // it was paused on the way
    const word = player.playing ? 'Pause' : done ? 'Next' : under ? 'Go on' : action.label;
    say($('.word', parts.main), word);
    parts.main.hidden = done && last;
    parts.live.hidden = !(done && last);
    parts.again.hidden = !(done && action.kind === 'play') || player.playing;
    parts.back.disabled = state.step === 1;
    parts.next.disabled = last;
    root.dataset.view = seen;
    root.dataset.done = String(done);
    scene.show(step(), done);
    notes.draw({ number: state.step, of: told.steps.length, step: step(), done, next: told.steps[state.step] });
  }

  on('screen', () => (state.screen === 'lesson' ? enter() : leave()));
  on('run', chosen);
  on('theme', draw);
  if (state.screen === 'lesson') enter();
}

/** Nothing was recorded: say so, and where to go. */
function missing(message) {
  return h(
    'div',
    { class: 'missing' },
    h('h1', {}, 'The lesson is not in this copy'),
    h('p', {}, message),
    h('button', { class: 'btn', onclick: () => window.manymodes.show('setup') }, icon('play', 14), 'Open Setup'),
  );
}
