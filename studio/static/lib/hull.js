// Outlines of clouds and places for their labels, in pixels.

const cross = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);

/** Convex hull, Andrew's monotone chain. */
export function hull(points) {
  if (points.length < 3) return points.slice();
  const sorted = points.slice().sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (all) => {
    const out = [];
    for (const p of all) {
      while (out.length > 1 && cross(out[out.length - 2], out[out.length - 1], p) <= 0) out.pop();
      out.push(p);
    }
    out.pop();
    return out;
  };
  return half(sorted).concat(half(sorted.reverse()));
}

/** The nine tenths of the points that are nearest to their median: a hull must not hang on an outlier. */
export function core(points) {
  const middle = (axis) => points.map((p) => p[axis]).sort((a, b) => a - b)[points.length >> 1];
  const x = middle(0),
    y = middle(1);
  return points
    .slice()
    .sort((p, q) => Math.hypot(p[0] - x, p[1] - y) - Math.hypot(q[0] - x, q[1] - y))
    .slice(0, Math.ceil(points.length * 0.9));
}

/** A soft closed line `grow` pixels outside the hull. */
export function soften(points, grow) {
  const ring = [];
  for (const p of points) for (let a = 0; a < 6.28; a += 0.35) ring.push([p[0] + grow * Math.cos(a), p[1] + grow * Math.sin(a)]);
  const outline = hull(ring),
    N = 120,
    line = [];
  const lengths = outline.map((p, i) =>
    Math.hypot(outline[(i + 1) % outline.length][0] - p[0], outline[(i + 1) % outline.length][1] - p[1]),
  );
  const around = lengths.reduce((a, b) => a + b, 0);
  for (let n = 0, i = 0, passed = 0; n < N; n++) {
    const distance = (n / N) * around;
    while (passed + lengths[i] < distance) passed += lengths[i++];
    const share = (distance - passed) / (lengths[i] || 1),
      p = outline[i],
      q = outline[(i + 1) % outline.length];
    line.push([p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share]);
  }
  let soft = line;
  for (let round = 0; round < 2; round++) {
    soft = soft.map((_, i) => {
      let x = 0,
        y = 0,
        weight = 0;
      for (let k = -7; k <= 7; k++) {
        const g = 8 - Math.abs(k),
          p = soft[(i + k + N) % N];
        x += g * p[0];
        y += g * p[1];
        weight += g;
      }
      return [x / weight, y / weight];
    });
  }
  return soft;
}

/** Whether a point lies in a polygon: a ray to the right crosses its outline an odd number of times. */
export function inside([x, y], polygon) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i];
    const [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

export function box(points) {
  const xs = points.map((p) => p[0]),
    ys = points.map((p) => p[1]);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

const overlap = (a, b) =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

/** A corner for each label (w x h): beside its cloud, where it hides the fewest dots and no other label. */
export function placeLabels(outlines, dots, w, h, width, height) {
  const taken = [],
    places = [];
  for (const outline of outlines) {
    const b = box(outline),
      mx = (b.left + b.right) / 2,
      my = (b.top + b.bottom) / 2;
    const tries = [
      [mx - w / 2, b.top - h - 4],
      [b.right + 6, my - h / 2],
      [mx - w / 2, b.bottom + 4],
      [b.left - w - 6, my - h / 2],
      [b.right - w / 3, b.top - h / 2],
      [b.left - w * 0.6, b.top - h / 2],
      [b.right - w / 3, b.bottom - h / 2],
      [b.left - w * 0.6, b.bottom - h / 2],
      [mx - w / 2, b.top + 2],
    ];
    let best = null;
    for (const [x, y] of tries) {
      const left = Math.max(6, Math.min(width - w - 6, x)),
        top = Math.max(4, Math.min(height - h - 30, y));
      const spot = { left, top, right: left + w, bottom: top + h };
      const hidden = dots.reduce((n, p) => n + (p[0] > left - 4 && p[0] < spot.right + 4 && p[1] > top - 4 && p[1] < spot.bottom + 4), 0);
      const clash = taken.reduce((sum, t) => sum + overlap(t, spot), 0);
      const moved = Math.abs(left - x) + Math.abs(top - y);
      const cost = hidden + clash * 0.5 + moved * 0.05;
      if (!best || cost < best.cost) best = { ...spot, cost };
    }
    taken.push(best);
    places.push(best);
  }
  return places;
}

const NEAR = 11; // pixels around the middle of a letter

/**
 * A point of each outline for its letter: where few dots are, outside the other outlines and clear of the labels and of each
 * other; of equal ones the nearest to its own label. `labels`: what placeLabels gave, one for each of the outlines.
 */
export function placeLetters(outlines, dots, labels, width, height) {
  const places = [];
  outlines.forEach((outline, i) => {
    const { left, right, top, bottom } = labels[i];
    const cost = ([x, y]) => {
      const hidden = dots.filter((p) => Math.hypot(p[0] - x, p[1] - y) < NEAR).length;
      const shared = outlines.filter((other, j) => j !== i && inside([x, y], other)).length;
      const under = labels.some((l) => x > l.left - NEAR && x < l.right + NEAR && y > l.top - NEAR && y < l.bottom + NEAR);
      const off = x < NEAR || y < NEAR || x > width - NEAR || y > height - 30;
      const beside = places.some((p) => Math.hypot(p[0] - x, p[1] - y) < 2 * NEAR);
      const away = Math.hypot(x - (left + right) / 2, y - (top + bottom) / 2);
      return 10 * hidden + 20 * shared + 1000 * (under + off + beside) + 0.1 * away;
    };
    const tries = outline.filter((_, n) => n % 3 === 0).map((p) => [cost(p), p]);
    places.push(tries.reduce((best, one) => (one[0] < best[0] ? one : best))[1]);
  });
  return places;
}
