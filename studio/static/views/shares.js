// Is one look taking over: stacked shares over the iterations, the base model's shares as a hollow bar at the left.

import { $, h, svg, glyphPath, diamond, lookColour, lookLetter, percent, NEW } from '../lib/dom.js';
import { state, viewed, newest, looksOf, promptInfo } from '../lib/store.js';
import { redraw } from './live.js';
import { tableButton } from '../lib/table.js';
import { thin } from './scrubber.js';
import { turnMark } from './dials.js';

const L = 60,
  R = 82,
  T = 24,
  B = 22;

export function shares(root) {
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Share of each look'), h('span', { class: 'sub' }, 'is one look taking over?')),
    h('div', { class: 'plot' }),
  );
  const plot = $('.plot', root);
  redraw(plot, 'rows view theme run info turns', () => draw(plot));
  tableButton(root, table);
}

function draw(plot) {
  const W = plot.clientWidth,
    H = plot.clientHeight,
    key = String(state.prompt),
    looks = looksOf();
  const rows = thin(state.rows.filter((r) => r.iteration > 0 && key in r.shares));
  const order = [...looks.map((l) => l.look), NEW],
    last = Math.max(newest(), 10);
  const X = (t) => L + (t / last) * (W - L - R),
    Y = (s) => T + s * (H - T - B);
  let marks = axis(W, H, Y, X, last);
  let above = 0;
  for (const { look, share } of looks) {
    marks += `<rect x="${L - 18}" y="${(Y(above) + 1).toFixed(1)}" width="11" height="${Math.max(1, Y(above + share) - Y(above) - 2).toFixed(1)}" rx="1.5" fill="none" stroke="var(${lookColour(look)})" stroke-width="1.4"/>`;
    above += share;
  }
  marks += bands(rows, key, order, X, Y);
  for (const turn of state.head?.turns ?? []) {
    if (turn.iteration > last || !rows.length) continue;
    const x = X(turn.iteration);
    marks += `<path d="M${x} ${T - 6}V${H - B}" stroke="var(--panel)" stroke-width="3" opacity=".5"/><path d="M${x} ${T - 6}V${H - B}" stroke="var(--ink)" stroke-width="1.25"/>
      <path d="${diamond(x, T - 10, 4.4)}" fill="var(--panel)" stroke="var(--ink)" stroke-width="1.4"/>`;
  }
  marks += turnLabels(W, X, last);
  const at = viewed(),
    row = rows.findLast((r) => r.iteration <= at);
  if (row) {
    marks += `<path d="M${X(at)} ${T}V${H - B}" stroke="var(--ink)" stroke-width="1"/><text x="${X(at)}" y="${H - 7}" text-anchor="middle" class="s">${at}</text>`;
    marks += labels(row.shares[key], order, W, H, Y);
  }
  const words = row
    ? order
        .slice(0, -1)
        .map((k) => `${lookLetter(k)} ${percent(row.shares[key][k] ?? 0)}`)
        .join(', ')
    : 'no pictures yet';
  plot.replaceChildren(svg(W, H, marks, { role: 'img', 'aria-label': `Share of each look at iteration ${at}: ${words}` }));
  if (!looks.length && state.info && state.head?.newest >= 0)
    plot.append(
      h(
        'p',
        { class: 'hint' },
        promptInfo()?.mapped === false ? 'Looks are not fixed for this prompt.' : 'Finding the looks of the base pictures.',
      ),
    );
}

function table() {
  const key = String(state.prompt),
    looks = looksOf();
  return {
    head: ['Iteration', ...looks.map((l) => lookLetter(l.look)), 'New'],
    rows: [
      ['base', ...looks.map((l) => percent(l.share)), '–'],
      ...state.rows.filter((r) => r.iteration > 0 && key in r.shares).map((r) => [r.iteration, ...r.shares[key].map(percent)]),
    ],
  };
}

function axis(W, H, Y, X, last) {
  return `<path d="M${L} ${T}H${W - R}M${L} ${Y(0.5)}H${W - R}M${L} ${H - B}H${W - R}" stroke="var(--line)"/>
    <text x="${L - 22}" y="${Y(0) + 9}" text-anchor="end">100 %</text><text x="${L - 22}" y="${Y(0.5) + 4}" text-anchor="end">50</text><text x="${L - 22}" y="${Y(1)}" text-anchor="end">0</text>
    <text x="${L - 12.5}" y="${H - 7}" text-anchor="middle">base</text><text x="${X(0) + 8}" y="${H - 7}">0</text>${newest() && viewed() < last * 0.88 ? `<text x="${X(last)}" y="${H - 7}" text-anchor="middle">${last}</text>` : ''}`;
}

function bands(rows, key, order, X, Y) {
  let out = '';
  const heights = rows.map((r) => {
    let sum = 0;
    return [0, ...order.map((_, k) => (sum += r.shares[key][k] ?? 0))];
  });
  order.forEach((look, k) => {
    const top = rows.map((r, i) => `${X(r.iteration).toFixed(1)} ${Y(heights[i][k]).toFixed(1)}`),
      low = rows.map((r, i) => `${X(r.iteration).toFixed(1)} ${Y(heights[i][k + 1]).toFixed(1)}`).reverse();
    if (rows.length > 1)
      out += `<path d="M${top.concat(low).join('L')}Z" fill="var(${lookColour(look)})" fill-opacity="${look === NEW ? 0.5 : 0.86}" stroke="var(--panel)" stroke-width="1"/>`;
  });
  return out;
}

/** Letters and numbers beside the bands, pushed apart so that each can be read. */
function labels(shares, order, W, H, Y) {
  let sum = 0;
  const rows = order
    .map((look, k) => {
      const share = shares[k] ?? 0,
        y = Y(sum + share / 2);
      sum += share;
      return { look, share, y };
    })
    .filter((r) => r.look !== NEW || r.share >= 0.02);
  const gap = Math.min(18, (H - T - B) / rows.length);
  for (let i = 1; i < rows.length; i++) rows[i].y = Math.max(rows[i].y, rows[i - 1].y + gap);
  for (let i = rows.length - 1, low = H - B - 4; i >= 0; i--, low -= gap) rows[i].y = Math.min(rows[i].y, low);
  return rows
    .map(
      ({
        look,
        share,
        y,
      }) => `<path d="${glyphPath(look, W - R + 12, y, 4.2)}" fill="var(${lookColour(look)})"/><text x="${W - R + 21}" y="${y + 4}" class="s">${look === NEW ? '' : lookLetter(look)}</text>
    <text x="${W - 12}" y="${y + 4}" text-anchor="end" class="m">${percent(share).replace('<', '&lt;')}</text>`,
    )
    .join('');
}

/** Dial names above their diamonds, as far as there is room. */
function turnLabels(W, X, last) {
  let free = -Infinity,
    out = '';
  for (const turn of state.head?.turns ?? []) {
    const text = turnMark(turn),
      width = text.length * 6.4,
      x = X(turn.iteration);
    if (turn.iteration > last || x - 8 - width < free || x - 8 - width < 0) continue;
    out += `<text x="${x - 8}" y="${T - 6}" text-anchor="end" class="m">${text}</text>`;
    free = x + 6;
  }
  return out;
}
