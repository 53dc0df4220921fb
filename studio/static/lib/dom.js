// Small helpers to build pages. Text always goes in as text, so a prompt or a name can never become markup.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: h('button', {class: 'btn', onclick: f}, 'Stop', icon('stop')). Strings become text nodes. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') node.style.cssText = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return node;
}

/** An SVG element; its inner marks come as a string of numbers and fixed words, never of user text. */
export function svg(width, height, marks, props = {}) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  node.setAttribute('width', width);
  node.setAttribute('height', height);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.innerHTML = marks;
  return node;
}

/** A person's text inside a sentence: its direction ends where it ends, isolated by Unicode's FSI and PDI (UAX #9). */
export function apart(text) {
  const bare = text.replace(/[\u2066-\u2069]/g, '');
  return /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\ufb1d-\ufdff\ufe70-\ufefc]/.test(bare) ? `\u2068${bare}\u2069` : bare;
}

/** Put text into a node only if it changed, so that nothing is redrawn and selections survive. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Tell a live region what changed in words only: seconds and counts that grow are seen, and not read out each second. */
export function hear(region, text) {
  const words = text.replace(/\d+([.,]\d+)?/g, '#');
  if (region.dataset.heard === words) return;
  region.dataset.heard = words;
  say(region, text);
}

const ICONS = {
  theme: '<circle cx="10" cy="10" r="6.2"/><path d="M10 3.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor" stroke="none"/>',
  help: '<rect x="2.8" y="5.5" width="14.4" height="9" rx="1.8"/><path d="M5.6 8.4h.1M8.5 8.4h.1M11.4 8.4h.1M14.3 8.4h.1M7 11.8h6"/>',
  pause: '<path d="M7.2 5.4v9.2M12.8 5.4v9.2" stroke-width="2.2"/>',
  play: '<path d="M6.6 4.8v10.4l8.4-5.2z" fill="currentColor"/>',
  stop: '<rect x="5.4" y="5.4" width="9.2" height="9.2" rx="1.4" fill="currentColor" stroke="none"/>',
  fit: '<path d="M3.8 7.5V5.2a1.4 1.4 0 0 1 1.4-1.4h2.3M12.5 3.8h2.3a1.4 1.4 0 0 1 1.4 1.4v2.3M16.2 12.5v2.3a1.4 1.4 0 0 1-1.4 1.4h-2.3M7.5 16.2H5.2a1.4 1.4 0 0 1-1.4-1.4v-2.3"/>',
  check: '<path d="M4.5 10.5l3.6 3.6 7.4-8"/>',
  up: '<path d="M5 14.5L14.5 5.5M8 5.5h6.5V12"/>',
  down: '<path d="M5 5.5l9.5 9M14.5 8v6.5H8"/>',
  warn: '<path d="M10 3.5l7.2 12.5H2.8zM10 8.3v3.6M10 13.9v.1"/>',
  clock: '<circle cx="10" cy="10" r="6.4"/><path d="M10 6.4V10l2.5 1.7"/>',
  quiet: '<circle cx="10" cy="10" r="6.4"/><path d="M7 10h6"/>',
  plus: '<path d="M10 4.5v11M4.5 10h11"/>',
  cross: '<path d="M5.5 5.5l9 9M14.5 5.5l-9 9"/>',
  chevron: '<path d="M7.5 5l5 5-5 5"/>',
  lasso:
    '<path d="M16.6 8.4c0 2.7-3 4.6-6.6 4.6S3.4 11 3.4 8.4 6.4 3.9 10 3.9s6.6 1.9 6.6 4.500Z" stroke-dasharray="2.4 1.8"/><path d="M6 12.4c-1.200 .6-1.500 2-.4 2.500s1.800 1.300 1 2.300"/>',
  camera: '<path d="M3.2 6.600h2.900l1.300-2h5.200l1.300 2h2.900v9H3.200z"/><circle cx="10" cy="10.800" r="2.600"/>',
  glass: '<path d="M5.5 3.500h9M5.5 16.500h9M6.5 3.500c0 4 3.5 4.5 3.5 6.500s-3.5 2.5-3.5 6.500M13.5 3.500c0 4-3.5 4.5-3.5 6.500s3.5 2.5 3.5 6.5"/>',
  pausing: '<circle cx="10" cy="10" r="6.9" stroke-dasharray="2.6 2.2"/><path d="M8.2 7.400v5.200M11.8 7.400v5.2" stroke-width="1.8"/>',
  stopping: '<rect x="4.6" y="4.6" width="10.8" height="10.8" rx="1.6" stroke-dasharray="2.6 2"/>',
  resuming: '<path d="M6.6 4.800v10.400l8.4-5.200z" stroke-dasharray="2.6 2"/>',
  silent: '<path d="M2.8 10h2.600l1.8-4.5 2.6 8.500M12.6 10h.1M15 10h.1M17.4 10h.1"/>',
  broken: '<circle cx="10" cy="10" r="6.6"/><path d="M7.6 7.600l4.8 4.800M12.4 7.600l-4.8 4.8"/>',
  replay: '<path d="M4.2 10a5.8 5.8 0 1 0 1.9-4.300M4 3.600v3h3"/><path d="M8.7 7.700v4.600l3.6-2.300z" fill="currentColor" stroke="none"/>',
  lock: '<rect x="4.600" y="9" width="10.800" height="7.600" rx="1.600"/><path d="M7 9V6.600a3 3 0 0 1 6 0V9"/>',
  pencil: '<path d="M4 16l.8-3.3 8.3-8.3 2.5 2.5-8.3 8.300z"/>',
  flag: '<path d="M5.5 17V4h8.5l-2 3.2 2 3.2H5.5"/>',
};

export function icon(name, size = 16) {
  return svg(size, size, ICONS[name], {
    viewBox: '0 0 20 20',
    fill: 'none',
    stroke: 'currentColor',
    'stroke-width': 1.5,
    'stroke-linecap': 'round',
    'stroke-linejoin': 'round',
    'aria-hidden': 'true',
  });
}

// --- looks: one glyph each, colour is never the only carrier -----------------------------------------------------
export const NEW = 255;
export const NONE = 254;
const LETTERS = 'ABCDEF';
const polygon = (x, y, r, corners) =>
  corners.map(([dx, dy], i) => `${i ? 'L' : 'M'}${(x + dx * r).toFixed(2)} ${(y + dy * r).toFixed(2)}`).join('') + 'Z';
const STAR = Array.from({ length: 10 }, (_, i) => [
  Math.sin((i * Math.PI) / 5) * (i % 2 ? 0.55 : 1.3),
  -Math.cos((i * Math.PI) / 5) * (i % 2 ? 0.55 : 1.3),
]);
const CORNERS = [
  null,
  [
    [-0.88, -0.88],
    [0.88, -0.88],
    [0.88, 0.88],
    [-0.88, 0.88],
  ],
  [
    [0, -1.14],
    [1.08, 0.82],
    [-1.08, 0.82],
  ],
  [
    [0, -1.22],
    [1.06, 0],
    [0, 1.22],
    [-1.06, 0],
  ],
  [
    [-0.55, -1],
    [0.55, -1],
    [1.1, 0],
    [0.55, 1],
    [-0.55, 1],
    [-1.1, 0],
  ],
  [
    [-0.38, -1.1],
    [0.38, -1.1],
    [0.38, -0.38],
    [1.1, -0.38],
    [1.1, 0.38],
    [0.38, 0.38],
    [0.38, 1.1],
    [-0.38, 1.1],
    [-0.38, 0.38],
    [-1.1, 0.38],
    [-1.1, -0.38],
    [-0.38, -0.38],
  ],
];

/** SVG path of a look's glyph. A seventh look and later ones are circles, told apart by their letter. */
export function glyphPath(look, x, y, r) {
  if (look === NEW || look === -1) return polygon(x, y, r, STAR);
  const corners = CORNERS[look];
  return corners
    ? polygon(x, y, r, corners)
    : `M${(x - r).toFixed(2)} ${y.toFixed(2)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
}
export const diamond = (x, y, r) => polygon(x, y, r, CORNERS[3]);
/** CSS variable of a look's colour. */
export const lookColour = (look) => (look === NEW || look === -1 ? '--ink' : look < LETTERS.length ? `--k${LETTERS[look]}` : '--base');
export const lookName = (look) =>
  look === NEW || look === -1 ? 'New' : look === NONE || look == null ? 'No look' : `Look ${lookLetter(look)}`;
export const lookLetter = (look) => (look === NEW || look === -1 ? 'new' : String.fromCharCode(65 + look));
export function glyph(look, size = 10) {
  if (look === NONE || look == null) return svg(size, size, '', { 'aria-hidden': 'true' });
  return svg(
    size,
    size,
    `<path d="${glyphPath(look, size / 2, size / 2 + (look === 2 ? 0.5 : 0), size * 0.4)}" fill="var(${lookColour(look)})"/>`,
    { viewBox: `0 0 ${size} ${size}`, 'aria-hidden': 'true' },
  );
}
let probe = null;
/** What a variable stands for, as a canvas takes it: where colours are forced, a name such as CanvasText becomes the person's own colour. */
export function colour(variable) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  if (!/^([A-Z]|color-mix)/.test(value)) return value;
  if (!probe) document.body.append((probe = h('i', { style: 'display:none;forced-color-adjust:none' })));
  probe.style.color = value;
  return getComputedStyle(probe).color;
}

// --- numbers in words ---------------------------------------------------------------------------------------------
export const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const minus = (text) => text.replace('-', '−');
export const fixed = (x, digits = 2) => (x == null || Number.isNaN(x) ? '–' : minus(x.toFixed(digits)));
export function percent(share) {
  if (share > 0 && share < 0.01) return '<1 %';
  return `${Math.round(share * 100)} %`;
}
/** The text with every number and its per cent on one line. */
export const together = (words) => words.replace(/(\d) %/g, '$1\u00a0%');
export function seconds(s) {
  if (s == null) return '–';
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}
export const giga = (bytes) => (bytes / 1e9).toFixed(1);
/** A setting's value as a person writes it. */
export function plain(value) {
  if (typeof value !== 'number') return value == null ? 'none' : String(value);
  if (value !== 0 && Math.abs(value) < 0.001) return minus(value.toExponential().replace('e-', 'e−'));
  return minus(String(+value.toPrecision(6)));
}
/** Round steps for an axis from low to high, about `count` of them. */
export function ticks(low, high, count) {
  const raw = (high - low) / count,
    power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) out.push(+v.toFixed(10));
  return { step, values: out, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}
