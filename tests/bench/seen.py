"""What watching a live run costs and how soon it is seen: `python tests/bench/seen.py [ITERATIONS]`.

The studio runs as a process of its own, a pretended trainer finishes an iteration every 1.7 s (so that it falls on every
moment of the one-second poll), and one tab of Chromium watches. Printed: the time from a finished iteration, by the clock in
run.db, to the frame that shows it; layout shifts over all updates and a full scrub; processor time (also before a tab is open) and
memory of the studio. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "studio")]

PACE = 1.7  # seconds
UNSEEN = 15  # seconds that the studio runs with no tab
SEEN, CORE, MEMORY = 1.5, 0.10, 400  # seconds, share of a core, MB

WATCH = """async () => {
  const store = await import(manymodes.files + 'lib/store.js');
  const seen = window.seen = { map: {}, pictures: {}, charts: {} };
  window.shifts = [];
  new PerformanceObserver(list => { for (const e of list.getEntries())
    window.shifts.push([e.value, ...e.sources.map(s => (s.node?.outerHTML ?? '?').slice(0, 80))]);
  }).observe({type: 'layout-shift', buffered: false});
  const shown = (what, n) => requestAnimationFrame(() => requestAnimationFrame(() => { seen[what][n] ??= Date.now() / 1000; }));
  store.on('dots', () => { for (const n of store.state.dots.groups.keys()) if (!seen.map[n]) shown('map', n); });
  store.on('rows', () => shown('charts', store.newest()));
  const sub = document.querySelector('.mm-pictures .sub');
  new MutationObserver(() => shown('pictures', sub.textContent.match(/iteration (\\d+)/)?.[1]))
    .observe(sub, { childList: true, characterData: true, subtree: true });
}"""
SCRUB = """async () => {
  const store = await import(manymodes.files + 'lib/store.js');
  const last = store.newest();
  for (let i = 0; i <= last; i++) { store.view({ iteration: i }); await new Promise(requestAnimationFrame); }
  store.view({ iteration: null });
}"""


def main(iterations: int) -> int:
    import psutil
    from chromium import CHROMIUM, FLAGS, FakeTrainer
    from playwright.sync_api import sync_playwright

    from core.config import RunConfig
    from core.runs import folder

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", int(os.environ.get("BENCH_PORT", "0"))))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        run = folder.create(Path(place) / "bench", RunConfig(prompts=("cat", "dog"), prompts_per_iteration=2, iterations=100_000, base_pictures=120))
        trainer = FakeTrainer(FAKE_PACE=str(PACE))
        trainer(run)
        command = [sys.executable, "app.py", "--runs", place, "--no-browser", "--port", str(port)]
        studio = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            _ready(port)
            time.sleep(3)
            unseen = sum(studio.cpu_times()[:2])
            time.sleep(UNSEEN)
            unseen = (sum(studio.cpu_times()[:2]) - unseen) / UNSEEN
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"http://127.0.0.1:{port}/?run=bench&screen=live")
                page.wait_for_function("window.manymodes?.state.head?.newest > 3 && manymodes.mapDrawn?.dots > 150", timeout=120000)
                page.wait_for_timeout(1000)
                page.evaluate(WATCH)
                first = page.evaluate("manymodes.state.head.newest")
                began, busy = time.time(), sum(studio.cpu_times()[:2])
                page.wait_for_function(f"manymodes.state.head.newest >= {first + iterations}", timeout=iterations * PACE * 3000, polling=1000)
                lasted, busy = time.time() - began, sum(studio.cpu_times()[:2]) - busy
                page.wait_for_timeout(1500)
                page.evaluate(SCRUB)
                seen, shifts = page.evaluate("window.seen"), page.evaluate("window.shifts")
                memory = studio.memory_info().rss / 1e6
                browser.close()
            with run.database(readonly=True) as db:
                finished = {str(r["iteration"]): r["time"] for r in db.rows("SELECT iteration, time FROM iterations")}
        finally:
            studio.terminate()
            trainer.end()
    wanted = [str(n) for n in range(first + 1, first + iterations + 1)]
    print(f"{iterations} iterations of {PACE} s, one tab watching")
    print(f"{'finished to seen':<20} {'median s':>9} {'95 % s':>8} {'longest s':>10} {'limit s':>8}")
    late = False
    for name, times in seen.items():
        after = sorted(times[n] - finished[n] for n in wanted if n in times)
        late |= not after or after[-1] > SEEN
        print(f"{name:<20} {median(after):>9.2f} {after[int(0.95 * (len(after) - 1))]:>8.2f} {after[-1]:>10.2f} {SEEN:>8}")
    print(f"layout shift {sum(s[0] for s in shifts):.4f} over {iterations} updates and a full scrub (limit 0)", *shifts[:3])
    print(f"studio: {busy / lasted:.1%} of a core (limit {CORE:.0%}), {unseen:.1%} with no tab, {busy / lasted * 1000:.0f} ms a second of watching, {memory:.0f} MB (limit {MEMORY})")
    return int(late or bool(shifts) or busy / lasted > CORE or memory > MEMORY)


def _ready(port: int) -> None:
    end = time.time() + 120
    while time.time() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/studio/ready", timeout=2)
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the studio did not start")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
