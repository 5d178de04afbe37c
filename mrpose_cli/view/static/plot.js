// How the joints of a picked person move: positions, speeds and angles over time, to be saved as SVG or CSV.

import { button, color, fitted, h, save } from "./dom.js";
import { settings } from "./settings.js";
import { LEFT, RIGHT, ticks } from "./timeline.js";

const QUANTITIES = [
  { key: "angle", text: "Angle", unit: "°" },
  { key: "speed", text: "Speed", unit: "px/s" },
  { key: "x", text: "Position x", unit: "px" },
  { key: "y", text: "Position y", unit: "px" },
];
// The angles that a joint has to do with.
const ANGLES = {
  hip: ["hip", "thigh", "trunk"], knee: ["knee", "thigh", "shank"], ankle: ["ankle", "foot", "shank"],
  shoulder: ["shoulder", "upper_arm", "trunk"], elbow: ["elbow", "upper_arm", "forearm"], wrist: ["forearm"],
};
const COLORS = ["#e8833a", "#3f8efc", "#3fae6b", "#b86be0", "#e0567a", "#2fb5b5", "#b59b2b", "#8894a3"];
const [TOP, BOTTOM] = [12, 8];

/** Lines of a track: a value for each of its frames, NaN where a joint is below the threshold. */
export function series(track, skeleton, times, quantity, joint) {
  const row = 3 * track.joints;
  const sure = (n, one) => track.values[n * row + 3 * one + 2] >= settings.threshold;
  const each = (value) => Float64Array.from({ length: track.count }, (_, n) => value(n));
  if (quantity === "angle") {
    const [, side, part] = /^(left_|right_)?(.*)$/.exec(joint === null ? "" : skeleton.joints[joint]);
    const parts = ANGLES[part] ?? [];
    return track.angles.filter(({ name }) => (joint === null ? /knee|elbow/.test(name) : parts.some((one) => name === "trunk" ? one === name : name === `${side ?? ""}${one}`)));
  }
  const joints = joint === null ? skeleton.joints.map((_, one) => one).filter((one) => /wrist|ankle/.test(skeleton.joints[one])) : [joint];
  const at = (n, one, axis) => (sure(n, one) ? track.values[n * row + 3 * one + axis] : NaN);
  const speed = (n, one) => {
    // Over both neighbors where they are the frames before and after, else over one of them.
    const joined = (m, k) => m >= 0 && k < track.count && track.frames[k] - track.frames[m] === k - m;
    const [a, b] = [joined(n - 1, n) ? n - 1 : n, joined(n, n + 1) ? n + 1 : n];
    const time = times[track.frames[b]] - times[track.frames[a]];
    return a === b ? NaN : Math.hypot(at(b, one, 0) - at(a, one, 0), at(b, one, 1) - at(a, one, 1)) / time;
  };
  const value = { x: (n, one) => at(n, one, 0), y: (n, one) => at(n, one, 1), speed }[quantity];
  return joints.map((one) => ({ name: skeleton.joints[one], values: each((n) => value(n, one)) }));
}

export class Plot {
  constructor(source, r, index, seek, say) {
    Object.assign(this, { source, r, index, seek, say });
    this.quantity = QUANTITIES[0];
    [this.from, this.to] = [0, Math.max(index.times.at(-1) ?? 0, 0.001)];
    this.tracks = new Map();
    this.lines = [];
    this.select = h("select", { "aria-label": "Plot", title: "Plot (P)", onchange: () => {
      this.quantity = QUANTITIES.find(({ key }) => key === this.select.value);
      this.#compute();
    } }, QUANTITIES.map(({ key, text }) => h("option", { value: key, text })));
    this.controls = h("span", { class: "plotting" }, this.select,
      button("SVG", null, () => this.saveSvg()), button("CSV", null, () => this.saveCsv()));
    this.canvas = h("canvas");
    this.legend = h("div", { class: "legend" });
    this.element = h("div", { class: "plot" }, this.canvas, this.legend);
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.held = true; this.#seek(event); });
    this.canvas.addEventListener("pointermove", (event) => { if (this.held) this.#seek(event); });
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => { this.held = false; });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  #seek(event) {
    const share = (event.offsetX - LEFT) / Math.max(this.canvas.clientWidth - LEFT - RIGHT, 1);
    this.seek(this.from + Math.min(Math.max(share, 0), 1) * (this.to - this.from));
  }

  next() {
    this.select.selectedIndex = (this.select.selectedIndex + 1) % QUANTITIES.length;
    this.select.dispatchEvent(new Event("change"));
  }

  range(from, to) { [this.from, this.to] = [from, to]; this.draw(); }

  at(place) { this.place = place; this.draw(); }

  async show(id, joint, place) {
    this.place = place;
    this.element.hidden = id === null;
    const state = `${id} ${joint} ${settings.threshold}`;
    if (state === this.state) return this.draw();
    Object.assign(this, { state, id, joint });
    if (id !== null && !this.tracks.has(id)) {
      const track = await this.source.track(this.r, id).catch((error) => { this.say(error.message); return null; });
      if (!track || this.id !== id) return;
      this.tracks.set(id, track);
    }
    this.#compute();
  }

  #compute() {
    const track = this.tracks.get(this.id);
    this.lines = track ? series(track, this.index.skeletons[track.skeleton], this.index.times, this.quantity.key, this.joint) : [];
    this.lines.forEach((line, place) => {
      line.color = COLORS[place % COLORS.length];
      const there = line.values.filter((value) => Number.isFinite(value));
      [line.low, line.high] = [Math.min(...there.slice(0, 1), ...bounds(there)), Math.max(...there.slice(0, 1), ...bounds(there))];
    });
    this.draw();
  }

  #scale() {
    const lines = this.lines.filter(({ low }) => Number.isFinite(low));
    const [low, high] = [Math.min(...lines.map((line) => line.low)), Math.max(...lines.map((line) => line.high))];
    if (!lines.length) return [0, 1];
    if (this.quantity.key === "angle") return [Math.floor(low / 45) * 45, Math.max(Math.ceil(high / 45), Math.floor(low / 45) + 1) * 45];
    const room = Math.max((high - low) * 0.05, 1);
    return [this.quantity.key === "speed" ? 0 : low - room, high + room];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const context = fitted(this.canvas, width, height);
    const [low, high] = this.#scale();
    const x = (time) => LEFT + ((time - this.from) / (this.to - this.from)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (height - TOP - BOTTOM);
    const [dim, edge] = [color("dim"), color("edge")];
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = edge;
    for (const at of ticks(this.from, this.to, width - LEFT - RIGHT)) context.fillRect(x(at), TOP, 1, height - TOP - BOTTOM);
    for (const value of levels(low, high, this.quantity.key === "angle")) {
      context.fillStyle = edge;
      context.fillRect(LEFT, y(value), width - LEFT - RIGHT, 1);
      context.fillStyle = dim;
      context.textAlign = "end";
      context.fillText(`${Number(value.toPrecision(4))}${this.quantity.unit === "°" ? "°" : ""}`, LEFT - 6, y(value));
    }
    context.textAlign = "start";
    const track = this.tracks.get(this.id);
    if (!track || !this.lines.length) {
      context.fillStyle = dim;
      const words = this.id ? "This skeleton has no such angle; pick another quantity or joint." : "Pick a person in the picture or on the timeline to plot their movement.";
      context.fillText(this.index.tracks.length ? words : "Plots need tracks: mrpose video --track.", LEFT + 10, height / 2);
    } else {
      context.save();
      context.beginPath();
      context.rect(LEFT, 0, width - LEFT - RIGHT, height);
      context.clip();
      for (const line of this.lines) this.#line(context, track, line, x, y);
      context.restore();
    }
    context.fillStyle = color("accent");
    context.fillRect(x(this.index.times[this.place ?? 0]) - 0.75, TOP, 1.5, height - TOP - BOTTOM);
    this.#legend(track);
  }

  #line(context, track, { values, color: tint }, x, y) {
    context.strokeStyle = tint;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    let down = false;
    for (let n = 0; n < values.length; n++) {
      const joined = down && track.frames[n] === track.frames[n - 1] + 1;
      if (Number.isNaN(values[n])) { down = false; continue; }
      const [px, py] = [x(this.index.times[track.frames[n]]), y(values[n])];
      if (joined) context.lineTo(px, py);
      else { context.moveTo(px, py); context.lineTo(px + 0.5, py); }
      down = true;
    }
    context.stroke();
  }

  #legend(track) {
    const n = track ? track.frames.indexOf(this.place) : -1;
    const entries = this.lines.map((line) => {
      const value = n < 0 ? NaN : line.values[n];
      return [line, `${line.name.replaceAll("_", " ")} ${Number.isNaN(value) ? "–" : `${value.toFixed(1)}${this.quantity.unit === "°" ? "°" : ` ${this.quantity.unit}`}`}`];
    });
    while (this.legend.children.length > entries.length) this.legend.lastChild.remove();
    entries.forEach(([line, text], place) => {
      const entry = this.legend.children[place] ?? this.legend.appendChild(h("span", {}, h("i"), h("b")));
      entry.firstChild.style.background = line.color;
      entry.lastChild.textContent = text;
    });
  }

  #name(suffix) { return `${(this.index.clipName || this.index.file).replace(/\.[^.]+$/, "")}-${this.id}-${this.quantity.key}.${suffix}`; }

  saveCsv() {
    const track = this.tracks.get(this.id);
    if (!track || !this.lines.length) return this.say("Pick a person first.");
    const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const rows = [["frame_index", "timestamp", ...this.lines.map(({ name }) => cell(`${name}_${this.quantity.key}`))]];
    for (let n = 0; n < track.count; n++) {
      const place = track.frames[n];
      rows.push([this.index.frames[place], this.index.times[place], ...this.lines.map(({ values }) => (Number.isNaN(values[n]) ? "" : Number(values[n].toFixed(4))))]);
    }
    save(this.#name("csv"), "text/csv", `${rows.map((row) => row.join(",")).join("\n")}\n`);
  }

  saveSvg() {
    const track = this.tracks.get(this.id);
    if (!track || !this.lines.length) return this.say("Pick a person first.");
    const [width, height, left, foot] = [960, 320, 56, 54];
    const [low, high] = this.#scale();
    const x = (time) => left + ((time - this.from) / (this.to - this.from)) * (width - left - 16);
    const y = (value) => 16 + (1 - (value - low) / (high - low)) * (height - 16 - foot);
    const text = (value) => String(value).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
    const parts = [];
    for (const at of ticks(this.from, this.to, width - left)) parts.push(`<path class="g" d="M${x(at).toFixed(1)} 16V${height - foot}"/><text x="${x(at).toFixed(1)}" y="${height - foot + 16}" text-anchor="middle">${Number(at.toFixed(2))}</text>`);
    for (const value of levels(low, high, this.quantity.key === "angle")) parts.push(`<path class="g" d="M${left} ${y(value).toFixed(1)}H${width - 16}"/><text x="${left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${Number(value.toPrecision(4))}</text>`);
    let key = left;
    for (const line of this.lines) {
      let path = "";
      line.values.forEach((value, n) => {
        if (Number.isNaN(value)) return;
        const joined = n && !Number.isNaN(line.values[n - 1]) && track.frames[n] === track.frames[n - 1] + 1;
        path += `${joined ? "L" : "M"}${x(this.index.times[track.frames[n]]).toFixed(1)} ${y(value).toFixed(1)}`;
      });
      parts.push(`<path d="${path}" fill="none" stroke="${line.color}" stroke-width="1.6"/>`);
      parts.push(`<rect x="${key}" y="${height - 22}" width="10" height="10" fill="${line.color}"/><text x="${key + 14}" y="${height - 13}">${text(line.name)}</text>`);
      key += 30 + 6.6 * line.name.length;
    }
    parts.push(`<text x="${left}" y="11">${text(`#${this.id}: ${this.quantity.text}, ${this.quantity.unit}, over seconds`)}</text>`);
    save(this.#name("svg"), "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"><style>text{font:11px sans-serif;fill:#444}.g{stroke:#ddd}</style><rect width="100%" height="100%" fill="#fff"/>${parts.join("")}</svg>\n`);
  }

  close() { this.observer.disconnect(); }
}

function bounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  return [low, high];
}

function levels(low, high, angles) {
  if (angles) return Array.from({ length: (high - low) / 45 + 1 }, (_, n) => low + 45 * n);
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}
