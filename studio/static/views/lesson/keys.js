// Keys of the Lesson. They come before the studio's own, of which those that mean a run are swallowed here.

import { typing } from '../../lib/keys.js';
import { state } from '../../lib/store.js';

const IDLE = ['f', 'l', 'g', 'b', 'd', '[', ']']; // they would move what the step shows
const WALKS = '[role=tab], [role=radio], [role=slider], [role=application]'; // arrows mean something else there

/** `does`: {onward, next, back, play, leave}. Listens on this page; returns the listener, for the notes' window too. */
export function lessonKeys(does) {
  const keys = {
    ' ': does.onward,
    PageDown: does.onward, // what most clickers send
    PageUp: does.back,
    ArrowRight: does.next,
    ArrowLeft: does.back,
    k: does.play,
    Escape: does.leave,
  };
  function press(event) {
    if (state.screen !== 'lesson' || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector('dialog[open]')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key.startsWith('Arrow') && event.target.closest?.(WALKS)) return;
    if (key === ' ' && event.target.closest?.('button, summary')) return;
    const action = keys[key];
    if (!action && !IDLE.includes(key)) return;
    if (key !== 'Escape') {
      event.preventDefault();
      event.stopPropagation();
    }
    action?.();
  }
  document.addEventListener('keydown', press, true);
  return press;
}
