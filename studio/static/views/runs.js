// The Runs screen.

export function runs(root) {
  root.textContent = '';
}
