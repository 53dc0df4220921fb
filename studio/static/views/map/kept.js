// Grids that were kept in the run's folder: the button that says how many, and the list of them.

import { h, say } from '../../lib/dom.js';
import { get, on, post, runPath, state } from '../../lib/store.js';

const when = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** {node, keep(ids)}. `told(words)` hears where a grid went, or why it did not. */
export function keptGrids(told) {
  const node = h('button', { class: 'btn sm ghost', id: 'mm-grids', hidden: true, title: 'Grids kept in this run', onclick: open });
  let grids = [];
  let run = null;

  async function load() {
    run = state.run;
    const answer = run ? await get(runPath('grids')).catch(() => null) : null;
    if (run !== state.run) return;
    grids = answer?.grids ?? [];
    draw();
  }
  function draw() {
    node.hidden = !grids.length;
    say(node, `Kept ${grids.length}`);
  }

  async function keep(ids) {
    try {
      const grid = await post(runPath('grids'), { ids });
      told(`Kept as grids/${grid.file}`);
    } catch (problem) {
      told(problem.message);
    }
    await load();
  }

  function open() {
    const box = h(
      'dialog',
      { class: 'mm mm-kept', 'aria-label': 'Kept grids', onclick: (e) => e.target === box && box.close(), onclose: () => box.remove() },
      h('h2', {}, 'Kept grids'),
      h('p', { class: 'sub' }, `In the folder grids of ${state.run}. Each PNG holds its prompt, seeds, rewards and iterations as text.`),
      h('div', { class: 'list', role: 'region', 'aria-label': 'Grids', tabindex: 0 }, grids.map(row)),
      h('button', { class: 'btn', onclick: () => box.close() }, 'Close'),
    );
    document.body.append(box);
    box.showModal();
  }

  /** What is deleted is gone: the first press asks, the second does it. */
  function deletes(grid, line) {
    const button = h('button', { class: 'btn sm ghost', onclick: press }, 'Delete');
    let sure = false;
    button.addEventListener('blur', () => {
      sure = false;
      say(button, 'Delete');
    });
    async function press() {
      if (!sure) {
        sure = true;
        return say(button, 'Delete for good');
      }
      try {
        await post(runPath(`grids/${encodeURIComponent(grid.file)}/delete`));
      } catch (problem) {
        return say(button, problem.message);
      }
      const box = line.closest('dialog');
      line.remove();
      await load();
      if (!grids.length) box.close();
      return undefined;
    }
    return button;
  }

  const row = (grid) => {
    const source = runPath(`grids/${encodeURIComponent(grid.file)}`);
    const texts = Object.values(JSON.parse(grid.facts.prompts ?? '{}')).join(', ');
    const line = h('div', { class: 'grid' });
    line.append(
      h('img', { src: source, alt: `Grid of ${grid.facts.pictures} pictures`, loading: 'lazy' }),
      h(
        'div',
        {},
        h('b', { dir: 'auto' }, `${grid.facts.pictures} pictures for ${texts.slice(0, 80)}`),
        h('p', { class: 'sub' }, `${when.format(new Date(grid.time * 1000))}, ${grid.size.join(' × ')} px, ${Math.ceil(grid.bytes / 1000)} kB`),
        h('a', { class: 'btn sm', href: source, download: `${state.run}-${grid.file}` }, 'Download PNG'),
        ' ',
        state.head?.watched || state.replay ? null : deletes(grid, line),
      ),
    );
    return line;
  };
  on('run', load);
  on('info', () => run === state.run || load());
  load();
  return { node, keep };
}
