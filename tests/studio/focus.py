"""Where the keyboard's focus is, and whether a person can see it."""

from __future__ import annotations

# The focused element: what it is, whether its ring is inked and how many of the ring's four sides nothing hides. null for none.
FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return null;
  const style = getComputedStyle(e), at = e.getBoundingClientRect(), range = e.matches('input[type=range]');
  const probe = document.createElement('i');
  probe.style.color = 'var(--ink)';
  document.body.append(probe);
  const ink = getComputedStyle(probe).color;
  probe.remove();
  const out = range ? 0 : parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
  const ring = { left: at.left - out, right: at.right + out, top: at.top - out, bottom: at.bottom + out };
  let [l, r, t, b] = [0, innerWidth, 0, innerHeight];
  for (let p = e.parentElement; p && !p.matches('dialog, [popover], html'); p = p.parentElement) {
    const s = getComputedStyle(p), box = p.getBoundingClientRect();
    const more = s.overflowX === 'clip' ? parseFloat(s.overflowClipMargin) || 0 : 0;
    if (s.overflowX !== 'visible') [l, r] = [Math.max(l, box.left - more), Math.min(r, box.right + more)];
    if (s.overflowY !== 'visible') [t, b] = [Math.max(t, box.top - more), Math.min(b, box.bottom + more)];
    if (s.position === 'fixed') break;
  }
  const middle = [(ring.left + ring.right) / 2, (ring.top + ring.bottom) / 2];
  const across = middle[0] > l && middle[0] < r, down = middle[1] > t && middle[1] < b;
  const sides = [ring.left >= l - 1 && down, ring.right <= r + 1 && down, ring.top >= t - 1 && across, ring.bottom <= b + 1 && across];
  return {
    what: e.getAttribute('aria-label') || e.labels?.[0]?.textContent || (e.matches('select') ? '' : e.textContent.trim().slice(0, 40)) || e.title || e.id || e.outerHTML.slice(0, 60),
    tag: e.tagName, id: e.id, kind: e.type ?? e.getAttribute('role') ?? '', range, sides: sides.filter(Boolean).length,
    inked: range || (style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2 && style.outlineColor === ink), outline: style.outline,
  };
}"""


def cycle(page, most: int = 250) -> list[dict]:
    """Every stop of the Tab key until it comes round, from the run's name on. Fails if it never does."""
    stops: list[dict] = []
    page.evaluate("window.stops = new Set()")
    for _ in range(most):
        page.keyboard.press("Tab")
        known = page.evaluate("(() => { const e = document.activeElement, seen = window.stops.has(e); window.stops.add(e); return seen })()")
        stop = page.evaluate(FOCUS)
        if known and stops:
            top = next((i for i, s in enumerate(stops) if s["id"] == "mm-run"), 0)  # the first of the page
            return stops[top:] + stops[:top]
        if stop:
            stops.append(stop)
    raise AssertionError(f"the focus never came round: {[s['what'] for s in stops[-8:]]}")


def tab_to(page, selector: str, most: int = 250, key: str = "Tab") -> dict:
    """Press Tab until `selector` has the focus; the stop. Every stop on the way must be seen."""
    for _ in range(most):
        page.keyboard.press(key)
        stop = page.evaluate(FOCUS)
        if stop:
            assert stop["inked"] and stop["sides"] >= 3, stop
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return stop
    raise AssertionError(f"{selector} was not reached in {most} steps")
