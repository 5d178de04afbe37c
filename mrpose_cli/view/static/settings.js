// What is shown, everywhere at once.

export const settings = {
  threshold: 0.3, people: 0, skeletons: true, boxes: false, names: false, scores: false, truth: true, trails: true,
};
const listeners = new Set();

export function set(name, value) {
  if (settings[name] === value) return;
  settings[name] = value;
  for (const listener of [...listeners]) listener(name);
}

/** Call `listener` on every change until the function that comes back is called. */
export function watch(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
