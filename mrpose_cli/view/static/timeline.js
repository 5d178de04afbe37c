// A lane for each track, with what is suspicious about it; the same range of time as the plots below.

import { color, fitted, h, plural, seconds } from "./dom.js";

const LABEL = 56; // px
const RULER = 22;
const LANE = 16;
const NEAREST = 6; // px
const MARKS = { gap: "gap", low: "low", jump: "jump", swap: "swap", identity: "identity" };

export const LEFT = LABEL;
export const RIGHT = 14;

/** Ticks at round times, about 90 px apart. */
export function ticks(from, to, width) {
  const wanted = ((to - from) * 90) / Math.max(width, 90);
  const steps = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((one) => one >= wanted) ?? 7200;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to + 1e-9; at += step) found.push(at);
  return found;
}

/** A color for white ground of one for pictures. */
const shade = (tint) => `#${tint.slice(1).match(/../g).map((part) => Math.round(parseInt(part, 16) * 0.72).toString(16).padStart(2, "0")).join("")}`;

export class Timeline {
  constructor(index, kinds, flags, act) {
    Object.assign(this, { index, kinds, flags, act });
    this.end = Math.max(index.times.at(-1) ?? 0, 0.001);
    [this.from, this.to] = [0, this.end];
    this.canvas = h("canvas", { height: 10 });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "timeline", role: "group", "aria-label": "Tracks" }, this.canvas, this.tip);
    this.canvas.style.height = `${RULER + LANE * Math.max(index.tracks.length, 1) + 6}px`;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.held = true;
      const { track, moment } = this.#under(event);
      if (moment) act.seek(this.index.times[moment[0]]);
      else act.seek(this.#time(event.offsetX));
      if (track) act.pick(track.id);
    });
    this.canvas.addEventListener("pointermove", (event) => { if (this.held) act.seek(this.#time(event.offsetX)); else this.#hover(event); });
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => { this.held = false; });
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.canvas.addEventListener("wheel", (event) => {
      if (Math.abs(event.deltaY) < Math.abs(event.deltaX) || event.shiftKey) return;
      if (!event.ctrlKey && this.element.scrollHeight > this.element.clientHeight) return;
      event.preventDefault();
      this.#zoom(Math.exp(event.deltaY * 0.002), this.#time(event.offsetX));
    }, { passive: false });
    this.canvas.addEventListener("dblclick", () => this.#zoom(Infinity, 0));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  #zoom(factor, time) {
    const length = Math.min((this.to - this.from) * factor, this.end);
    const share = (time - this.from) / (this.to - this.from);
    this.from = Math.min(Math.max(time - share * length, 0), this.end - length) || 0;
    this.to = this.from + Math.max(length, 0.2);
    this.ranged?.(this.from, this.to);
    this.draw();
  }

  get #wide() { return Math.max(this.canvas.clientWidth - LEFT - RIGHT, 1); }
  #x(time) { return LEFT + ((time - this.from) / (this.to - this.from)) * this.#wide; }
  #time(x) { return this.from + Math.min(Math.max((x - LEFT) / this.#wide, 0), 1) * (this.to - this.from); }

  #under(event) {
    const track = this.index.tracks[Math.floor((event.offsetY - RULER) / LANE)];
    if (event.offsetY < RULER || !track) return {};
    const near = track.moments.map((moment) => {
      const [a, b] = [this.#x(this.index.times[moment[0]]), this.#x(this.index.times[moment[1]])];
      return { moment, far: event.offsetX < a ? a - event.offsetX : Math.max(event.offsetX - b, 0) };
    }).filter(({ far }) => far < NEAREST).sort((a, b) => a.far - b.far);
    return { track, moment: near[0]?.moment };
  }

  words([first, last, kind, other], id) {
    const when = last > first ? `${seconds(this.index.times[first])} to ${seconds(this.index.times[last])}` : seconds(this.index.times[first]);
    return `#${id} ${when}: ${this.kinds[kind]}${other ? ` (#${other})` : ""}`;
  }

  #hover(event) {
    const { track, moment } = this.#under(event);
    this.tip.hidden = !track;
    if (!track) return;
    const [first, last] = [track.spans[0][0], track.spans.at(-1)[1]];
    this.tip.textContent = moment ? this.words(moment, track.id)
      : `#${track.id} ${seconds(this.index.times[first])} to ${seconds(this.index.times[last])}${track.moments.length ? `, ${plural(track.moments.length, "suspicious moment")}` : ""}`;
    const box = this.element.getBoundingClientRect();
    const left = event.clientX - box.left;
    this.tip.style.left = `${Math.min(left + 12, box.width - this.tip.offsetWidth - 8)}px`;
    this.tip.style.top = `${event.offsetY + 16}px`;
  }

  at(time, picked) {
    [this.now, this.picked] = [time, picked];
    if (this.to - this.from < this.end && (time < this.from || time > this.to)) {
      const length = this.to - this.from;
      this.from = Math.min(Math.max(time - length / 8, 0), this.end - length);
      this.to = this.from + length;
      this.ranged?.(this.from, this.to);
    }
    this.draw();
  }

  draw() {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width) return;
    const context = fitted(this.canvas, width, height);
    this.light = getComputedStyle(document.documentElement).colorScheme === "light";
    const [ink, dim, edge, warn] = ["ink", "dim", "edge", "warn"].map(color);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const at of ticks(this.from, this.to, this.#wide)) {
      context.fillStyle = edge;
      context.fillRect(this.#x(at), RULER - 5, 1, height);
      context.fillStyle = dim;
      context.textAlign = "center";
      context.fillText(at >= 60 ? seconds(at) : `${Number(at.toFixed(2))} s`, this.#x(at), 9);
    }
    context.textAlign = "start";
    this.index.tracks.forEach((track, lane) => this.#lane(context, track, RULER + lane * LANE, { ink, dim, edge, warn }));
    if (!this.index.tracks.length) {
      context.fillStyle = dim;
      context.fillText("No tracks: people are not followed in this result (mrpose video --track does).", LEFT, RULER + LANE / 2);
    }
    const x = this.#x(this.now ?? 0);
    context.fillStyle = color("accent");
    context.fillRect(x - 0.75, 4, 1.5, height);
    context.beginPath();
    context.moveTo(x - 5, 2);
    context.lineTo(x + 5, 2);
    context.lineTo(x, 9);
    context.fill();
  }

  #lane(context, track, top, { ink, dim, edge, warn }) {
    const { times } = this.index;
    const picked = track.id === this.picked;
    const middle = top + LANE / 2;
    if (picked) {
      context.fillStyle = color("chosen");
      context.fillRect(0, top, this.canvas.clientWidth, LANE);
    }
    const flagged = this.flags.ofTracks(this.index.file).some((flag) => flag.track === track.id);
    context.fillStyle = picked ? ink : dim;
    context.fillText(`#${track.id}${flagged ? " ⚑" : ""}`, 12, middle);
    context.save();
    context.beginPath();
    context.rect(LEFT - 4, top, this.canvas.clientWidth - LEFT, LANE);
    context.clip();
    context.strokeStyle = dim;
    context.setLineDash([2, 3]);
    context.beginPath();
    for (let span = 1; span < track.spans.length; span++) {
      context.moveTo(this.#x(times[track.spans[span - 1][1]]), middle);
      context.lineTo(this.#x(times[track.spans[span][0]]), middle);
    }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = this.picked && !picked ? 0.45 : 0.9;
    context.fillStyle = this.light ? shade(track.color) : track.color;
    for (const [first, last] of track.spans) {
      const x = this.#x(times[first]);
      context.beginPath();
      context.roundRect(x, top + 4, Math.max(this.#x(times[last]) - x, 3), LANE - 8, 3);
      context.fill();
    }
    context.globalAlpha = 1;
    for (const [first, last, kind] of track.moments) {
      const x = this.#x(times[first]);
      const end = this.#x(times[last]);
      if (kind === MARKS.low || kind === MARKS.gap) {
        context.fillStyle = kind === MARKS.low ? warn : edge;
        context.fillRect(x, top + LANE - 5, Math.max(end - x, 2), 2.5);
        continue;
      }
      context.beginPath();
      if (kind === MARKS.jump) { context.moveTo(x - 5, middle + 4); context.lineTo(x + 5, middle + 4); context.lineTo(x, middle - 5); }
      else if (kind === MARKS.swap) { context.rect(x - 4, middle - 4, 3, 8); context.rect(x + 1, middle - 4, 3, 8); }
      else { context.moveTo(x, middle - 6); context.lineTo(x + 5, middle); context.lineTo(x, middle + 6); context.lineTo(x - 5, middle); }
      context.closePath();
      context.fillStyle = "#fff";
      context.strokeStyle = "#15181b";
      context.lineWidth = 2.4;
      context.stroke();
      context.fill();
    }
    context.restore();
  }

  close() { this.observer.disconnect(); }
}
