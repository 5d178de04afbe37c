// One photo at full size.

import { h } from "./dom.js";
import { Panel, picker, pickerKey } from "./panel.js";
import { settings, watch } from "./settings.js";
import { drawPeople, drawTruth, pick } from "./skeleton.js";
import { Stage } from "./stage.js";

export class PhotoView {
  constructor(source, r, index, reasons, flags, grid, say) {
    Object.assign(this, { source, r, index, grid, say });
    this.focus = { person: null, joint: null };
    this.people = [];
    this.image = h("img", { alt: "", draggable: "false" });
    if (!index.upright) this.image.classList.add("stored");
    this.image.addEventListener("load", () => this.#loaded());
    this.image.addEventListener("error", () => this.image.classList.add("gone"));
    this.act = picker(this, index, flags);
    this.stage = new Stage(this.image, 1, 1, (context, view) => this.#paint(context, view), (x, y) => this.#tap(x, y));
    this.panel = new Panel(index, reasons, flags, this.act);
    this.element = h("section", { class: "single" }, this.stage.element, this.panel.element);
    this.unwatch = watch(() => this.changed());
  }

  async open(place) {
    this.place = place;
    this.focus = { person: null, joint: null };
    this.people = [];
    this.truth = null;
    this.image.classList.remove("gone");
    const address = this.source.photo(this.r, place);
    if (address) this.image.src = address;
    else this.image.removeAttribute("src");
    this.image.classList.toggle("gone", !address);
    const [w, t] = [this.index.width[place], this.index.height[place]];
    if (w && t) this.stage.resize(w, t);
    const [row] = await this.source.people(this.r, [place]).catch((error) => { this.say(error.message); return []; });
    if (this.place !== place || !row) return;
    this.people = row.people;
    this.truth = row.truth ?? null;
    if (!w) this.stage.resize(Math.max(1, ...row.people.map(({ b }) => b[2])), Math.max(1, ...row.people.map(({ b }) => b[3])));
    this.changed();
    const next = this.grid.order[this.grid.focus + 1];
    if (next !== undefined && !this.source.static) new Image().src = this.source.photo(this.r, next);
  }

  #loaded() {
    if (!this.index.width[this.place]) this.stage.resize(this.image.naturalWidth, this.image.naturalHeight);
    this.stage.redraw();
  }

  changed() {
    if (this.place === undefined) return;
    const [w, t] = [this.index.width[this.place], this.index.height[this.place]];
    const facts = [w ? `${w} × ${t}` : "", `${this.grid.focus + 1} of ${this.grid.order.length}`].filter(Boolean).join(" · ");
    this.panel.show(this.people, this.truth, { title: this.index.names[this.place], facts, image: this.index.ids[this.place] }, this.focus);
    this.stage.redraw();
  }

  #paint(context, view) {
    if (this.truth) drawTruth(context, this.truth, this.index.skeletons, view, this.people.find(({ id }) => id === this.focus.person)?.match);
    drawPeople(context, this.people, this.index.skeletons, view, this.focus);
  }

  #tap(x, y) {
    const found = pick(this.people, this.stage.view, x, y);
    if (this.wantsOther) return this.wantsOther(found?.person);
    this.focus = { person: found?.person.id ?? null, joint: found?.joint ?? null };
    this.changed();
  }

  /** The other person of "two are one": the only other one, or the next that is clicked. */
  other(person) {
    const others = this.people.filter((one) => one.id !== person.id);
    if (others.length < 2) return Promise.resolve(others[0]);
    this.say("Click the other person.");
    return new Promise((done) => { this.wantsOther = (found) => { this.wantsOther = null; done(found?.id === person.id ? null : found); }; });
  }

  step(by) {
    const next = this.grid.next(by);
    if (next !== undefined) { this.open(next); this.moved?.(next); }
  }

  key(event) {
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else return this.stage.key(event) || pickerKey(event, this, this.act, this.index);
    return true;
  }

  close() { this.unwatch(); this.stage.close(); this.image.removeAttribute("src"); }
}
