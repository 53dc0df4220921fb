"""How long the map takes to draw 5,000 and 50,000 dots, in Chromium: `python tests/bench/map_redraw.py`.

A run of 2,084 iterations of 24 pictures is written to a temporary folder. For each size the page fetches the dots in one
request (route), and then redraws the whole trail again and again (redraw: from the change to the next frame after it).
Medians of 9; `cpu` is the processor time of the page's main thread for one redraw, which other work on the computer does
not lengthen. Exit code 1 if a redraw took longer than its limit.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "studio")]

GROUP, ROUNDS = 24, 9
SIZES = ((5_000, 150), (50_000, 500))  # dots, milliseconds at most

LOAD = """async (iterations) => {
  const store = await import(manymodes.files + 'lib/store.js'), { Dots } = await import(manymodes.files + 'lib/dots.js');
  const start = performance.now(), dots = new Dots('umap');
  const columns = await store.getBinary(`/api/runs/bench/points?prompt=0&since=0&until=${iterations}&method=umap`);
  const route = performance.now() - start;
  dots.add(columns, { since: 0, until: iterations, fresh: true });
  const all = [[...dots.groups.values()].flat(), 0];
  dots.trail = () => [all];
  store.state.dots = dots;
  return { route, dots: all[0].length };
}"""
REDRAW = """async () => {
  const store = await import(manymodes.files + 'lib/store.js');
  window.manymodes.mapDrawn = null;
  const start = performance.now();
  store.emit('dots');
  while (!window.manymodes.mapDrawn) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def main() -> int:
    import uvicorn
    from chromium import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright
    from sample_run import write_run

    from studio.shell import build

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder) / "bench", iterations=-(-SIZES[-1][0] // GROUP), group_size=GROUP, end=4000)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", int(os.environ.get("BENCH_PORT", "0"))))
            port = probe.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(build(Path(folder)), host="127.0.0.1", port=port, log_level="warning"))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            told = page.context.new_cdp_session(page)
            told.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
            told.send("Performance.enable")

            def cpu() -> float:
                return next(m["value"] for m in told.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration") * 1000

            page.goto(f"http://127.0.0.1:{port}/?run=bench&screen=live")
            page.wait_for_function("window.manymodes?.mapDrawn?.dots > 300", timeout=120000)
            for size, limit in SIZES:
                loaded = page.evaluate(LOAD, -(-size // GROUP))
                page.evaluate(REDRAW)
                before = cpu()
                times = [page.evaluate(REDRAW) for _ in range(ROUNDS)]
                rows.append((loaded["dots"], loaded["route"], median(times), min(times), (cpu() - before) / ROUNDS, limit))
            browser.close()
        server.should_exit = True
    print(f"{'dots':>7} {'route ms':>9} {'redraw ms':>10} {'best ms':>8} {'cpu ms':>7} {'limit ms':>9}")
    for dots, route, drawn, best, busy, limit in rows:
        print(f"{dots:>7,} {route:>9.0f} {drawn:>10.0f} {best:>8.0f} {busy:>7.0f} {limit:>9}{'' if drawn <= limit else '  too slow'}")
    return 0 if all(drawn <= limit for *_, drawn, _, _, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
