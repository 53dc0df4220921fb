// A moment in local time: short for a row, in full for its tooltip. Times are seconds since 1970.

const format = (options) => new Intl.DateTimeFormat('en-GB', options); // the words around it are English, whatever the browser speaks
const time = format({ hour: '2-digit', minute: '2-digit' }),
  day = format({ day: 'numeric', month: 'short' }),
  older = format({ day: 'numeric', month: 'short', year: 'numeric' }),
  full = format({ dateStyle: 'full', timeStyle: 'medium' });

/** "today 14:02", "yesterday 09:15", "12 Nov 18:30", of another year "12 Nov 2025". */
export function shortTime(seconds, now = new Date()) {
  const at = new Date(seconds * 1000);
  const before = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (at.toDateString() === now.toDateString()) return `today ${time.format(at)}`;
  if (at.toDateString() === before.toDateString()) return `yesterday ${time.format(at)}`;
  return at.getFullYear() === now.getFullYear() ? `${day.format(at)} ${time.format(at)}` : older.format(at);
}

/** "Saturday 21 November 2026 at 14:02:31". */
export const fullTime = (seconds) => full.format(new Date(seconds * 1000));
