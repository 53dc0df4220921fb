// Shares of several prompts together: each ranked by itself, then averaged.

/** Shares of a prompt (looks, then new) from the largest look to the smallest, `most` of them, then new. */
export function ranked(shares, most) {
  const sorted = shares.slice(0, -1).sort((a, b) => b - a);
  return [...Array.from({ length: most }, (_, k) => sorted[k] ?? 0), shares.at(-1) ?? 0];
}

/** The mean of the ranked shares of several prompts. */
export function mean(all, most) {
  const sums = Array(most + 1).fill(0);
  for (const shares of all) ranked(shares, most).forEach((share, k) => (sums[k] += share / all.length));
  return sums;
}

let kept = { rows: null };

/** The mean of all prompts in each row, each prompt as it was last drawn: [{iteration, shares}]. `base`: prompt -> shares before that. */
export function averaged(rows, base, most) {
  if (kept.rows !== rows || kept.most !== most || kept.of !== base.size || kept.read > rows.length) kept = { rows, most, of: base.size, read: 0, now: new Map(base), out: [] };
  for (; kept.read < rows.length; kept.read++) {
    const { iteration, shares } = rows[kept.read];
    if (!iteration) continue;
    for (const [prompt, found] of Object.entries(shares)) if (kept.now.has(prompt)) kept.now.set(prompt, found);
    kept.out.push({ iteration, shares: mean([...kept.now.values()], most) });
  }
  return kept.out;
}
