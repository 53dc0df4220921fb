// The menu of a row: native buttons in a popover, so that Esc and a click elsewhere close it and nothing clips it.

import { h } from '../../lib/dom.js';

const box = h('div', { class: 'mm mm-menu', role: 'menu', popover: 'auto', onkeydown: walk });
let opener = null;

/** A button that opens `items()`: [words, act, {bad}] each, null for a line between. */
export function menuButton(label, items) {
  const button = h('button', { class: 'btn sm ghost dots', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': label, title: label }, '⋯');
  button.addEventListener('click', () => {
    if (opener === button && box.matches(':popover-open')) return box.hidePopover();
    return show(button, items());
  });
  return button;
}

box.addEventListener('toggle', (event) => {
  if (event.newState !== 'closed' || !opener) return;
  opener.setAttribute('aria-expanded', 'false');
  if (box.contains(document.activeElement) || document.activeElement === document.body) opener.focus();
  opener = null;
});

function show(button, items) {
  if (!box.isConnected) document.body.append(box);
  if (box.matches(':popover-open')) box.hidePopover();
  box.replaceChildren(
    ...items.map((item) =>
      item === null
        ? h('hr')
        : h(
            'button',
            {
              role: 'menuitem',
              class: item[2]?.bad ? 'bad' : null,
              onclick: () => {
                opener?.focus();
                box.hidePopover();
                item[1]();
              },
            },
            item[0],
          ),
    ),
  );
  opener = button;
  button.setAttribute('aria-expanded', 'true');
  box.showPopover();
  const at = button.getBoundingClientRect(),
    size = box.getBoundingClientRect();
  box.style.left = `${Math.max(8, at.right - size.width)}px`;
  box.style.top = `${at.bottom + size.height + 8 > innerHeight ? Math.max(8, at.top - size.height - 4) : at.bottom + 4}px`;
  box.querySelector('button').focus();
}

function walk(event) {
  const all = [...box.querySelectorAll('button')],
    now = all.indexOf(document.activeElement);
  const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  all[(next + all.length) % all.length].focus();
}
