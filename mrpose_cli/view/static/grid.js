// All photos as small pictures. Only what is seen is in the page, however many there are.

import { color, fitted, h, plural, slider } from "./dom.js";
import { drawPeople, drawTruth } from "./skeleton.js";
import { settings, watch } from "./settings.js";

const GAP = 8;
const CAPTION = 26;
const SETTLE = 70; // ms after the last scrolling at which pictures are asked for
const AT_ONCE = 200; // photos whose people are asked for together
const KEPT = 4000; // photos whose people are kept
const ROUNDING = 1e-6; // of scores in 32 bits

const ORDERS = [
  { key: "suspicion", text: "Suspicious first", down: true },
  { key: "joint", text: "Lowest joint score", down: false },
  { key: "score", text: "Lowest person score", down: false },
  { key: "oks", text: "Lowest OKS", down: false, truth: true },
  { key: "count", text: "Most people", down: true },
  { key: "size", text: "Largest", down: true },
  { key: "name", text: "Name", down: false },
  { key: "file", text: "As in the file", down: false },
];

export class Grid {
  constructor(source, r, index, reasons, flags, open) {
    Object.assign(this, { source, r, index, reasons, flags, open });
    this.known = new Map(); // people by photo
    this.asked = new Set();
    this.tiles = new Map(); // by place in the order
    this.spare = [];
    this.side = 200;
    this.focus = 0;
    this.filter = { least: 0, most: null, score: 1, joint: 1, reasons: 0, flagged: false, text: "" };
    this.sort = ORDERS[0];
    this.reverse = false;
    this.space = h("div", { class: "space" });
    this.scroller = h("div", { class: "scroller", tabindex: 0, role: "grid", "aria-label": "Photos",
      onscroll: () => this.#scrolled() }, this.space);
    this.shown = h("span", { class: "shown", role: "status" });
    this.element = h("section", { class: "grid" }, this.#bar(), this.scroller);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.scroller);
    this.unwatch = watch(() => this.repaint());
    this.arrange();
  }

  #bar() {
    const change = (name, value) => { this.filter[name] = value; this.arrange(); };
    const number = (name, label, placeholder) => h("label", {}, h("span", { text: label }),
      h("input", { type: "number", min: 0, placeholder, "aria-label": label, oninput: (event) =>
        change(name, event.target.value === "" ? (name === "least" ? 0 : null) : Number(event.target.value)) }));
    this.select = h("select", { "aria-label": "Sort", onchange: () => {
      this.sort = ORDERS.find(({ key }) => key === this.select.value);
      this.reverse = false;
      this.arrange();
    } }, ORDERS.filter(({ truth, key }) => (!truth || this.index.truth) && (this.index.scored || !["joint", "score"].includes(key)))
      .map(({ key, text }) => h("option", { value: key, text })));
    this.search = h("input", { type: "search", placeholder: "Name", "aria-label": "Name", oninput: () => change("text", this.search.value.toLowerCase()) });
    const counts = this.reasons.map((_, bit) => this.index.reasons.reduce((sum, bits) => sum + ((bits >> bit) & 1), 0));
    const chips = this.reasons.map(({ text }, bit) => counts[bit] > 0 && h("button", { type: "button", class: "chip", "aria-pressed": "false",
      onclick: (event) => {
        this.filter.reasons ^= 1 << bit;
        event.currentTarget.setAttribute("aria-pressed", String(Boolean(this.filter.reasons & (1 << bit))));
        this.arrange();
      } }, h("span", { text }), h("b", { text: counts[bit].toLocaleString("en") })));
    this.flagged = h("button", { type: "button", class: "chip flagchip", "aria-pressed": "false", onclick: () => {
      this.filter.flagged = !this.filter.flagged;
      this.flagged.setAttribute("aria-pressed", String(this.filter.flagged));
      this.arrange();
    } }, h("span", { text: "⚑ flagged" }));
    const bound = (name, label) => this.index.scored && slider(label, { min: 0, max: 1, step: 0.01, value: 1, title: `The lowest ${name === "joint" ? "joint score" : "score"} of a photo's people`, oninput: (value) => change(name, value) });
    return h("div", { class: "bar" },
      h("div", { class: "row" }, this.select,
        h("button", { type: "button", class: "icon", title: "Reverse (R)", "aria-label": "Reverse", text: "⇅", onclick: () => this.turn() }),
        this.search, h("span", { class: "pair" }, number("least", "People", "min"), h("span", { text: "–" }), number("most", "at most", "max")),
        bound("score", "Person ≤"), bound("joint", "Joint ≤"),
        slider("Size", { min: 110, max: 420, step: 10, value: this.side, digits: 0, oninput: (value) => { this.side = value; this.layout(); } }),
        this.shown),
      h("div", { class: "row chips" }, chips, this.source.static ? null : this.flagged));
  }

  turn() { this.reverse = !this.reverse; this.arrange(); }

  /** Sort and filter, and start at the top. */
  arrange() {
    const { index, filter } = this;
    const chosen = new Uint32Array(index.length);
    let count = 0;
    for (let i = 0; i < index.length; i++) {
      if (index.count[i] < filter.least || (filter.most !== null && index.count[i] > filter.most)) continue;
      if (filter.score < 1 && !(index.score[i] <= filter.score + ROUNDING)) continue;
      if (filter.joint < 1 && !(index.joint[i] <= filter.joint + ROUNDING)) continue;
      if (filter.reasons && (index.reasons[i] & filter.reasons) === 0) continue;
      if (filter.text && !index.names[i].toLowerCase().includes(filter.text)) continue;
      if (filter.flagged && !this.flags.count(index.file, index.ids[i])) continue;
      chosen[count++] = i;
    }
    const sign = this.sort.down !== this.reverse ? -1 : 1;
    const order = chosen.subarray(0, count);
    const { key } = this.sort;
    if (key === "name") {
      const collator = new Intl.Collator("en", { numeric: true });
      this.order = Uint32Array.from([...order].sort((a, b) => sign * collator.compare(index.names[a], index.names[b])));
    } else if (key === "file") this.order = sign < 0 ? order.reverse() : order;
    else {
      const value = key === "size" ? (i) => index.width[i] * index.height[i] : (i) => index[key][i];
      const last = sign > 0 ? Infinity : -Infinity;
      const values = new Float64Array(index.length);
      for (const i of order) values[i] = Number.isNaN(value(i)) ? last : value(i);
      this.order = order.sort((a, b) => sign * (values[a] - values[b]) || a - b);
    }
    this.shown.textContent = count === index.length ? plural(count, "photo") : `${count.toLocaleString("en")} of ${plural(index.length, "photo")}`;
    this.focus = 0;
    this.scroller.scrollTop = 0;
    this.layout();
  }

  layout() {
    const width = this.scroller.clientWidth - GAP;
    if (width <= 0) return;
    const middle = Math.floor(this.scroller.scrollTop / (this.high || 1)) * (this.columns || 1);
    this.columns = Math.max(Math.floor(width / (this.side + GAP)), 1);
    this.wide = Math.floor(width / this.columns) - GAP;
    this.picture = Math.round(this.wide * 0.75);
    this.high = this.picture + CAPTION + GAP;
    this.space.style.height = `${Math.ceil(this.order.length / this.columns) * this.high + GAP}px`;
    this.scroller.scrollTop = Math.floor(middle / this.columns) * this.high;
    for (const place of [...this.tiles.keys()]) this.#drop(place);
    this.render();
    this.settle();
  }

  #scrolled() {
    if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => { this.waiting = false; this.render(); });
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), SETTLE);
  }

  /** Put tiles where the window is. */
  render() {
    const top = this.scroller.scrollTop;
    const first = Math.max(Math.floor(top / this.high) - 1, 0) * this.columns;
    const last = Math.min((Math.ceil((top + this.scroller.clientHeight) / this.high) + 1) * this.columns, this.order.length);
    for (const place of [...this.tiles.keys()]) if (place < first || place >= last) this.#drop(place);
    for (let place = first; place < last; place++) if (!this.tiles.has(place)) this.#put(place);
  }

  #drop(place) {
    const tile = this.tiles.get(place);
    this.tiles.delete(place);
    tile.element.hidden = true;
    this.spare.push(tile);
  }

  #put(place) {
    const tile = this.spare.pop() ?? this.#make();
    const i = this.order[place];
    Object.assign(tile, { place, i, painted: false });
    tile.element.hidden = false;
    tile.element.style.transform = `translate(${GAP + (place % this.columns) * (this.wide + GAP)}px, ${GAP + Math.floor(place / this.columns) * this.high}px)`;
    tile.element.style.width = `${this.wide}px`;
    tile.frame.style.height = `${this.picture}px`;
    tile.name.textContent = this.index.names[i];
    tile.element.setAttribute("aria-label", this.index.names[i]);
    tile.element.classList.toggle("focused", place === this.focus);
    const [score, oks] = [this.index.score[i], this.index.oks?.[i]];
    const fact = oks !== undefined ? (Number.isNaN(oks) ? "" : `OKS ${oks.toFixed(2)}`) : this.index.scored && !Number.isNaN(score) ? score.toFixed(2) : "";
    tile.facts.textContent = [this.index.count[i], fact].filter((part) => part !== "").join(" · ");
    tile.mark.hidden = this.index.reasons[i] === 0;
    tile.mark.title = this.reasons.filter((_, bit) => this.index.reasons[i] & (1 << bit)).map(({ text }) => text).join("; ");
    tile.flag.hidden = !this.flags.count(this.index.file, this.index.ids[i]);
    tile.image.removeAttribute("src");
    tile.image.classList.remove("here", "gone");
    tile.canvas.hidden = true;
    this.tiles.set(place, tile);
  }

  #make() {
    const tile = {
      image: h("img", { alt: "", decoding: "async", draggable: "false" }), canvas: h("canvas"), name: h("span", { class: "name" }),
      facts: h("span", { class: "facts" }), mark: h("i", { class: "mark" }), flag: h("span", { class: "flagged", text: "⚑" }),
    };
    tile.image.addEventListener("load", () => tile.image.classList.add("here"));
    tile.image.addEventListener("error", () => tile.image.classList.add("gone"));
    tile.frame = h("div", { class: "frame" }, tile.image, tile.canvas);
    tile.element = h("figure", { class: "tile", onclick: () => { this.move(tile.place); this.open(tile.i); } },
      tile.frame, h("figcaption", {}, tile.mark, tile.name, tile.flag, tile.facts));
    this.space.append(tile.element);
    return tile;
  }

  /** Fetch and draw what stands still. */
  async settle() {
    const wanted = [];
    for (const tile of this.tiles.values()) {
      if (!tile.image.hasAttribute("src")) {
        const address = this.source.thumb(this.r, tile.i);
        if (address) tile.image.src = address;
        else tile.image.classList.add("gone");
      }
      if (this.known.has(tile.i)) this.#paint(tile);
      else if (!this.asked.has(tile.i)) wanted.push(tile.i);
    }
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const part = wanted.slice(at, at + AT_ONCE);
      part.forEach((i) => this.asked.add(i));
      const rows = await this.source.people(this.r, part).catch(() => []);
      part.forEach((i, place) => { this.asked.delete(i); if (rows[place]) this.known.set(i, rows[place]); });
      while (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
    }
    if (wanted.length) for (const tile of this.tiles.values()) if (this.known.has(tile.i)) this.#paint(tile);
  }

  repaint() {
    for (const tile of this.tiles.values()) {
      tile.painted = false;
      tile.flag.hidden = !this.flags.count(this.index.file, this.index.ids[tile.i]);
      if (this.known.has(tile.i)) this.#paint(tile);
    }
  }

  #paint(tile) {
    if (tile.painted) return;
    tile.painted = true;
    tile.canvas.hidden = false;
    const { people, truth } = this.known.get(tile.i);
    const [w, t] = [this.index.width[tile.i] || this.#extent(people, 2), this.index.height[tile.i] || this.#extent(people, 3)];
    const scale = Math.min(this.wide / w, this.picture / t);
    const view = { x: (this.wide - w * scale) / 2, y: (this.picture - t * scale) / 2, sx: scale, sy: scale };
    const context = fitted(tile.canvas, this.wide, this.picture);
    if (truth) drawTruth(context, truth, this.index.skeletons, view);
    drawPeople(context, people, this.index.skeletons, view);
  }

  #extent(people, side) { return Math.max(1, ...people.map(({ b }) => b[side])); }

  /** Move the mark to a place and bring it into view. */
  move(place) {
    if (!this.order.length) return;
    this.tiles.get(this.focus)?.element.classList.remove("focused");
    this.focus = Math.min(Math.max(place, 0), this.order.length - 1);
    const top = Math.floor(this.focus / this.columns) * this.high;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + this.high + GAP > scrollTop + clientHeight) this.scroller.scrollTop = top + this.high + GAP - clientHeight;
    this.render();
    this.tiles.get(this.focus)?.element.classList.add("focused");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), SETTLE);
  }

  /** The photo `step` places after the one that has the mark, which takes it; undefined at the end. */
  next(step) {
    const place = this.focus + step;
    if (place < 0 || place >= this.order.length) return undefined;
    this.move(place);
    return this.order[place];
  }

  key(event) {
    const page = Math.max(Math.floor(this.scroller.clientHeight / this.high), 1) * this.columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page,
      Home: -this.order.length, End: this.order.length };
    if (event.key in steps) this.move(this.focus + steps[event.key]);
    else if (event.key === "Enter" && this.order.length) this.open(this.order[this.focus]);
    else if (event.key === "/") this.search.focus();
    else if (event.key === "f" || event.key === "F") this.flagged.click();
    else if (event.key === "r" || event.key === "R") this.turn();
    else if (event.key === "o" || event.key === "O") {
      this.select.selectedIndex = (this.select.selectedIndex + 1) % this.select.options.length;
      this.select.dispatchEvent(new Event("change"));
    } else return false;
    return true;
  }

  close() { this.observer.disconnect(); this.unwatch(); clearTimeout(this.timer); }
}
