// A picture or clip with a canvas over it, that can be zoomed and moved with wheel, drag, two fingers and keys.

import { fitted, h } from "./dom.js";

const DEEPEST = 40;

export class Stage {
  /** `media` fills `width` x `height` picture pixels; `paint(context, view)` draws over it. */
  constructor(media, width, height, paint, tap) {
    Object.assign(this, { media, width, height, paint, tap });
    this.canvas = h("canvas");
    this.element = h("div", { class: "stage" }, media, this.canvas);
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
    this.paint(fitted(this.canvas, this.element.clientWidth, this.element.clientHeight), this.view);
  }

  #down(event) {
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
      this.tap(event.clientX - box.left, event.clientY - box.top);
    }
  }

  /** Zoom and move by key; true if the key was one of these. */
  key(event) {
    if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
    else return false;
    return true;
  }

  close() { this.observer.disconnect(); }
}
