// Speaker notes in a second window, which follows the step and takes the same keys.

import { h } from '../../lib/dom.js';

const SHEETS = ['tokens', 'controls', 'lesson'];

export class Notes {
  /** `keys()` gives the listener for keys pressed in the notes' window. */
  constructor(keys) {
    this.keys = keys;
    this.page = null;
  }

  /** False if the browser allows no second window. */
  open() {
    this.page = window.open('', 'manymodes-notes', 'popup,width=540,height=680');
    if (!this.page) return false;
    const { document: page } = this.page;
    page.title = 'Speaker notes';
    page.documentElement.lang = document.documentElement.lang;
    page.head.replaceChildren(...SHEETS.map((name) => h('link', { rel: 'stylesheet', href: new URL(`../../${name}.css`, import.meta.url).href })));
    page.body.className = 'mm mm-notes';
    this.page.onkeydown = this.keys();
    this.page.focus();
    return true;
  }

  draw({ number, of, step, done, next }) {
    if (!this.page || this.page.closed) return;
    const { document: page } = this.page;
    page.documentElement.dataset.theme = document.documentElement.dataset.theme;
    page.body.replaceChildren(
      h('p', { class: 'count' }, `${number} of ${of}`),
      h('h1', {}, step.title),
      h('p', { class: 'sentence' }, done ? step.after : step.sentence),
      h('ul', {}, step.notes.map((note) => h('li', {}, note))),
      h('p', { class: 'then' }, done ? (next ? `Next: ${next.title}` : 'Then: Try it live') : `Space: ${step.action.label}`),
      done ? '' : h('p', { class: 'then' }, `It will say: ${step.after}`),
    );
  }
}
