"""Text that wants to be more than text, a runs folder full of it, and a look at a page for what came of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sample_run import write_run

from core.config import RunConfig
from core.runs.folder import Run

MARKUP = '<i id=planted></i><img src=x onerror="hit(1)"><script>hit(2)</script><svg onload=hit(3)>${hit(4)}{{hit(5)}}`${hit(6)}`"\' onfocus=hit(7) autofocus x="'
LONG = "W" * 10_000
RTL = "\u202eabc قطة مضحكة שלום"  # an override that nobody closes
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈é̶̗" * 40
PROMPTS = (MARKUP, LONG, RTL, EMOJI)
NAME = "W" * 60  # the longest that a run can have
FOLDER = "<img src=x onerror=hit(8)>"  # made by hand: no run of the studio can be called so
SCORE = "<i id=planted></i>" + "W" * 200

# before the page's own scripts: whoever calls hit() is remembered across reloads of the page
ARM = "window.hits = []; window.hit = n => window.hits.push(n); window.alert = window.confirm = window.prompt = () => window.hit('dialog')"

# What was planted, and what stands outside the window or spills out of its own box, as [what, text].
FOUND = """() => {
  const wrong = window.hits.map(n => ['script', n]);
  for (const e of document.querySelectorAll('#planted, .mm img[src=x], .mm script, .mm [onerror], .mm [onload], .mm [onfocus]')) wrong.push(['planted', e.outerHTML.slice(0, 120)]);
  if (document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight) wrong.push(['window scrolls', document.documentElement.scrollWidth]);
  const clips = (e) => /hidden|auto|scroll|clip/.test(getComputedStyle(e).overflowX);
  for (const e of document.querySelectorAll('.mm *, .mm')) {
    if (!e.checkVisibility({ visibilityProperty: true }) || e.closest('svg') || /^(OPTION|OPTGROUP)$/.test(e.tagName)) continue;
    const style = getComputedStyle(e), at = e.getBoundingClientRect();
    const told = `${e.tagName}.${e.className}#${e.id} ${e.textContent.slice(0, 40)}`;
    const floats = [...e.children].some((c) => /absolute|fixed/.test(getComputedStyle(c).position)); // a list that hangs over its field
    if (!clips(e) && !floats && !style.display.startsWith('inline') && e.scrollWidth > e.clientWidth + 8 && e.clientWidth) wrong.push(['spills', `${told} ${e.scrollWidth}>${e.clientWidth}`]);
    let held = false;
    for (let p = e.parentElement; p; p = p.parentElement) held ||= clips(p) && p !== document.body && p !== document.documentElement;
    if (!held && at.width && (at.right > innerWidth + 1 || at.left < -1 || at.bottom > innerHeight + 1)) wrong.push(['outside', `${told} ${at.left | 0},${at.top | 0},${at.right | 0},${at.bottom | 0}`]);
  }
  return wrong;
}"""


def fill(runs: Path) -> None:
    """Runs whose every word is hostile, as far as the studio or a text editor can write them."""
    words = "\n".join((MARKUP, RTL, LONG))
    made = write_run(runs / NAME, iterations=10, prompts=PROMPTS, turn_at=4, model=f"/models/{MARKUP}", state="failed", base_pictures=40, group_size=8)
    with made.database() as db:
        db.set_status(message=f"{MARKUP} {LONG}", remedy=MARKUP, details=words, device=MARKUP, phase=MARKUP)
        db.write("UPDATE pictures SET scores = ?", json.dumps({SCORE: 0.5}))
    warned = write_run(runs / "warned", iterations=10, prompts=(RTL, "cat"), model=f"/models/{RTL}/{RTL}", base_pictures=40, group_size=8)
    with warned.database() as db:
        db.add_event("warning", 3, message=f"{RTL} {MARKUP} {LONG}")
        db.add_event("branch", 0, of=MARKUP, at=3)
    write_run(runs / "long", iterations=10, prompts=(LONG, "cat"), model=f"{LONG}/{LONG}", base_pictures=40, group_size=8)
    by_hand(runs)
    presets = runs / "presets"
    presets.mkdir()
    for stem, title, line in (("one", MARKUP, LONG), ("two", RTL, MARKUP), ("three", LONG, RTL), ("four", EMOJI, EMOJI)):
        (presets / f"{stem}.yaml").write_text(f"# {title}\n# {line}\n{RunConfig(prompts=PROMPTS).to_yaml()}", encoding="utf-8")


def by_hand(runs: Path) -> None:
    """A folder that no studio made: its name, and values of other kinds than the trainer writes."""
    shutil.copytree(runs / "warned", runs / FOLDER)
    (runs / "queue.json").write_text(json.dumps({"runs": [FOLDER, "warned", MARKUP], "held": True, "reason": MARKUP}))
    (runs / "watched.json").write_text(json.dumps({f"{MARKUP}@x": str(runs / FOLDER)}))
    odd = Run(runs / "odd")
    shutil.copytree(runs / "warned", odd.path)
    with odd.database() as db:
        for name, old, new in (("creative_beta", 0, MARKUP), (MARKUP, MARKUP, LONG), ("window", MARKUP, RTL), ("sa_reg_steps", None, {"a": MARKUP})):
            db.add_event("dial", 5, name=name, old=old, new=new)
        db.add_event(MARKUP, 5, message=MARKUP)
        db.add_event("warning", 6, message={"html": MARKUP})
        db.write("UPDATE pictures SET seed = ? WHERE iteration = 10", MARKUP)
