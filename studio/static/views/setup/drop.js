// A file dropped anywhere on the page is taken for what it is, and never opened by the browser in place of the studio.

import { openLoad } from './dialogs.js';
import { takePrompts } from './prompts.js';

const SETUP = /\.ya?ml$/i;
const PROMPTS = /\.(txt|csv|tsv|json|jsonl|ndjson)$/i;

/** `pictures(files)` takes pictures, wherever they were dropped. */
export function takeDrops(root, pictures) {
  const files = (e) => e.dataTransfer.types.includes('Files'); // words that are dragged go where they are dropped
  root.addEventListener('dragover', (e) => files(e) && e.preventDefault());
  root.addEventListener('drop', (e) => {
    if (e.defaultPrevented || !files(e)) return; // a box of its own took it
    e.preventDefault();
    const all = [...e.dataTransfer.files],
      named = (pattern) => all.find((f) => pattern.test(f.name));
    if (named(SETUP)) openLoad(named(SETUP));
    else if (named(PROMPTS)) takePrompts(named(PROMPTS));
    else pictures(all.filter((f) => f.type.startsWith('image/')));
  });
}
