// What axe-core leaves open, measured in the page. Defines window.access.
(() => {
  const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const known = new Map();
  /** [r, g, b, alpha] of any CSS colour, also one that color-mix() made; axe-core reads only some of them. */
  function rgba(css) {
    if (!known.has(css)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = css;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      known.set(css, [r, g, b, a / 255]);
    }
    return known.get(css);
  }
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = (c) => ((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))(c / 255);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const ratio = (a, b) => ((x, y) => (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05))(luminance(a), luminance(b));

  /** The opaque ground under a node, and how much of its own ink its ancestors let through. */
  function ground(node) {
    const layers = [];
    let through = 1;
    for (let n = node; n; n = n.parentElement) {
      const style = getComputedStyle(n);
      through *= Number(style.opacity);
      const [r, g, b, a] = rgba(style.backgroundColor);
      if (a) layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    return { colour: layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]), through };
  }
  const shown = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && node.getClientRects().length > 0;
  const off = (node) => node.closest(':disabled, [aria-disabled=true], .sr, [inert]') || (node.closest('label')?.control?.disabled ?? false);
  const name = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ''}.${String(node.getAttribute('class') ?? '').split(' ').join('.')} “${(node.getAttribute('aria-label') ?? node.textContent).trim().slice(0, 40)}”`;

  /** Words on screen with less than 4.5 : 1 (3 : 1 when large). Text on an inked mark of a drawing is left out: its ground is no element of CSS. */
  function faint() {
    const found = [];
    const walk = document.createTreeWalker(document.querySelector('dialog[open]') ?? document.body, NodeFilter.SHOW_TEXT);
    for (let text = walk.nextNode(); text; text = walk.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || !shown(node) || off(node) || node.closest('script, style, option, svg text.on')) continue;
      const style = getComputedStyle(node);
      const { colour, through } = ground(node);
      const [r, g, b, a] = rgba(node.closest('svg') ? style.fill : style.color);
      const size = parseFloat(style.fontSize);
      const needs = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      const has = ratio(over([r, g, b, a * through], colour), colour);
      if (has < needs - 0.005) found.push(`${has.toFixed(2)} of ${needs}: ${name(node)}`);
    }
    return found;
  }

  const CONTROLS = 'button, input, select, textarea, summary, a[href], [tabindex="0"]';
  const root = () => document.querySelector('dialog[open]') ?? document.body;
  const controls = () => [...root().querySelectorAll(CONTROLS)].filter((n) => shown(n) && !n.disabled && n.tabIndex >= 0 && !n.closest('[inert]'));

  /** Controls that stay out of the window, or under something else, however one scrolls. */
  function covered() {
    return controls()
      .filter((node) => {
        node.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
        const { left, right, top, bottom } = node.getBoundingClientRect();
        const at = document.elementFromPoint(Math.max(left + 1, Math.min((left + right) / 2, right - 1)), (top + bottom) / 2);
        const through = getComputedStyle(node).pointerEvents === 'none' && at?.contains(node); // two thumbs on one track
        return !(node.contains(at) || node.labels?.[0]?.contains(at) || through) || left < -1 || right > innerWidth + 1;
      })
      .map(name);
  }

  /** Words that a panel cuts off, with neither an ellipsis nor a way to scroll to them, or that run out of the window. */
  function cut() {
    const found = new Set();
    const walk = document.createTreeWalker(root(), NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    for (let text = walk.nextNode(); text; text = walk.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || !shown(node) || node.closest('.sr, script, style, option, [aria-hidden=true]')) continue;
      range.selectNodeContents(text);
      const words = range.getBoundingClientRect();
      let [across, down] = [true, true]; // whether nothing between scrolls in that direction
      for (let n = node; n && (across || down); n = n.parentElement) {
        const style = getComputedStyle(n);
        if (style.textOverflow === 'ellipsis' || style.webkitLineClamp !== 'none') across = false;
        if (/auto|scroll/.test(style.overflowX)) across = false;
        if (/auto|scroll/.test(style.overflowY)) down = false;
        const box = n.getBoundingClientRect();
        const clips = (overflow) => overflow === 'hidden' || overflow === 'clip';
        if (across && clips(style.overflowX) && (words.right > box.right + 1.5 || words.left < box.left - 1.5)) found.add(`across: ${name(node)} by ${name(n).slice(0, 40)}`);
        if (down && style.webkitLineClamp === 'none' && clips(style.overflowY) && words.bottom > box.bottom + 3) found.add(`down: ${name(node)} by ${name(n).slice(0, 40)}`);
        if (style.position === 'fixed') break;
      }
      if (across && words.right > innerWidth + 1) found.add(`out of the window: ${name(node)}`);
    }
    return [...found];
  }

  /** Words in the window with something else over or under them that is not their own panel. */
  function overlapped() {
    const found = new Set();
    const walk = document.createTreeWalker(root(), NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    for (let text = walk.nextNode(); text; text = walk.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || !shown(node) || node.closest('.sr, script, style, option, svg') || getComputedStyle(node).pointerEvents === 'none') continue;
      range.selectNodeContents(text);
      let { left, right, top, bottom } = range.getBoundingClientRect();
      for (let n = node; n; n = n.parentElement) {
        if (getComputedStyle(n).overflowX === 'visible') continue;
        const box = n.getBoundingClientRect();
        [left, right, top, bottom] = [Math.max(left, box.left), Math.min(right, box.right), Math.max(top, box.top), Math.min(bottom, box.bottom)];
      }
      if (right - left < 6 || bottom - top < 6) continue;
      for (const x of [left + 3, (left + right) / 2, right - 3]) {
        const at = document.elementFromPoint(x, (top + bottom) / 2);
        if (at && !at.contains(node) && !node.contains(at)) found.add(`${name(node)} under ${name(at)}`);
      }
    }
    return [...found];
  }

  /** What has the focus, and whether one sees that: a ring of 2 px, on it, its thumb, or the label it fills. */
  function focus() {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const ring = (style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && rgba(style.outlineColor)[3] > 0.9;
    const thumb = node.matches('input[type=range]'); // its ring is on the thumb, whose style no script can read
    const { width, height, top, bottom, left, right } = node.getBoundingClientRect();
    return { name: name(node), ring: thumb || ring(getComputedStyle(node)), there: width > 0 && height > 0 && bottom > 0 && top < innerHeight && right > 0 && left < innerWidth };
  }

  const RULES = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'], resultTypes: ['violations'] };
  /** Findings of axe-core in the whole document, or, under a dialog, which was looked at before, in that alone. */
  async function audit() {
    const { violations } = await axe.run(root() === document.body ? document : root(), RULES);
    return violations.map((v) => ({ rule: v.id, impact: v.impact, where: v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} ${n.html.slice(0, 160)}`) }));
  }
  window.access = { audit, faint, covered, cut, overlapped, focus };
})();
