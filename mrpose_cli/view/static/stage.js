// A picture or clip with a canvas over it, that can be zoomed and moved with wheel, drag, two fingers and keys.

import { fitted, h } from "./dom.js";

const DEEPEST = 40;

export class Stage {
  /** `media` fills `width` x `height` picture pixels; `paint(context, view)` draws over it. */
  constructor(media, width, height, paint, tap) {
    Object.assign(this, { media, width, height, paint, tap });
    this.canvas = h("canvas");
    this.reading = h("output", { class: "ruler", hidden: true });
    this.element = h("div", { class: "stage" }, media, this.canvas, this.reading);
    this.ruler = null;
    media.classList.add("media");
    this.scale = 0;
    this.pointers = new Map();
    this.element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), event.offsetX, event.offsetY);
    }, { passive: false });
    this.element.addEventListener("dblclick", () => this.fit());
    for (const [name, act] of [["down", this.#down], ["move", this.#move], ["up", this.#up], ["cancel", this.#up]])
      this.element.addEventListener(`pointer${name}`, act.bind(this));
    this.observer = new ResizeObserver(() => (this.fitting || !this.scale ? this.fit() : this.redraw()));
    this.observer.observe(this.element);
  }

  resize(width, height) {
    Object.assign(this, { width, height });
    this.fit();
  }

  fit() {
    const { clientWidth: w, clientHeight: t } = this.element;
    if (!w || !t || !this.width || !this.height) return;
    this.scale = Math.min((w - 24) / this.width, (t - 24) / this.height, 8);
    this.x = (w - this.width * this.scale) / 2;
    this.y = (t - this.height * this.scale) / 2;
    this.fitting = true;
    this.redraw();
  }

  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const next = Math.min(Math.max(this.scale * factor, 0.02), DEEPEST);
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.fitting = false;
    this.redraw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitting = false;
    this.redraw();
  }

  get view() { return { x: this.x, y: this.y, sx: this.scale, sy: this.scale }; }

  redraw() {
    if (!this.scale) return;
    Object.assign(this.media.style, {
      width: `${this.width}px`, height: `${this.height}px`,
      transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})`,
      imageRendering: this.scale > 3 ? "pixelated" : "auto",
    });
    const context = fitted(this.canvas, this.element.clientWidth, this.element.clientHeight);
    this.paint(context, this.view);
    if (this.ruler?.length) this.#drawRuler(context);
  }

  #down(event) {
    if (event.target === this.reading) return; // its text may be selected
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.moved = 0;
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    this.moved += Math.abs(dx) + Math.abs(dy);
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (other) {
      const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      const box = this.element.getBoundingClientRect();
      this.pan(dx / 2, dy / 2);
      const middle = [(event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top];
      this.zoom(far(event) / far(before), ...middle);
    } else if (this.moved > 4) this.pan(dx, dy);
  }

  #up(event) {
    const was = this.pointers.delete(event.pointerId);
    if (was && event.type === "pointerup" && this.moved <= 4) {
      const box = this.element.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      if (this.ruler) this.#measure((x - this.x) / this.scale - 0.5, (y - this.y) / this.scale - 0.5);
      else this.tap(x, y);
    }
  }

  /** Begin to measure with the next two clicks, or end it. */
  measure() {
    this.ruler = this.ruler ? null : [];
    this.reading.hidden = !this.ruler;
    this.reading.textContent = "Click two points";
    this.redraw();
  }

  #measure(x, y) {
    this.ruler = this.ruler.length === 2 ? [[x, y]] : [...this.ruler, [x, y]];
    if (this.ruler.length === 2) {
      const [[ax, ay], [bx, by]] = this.ruler;
      const points = [ax, ay, bx, by].map((value) => value.toFixed(1)).join(",");
      this.reading.textContent = `${Math.hypot(bx - ax, by - ay).toFixed(1)} px. For mrpose motion: --ruler ${points}=METERS`;
    }
    this.redraw();
  }

  #drawRuler(context) {
    const places = this.ruler.map(([x, y]) => [this.x + (x + 0.5) * this.scale, this.y + (y + 0.5) * this.scale]);
    for (const [style, thick] of [["#15181b", 4], ["#ffd54a", 2]]) {
      context.strokeStyle = style;
      context.lineWidth = thick;
      context.beginPath();
      for (const [x, y] of places) { context.moveTo(x + 5, y); context.arc(x, y, 5, 0, 2 * Math.PI); }
      if (places.length === 2) { context.moveTo(...places[0]); context.lineTo(...places[1]); }
      context.stroke();
    }
  }

  /** Zoom and move by key; true if the key was one of these. */
  key(event) {
    if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
    else if (event.key === "m" || event.key === "M") this.measure();
    else return false;
    return true;
  }

  close() { this.observer.disconnect(); }
}
