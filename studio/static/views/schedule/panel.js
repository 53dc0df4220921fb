// A place for the schedule map and its sentence, redrawn when what it shows or its size changes; and the one of Setup.

import { h, say } from '../../lib/dom.js';
import { post } from '../../lib/store.js';
import { fadeTau } from '../dials/rows.js';
import { draggable, grabbable } from './drag.js';
import { filmStrip } from './film.js';
import { drawMap, scene } from './map.js';
import { inWords } from './words.js';

let count = 0;

/** {show(scene)}: the map and below it the sentence, in `root`. move: see draggable; none, and nothing can be dragged. */
export function mapPlace(root, move = null) {
  const picture = h('div', { class: 'map' }),
    sentence = h('p', { class: 'read' });
  const id = `mm-map-${++count}`;
  let shown = null,
    drawn = '';
  root.classList.add('mm-schedule');
  const film = filmStrip();
  root.append(film.node, picture, sentence);
  if (move) draggable(picture, () => shown, move);
  const draw = () => {
    const [W, H] = [picture.clientWidth, picture.clientHeight];
    if (!shown || !W || !H) return;
    film.show(shown.schedule);
    const key = JSON.stringify([shown, [...shown.grab], W, H]);
    if (key === drawn) return;
    drawn = key;
    picture.replaceChildren(drawMap(shown, W, H, id));
    say(sentence, inWords(shown.lane, shown.now, shown.when));
  };
  new ResizeObserver(draw).observe(picture);
  return {
    show(next) {
      shown = next;
      draw();
    },
  };
}

/** Asks for one schedule at a time: while one is on its way, only the newest question waits. */
export function asking(answered) {
  let busy = false,
    next = null;
  return async function ask(question) {
    if (busy) {
      next = question;
      return;
    }
    busy = true;
    const answer = await question().catch(() => null); // a wrong setting is told where it is set
    busy = false;
    if (next) {
      const later = next;
      next = null;
      ask(later);
      return;
    }
    if (answer) answered(answer);
  };
}

/**
 * The map of settings that are not a run yet. getConfig(): the settings; turn(name, value), if given, is called when an edge is
 * dragged. Returns a function to call when the settings may have changed.
 */
export function schedulePanel(root, getConfig, turn = null) {
  const place = mapPlace(
    root,
    turn &&
      ((changes) => {
        const T = getConfig().steps;
        if ('leash' in changes) turn('sa_reg_steps', changes.leash);
        if ('size' in changes) turn('window_size', changes.size);
        if ('low' in changes) turn('prompt_noise_tau2', fadeTau(changes.low, T));
        if ('high' in changes) turn('prompt_noise_tau1', fadeTau(changes.high, T));
      }),
  );
  const ask = asking((schedule) => {
    const drawn = scene(schedule);
    place.show(turn ? { ...drawn, grab: grabbable(drawn.lane) } : drawn);
  });
  let asked = '';
  return function changed() {
    const config = getConfig(),
      key = JSON.stringify(config);
    if (key === asked) return;
    asked = key;
    ask(() => post('/api/schedule', { config }));
  };
}
