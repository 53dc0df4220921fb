// The Compare screen.

export function compare(root) {
  root.textContent = '';
}
