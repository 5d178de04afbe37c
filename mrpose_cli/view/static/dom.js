// Elements from names, attributes and children. Text is always text: nothing here reads markup.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function button(label, key, action, properties = {}) {
  return h("button", { type: "button", onclick: action, ...properties }, label, key && h("kbd", { text: key }));
}

/** A slider with its value beside it. */
export function slider(label, { min, max, step, value, digits = 2, oninput, ...more }) {
  const shown = h("output", { text: value.toFixed(digits) });
  const input = h("input", { type: "range", min, max, step, value, "aria-label": label, ...more,
    oninput: () => { shown.textContent = Number(input.value).toFixed(digits); oninput(Number(input.value)); } });
  const field = h("label", { class: "slider" }, h("span", { text: label }), input, shown);
  field.set = (next) => { input.value = next; shown.textContent = Number(next).toFixed(digits); };
  return field;
}

export function save(name, type, text) {
  const link = h("a", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Size a canvas to its box, in the screen's pixels; the context counts in CSS pixels. */
export function fitted(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const ratio = window.devicePixelRatio || 1;
  const [w, t] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== t) { canvas.width = w; canvas.height = t; }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The style sheet's colors, for canvases. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function seconds(value) {
  const whole = Math.max(value, 0);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole % 60).toFixed(2).padStart(5, "0")}`;
}

export const plural = (count, noun, many = `${noun}s`) => `${count.toLocaleString("en")} ${count === 1 ? noun : many}`;
