// A model of the hub that is not on this computer: what it takes is asked for by one press and fetched by another.

import { h, hear, seconds, say } from '../../lib/dom.js';
import { get, post } from '../../lib/store.js';
import { bytes } from './budget.js';
import { form, check } from './form.js';

const WATCH = 500; // milliseconds between looks at what is under way

/** The row for the setting `field`, "model" or "clip_model"; `place()` is what the last check said of its model. */
export function fetchBox(field, place) {
  let name = null, // whose row this is; it stays in place when the model has come, so that nothing moves
    told = null,
    timer = null;
  const said = h('p', { role: 'status' }),
    terms = h('p', {}),
    bar = h('span', { class: 'bar', role: 'progressbar', 'aria-label': 'Fetched', 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i')),
    far = h('p', { class: 'far' }),
    heard = h('p', { class: 'sr', 'aria-live': 'polite' }),
    act = h('button', { class: 'btn sm', 'data-fetch': field, onclick: press });
  const box = h('div', { class: 'fetch', hidden: true }, h('div', { class: 'told' }, said, terms), bar, far, h('div', { class: 'acts' }, act), heard);

  async function press() {
    const what = told?.at_work ? 'stop' : told?.offer && !told.offer.refused && !told.done ? 'get' : 'ask';
    await learn(post(`/api/fetch/${what}`, { field, name }));
  }

  /** Take an answer about the name that is shown now; go on looking while something is under way. */
  async function learn(asked) {
    const whose = name,
      before = told;
    const answer = await asked.catch((problem) => ({ ...(before ?? {}), at_work: '', error: problem.message.replace(/^\w+: /, '') }));
    if (whose !== name) return;
    told = answer;
    clearTimeout(timer);
    if (told.at_work) timer = setTimeout(look, WATCH);
    if (told.done && before?.at_work) await check();
    draw();
  }

  function look() {
    if (document.hidden) timer = setTimeout(look, WATCH);
    else learn(get(`/api/fetch?field=${field}&name=${encodeURIComponent(name)}`));
  }

  function draw() {
    const p = place(),
      current = p?.name === form.values[field] ? p : null;
    if (current && !current.here && current.hub && current.name !== name) {
      [name, told] = [current.name, null];
      look();
    }
    if (form.values[field] !== name) name = null;
    box.hidden = name === null;
    box.closest('.box')?.classList.toggle(`fetches-${field}`, name !== null);
    if (name === null || !current) return;
    const { offer = null, at_work = '', error = '', done = false } = told ?? {},
      refused = current.here ? '' : error || offer?.refused || '';
    say(said, current.here || !offer ? current.words : sized(current.words, offer));
    say(terms, current.here ? 'Whatever starts now loads it from this computer.' : refused || (offer ? conditions(offer) : ASKING));
    terms.classList.toggle('off', Boolean(refused));
    const share = current.here ? 100 : offer?.bytes ? Math.floor((100 * offer.here) / offer.bytes) : 0;
    bar.firstChild.style.width = `${share}%`;
    bar.setAttribute('aria-valuenow', share);
    bar.classList.toggle('none', !current.here && !offer?.here && at_work !== 'get');
    say(far, current.here ? '' : progress(told));
    bar.setAttribute('aria-valuetext', far.textContent);
    hear(heard, current.here ? '' : far.textContent);
    say(act, at_work === 'get' ? 'Stop' : at_work ? 'Stop asking' : label(offer, done));
    act.classList.toggle('none', current.here);
  }
  form.draws.push(draw);
  return box;
}

const ASKING = 'The hub says how large it is and under which licence. Nothing is asked of the network before you press.';

function label(offer, done) {
  if (!offer || done) return 'Ask the hub';
  if (offer.refused) return 'Ask the hub again';
  return offer.here ? `Download the other ${bytes(offer.bytes - offer.here)}` : `Download ${bytes(offer.bytes)}`;
}

/** "SD 3.5 Medium is not on this computer (5.1 GB)." */
const sized = (words, offer) => words.replace(/computer(?=[., ])/, (word) => `${word} (${bytes(offer.bytes)})`);

function conditions({ licence, link, gated, free }) {
  const accept = gated ? ' Its owner wants it accepted there, which this login has done.' : '';
  return `${licence ? `Licence: ${licence}` : 'Its page names no licence'}, ${link}.${accept} ${bytes(free)} are free here.`;
}

function progress(told) {
  if (told?.at_work === 'ask') return 'Asking the hub';
  const offer = told?.offer;
  if (!offer) return told?.at_work ? 'Asking the hub' : '';
  const come = `${bytes(offer.here)} of ${bytes(offer.bytes)}`;
  if (!told.at_work) return offer.here ? `${come} came so far and are kept` : '';
  if (told.doing) return told.doing;
  const left = told.speed ? `, ${bytes(told.speed)}/s, ${seconds((offer.bytes - offer.here) / told.speed)} left` : '';
  return come + left;
}
