// Pointer, wheel and keys on the map. What they mean is the map's business; here is only which gesture it was.

import { walk } from './walk.js';

const FAR = 4; // pixels that make a click a drag
const ZOOM = 240; // of a wheel's turn, for the keys + and -

/** `does`: {frame, lasso, card, drawing(), near(), nearest(x, y), point(dot), pin(), close(), moved(), takeGroup()}. */
export function pointing(area, does) {
  const { frame, lasso, card } = does;
  let drag = null;
  const pixel = (event) => {
    const box = area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const onCard = (event) => card.node.contains(event.target);

  area.addEventListener('pointermove', (event) => {
    if (!frame.ready || (!drag && onCard(event))) return;
    const [x, y] = pixel(event);
    if (lasso.drawing) return lasso.move(x, y);
    if (!drag) return does.point(does.nearest(x, y));
    drag.far ||= Math.hypot(x - drag.x, y - drag.y) > FAR;
    if (!drag.far) return;
    if (does.drawing()) {
      does.close();
      lasso.start(drag.x, drag.y);
      return lasso.move(x, y);
    }
    frame.zoom = { k: drag.zoom.k, x: drag.zoom.x + x - drag.x, y: drag.zoom.y + y - drag.y };
    does.close();
    does.moved();
  });
  area.addEventListener('pointerdown', (event) => {
    if (event.button || onCard(event) || !frame.ready) return;
    const [x, y] = pixel(event);
    drag = { x, y, zoom: frame.zoom, far: false };
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener('pointerup', () => {
    if (lasso.drawing) lasso.end();
    else if (drag && !drag.far) does.pin();
    drag = null;
  });
  area.addEventListener('pointercancel', () => {
    if (lasso.drawing) lasso.clear();
    drag = null;
  });
  area.addEventListener('pointerleave', () => drag || does.point(null));
  area.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      frame.turn(...pixel(event), event.deltaY);
      does.moved();
    },
    { passive: false },
  );
  area.addEventListener('keydown', (event) => {
    if (event.target !== area) return;
    const near = does.near();
    if (event.key === 'Enter' && near) return does.drawing() ? does.takeGroup() : does.pin();
    const zoom = { '+': -ZOOM, '=': -ZOOM, '-': ZOOM }[event.key];
    if (zoom) {
      frame.turn(frame.width / 2, frame.height / 2, zoom);
      return does.moved();
    }
    const next = walk(near, event.key);
    if (next === undefined) return;
    event.preventDefault();
    card.pin(null);
    does.point(next);
  });
}
