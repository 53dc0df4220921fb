// Words that float beside a button as soon as it is pointed at or focused: what it will do, to be read before it is pressed.
// The browser's own tooltip comes late, and never for the keyboard.

import { h } from './dom.js';

const GAP = 6; // pixels to the button, and to the window's edge
const REACH = 150; // milliseconds in which the pointer may move on to the words
const box = h('div', { class: 'mm mm-tip', id: 'mm-tip', role: 'tooltip', popover: 'manual', onpointerenter: () => clearTimeout(leaving), onpointerleave: hide });
let of = null,
  leaving = null;

/** Let `button` say `words` before it is pressed. */
export function tip(button, words) {
  const show = () => open(button, words);
  button.addEventListener('pointerenter', show);
  button.addEventListener('pointerleave', () => (leaving = setTimeout(hide, REACH)));
  button.addEventListener('focus', () => button.matches(':focus-visible') && show());
  button.addEventListener('blur', hide);
  button.addEventListener('click', hide);
}

function open(button, words) {
  clearTimeout(leaving);
  if (!box.isConnected) document.body.append(box);
  if (of && of !== button) hide();
  of = button;
  box.textContent = words;
  button.setAttribute('aria-describedby', box.id);
  if (!box.matches(':popover-open')) box.showPopover();
  const at = button.getBoundingClientRect(),
    size = box.getBoundingClientRect();
  box.style.left = `${Math.max(GAP, Math.min(at.left, innerWidth - size.width - GAP))}px`;
  box.style.top = `${at.bottom + GAP + size.height > innerHeight ? at.top - GAP - size.height : at.bottom + GAP}px`;
}

function hide() {
  clearTimeout(leaving);
  of?.removeAttribute('aria-describedby');
  of = null;
  if (box.matches(':popover-open')) box.hidePopover();
}

document.addEventListener('keydown', (event) => event.key === 'Escape' && hide());
setInterval(() => of && !of.checkVisibility() && hide(), 250); // its row was drawn anew, or another screen opened
