// The Lesson screen.

export function lesson(root) {
  root.textContent = '';
}
