// A clip with its people drawn over every frame, its tracks on a timeline, and plots of how joints move.

import { button, h, seconds } from "./dom.js";
import { Panel, picker, pickerKey } from "./panel.js";
import { Plot } from "./plot.js";
import { settings, watch } from "./settings.js";
import { drawPeople, drawTrails, drawTruth, pick } from "./skeleton.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";

const TRAIL = 2; // seconds
const PANEL_EVERY = 200; // ms between changes of the panel while the clip plays
const SPEEDS = [0.1, 0.25, 0.5, 1, 2];

export class ClipView {
  constructor(source, r, index, meta, flags, say) {
    Object.assign(this, { source, r, index, flags, say });
    this.place = 0;
    this.focus = { person: null, joint: null };
    this.people = [];
    this.tracks = new Map(index.tracks.map((track) => [track.id, track]));
    this.act = picker(this, index, flags);
    this.video = h("video", { muted: true, playsinline: true, preload: "auto", disablepictureinpicture: true });
    this.video.muted = true;
    const [w, t] = index.length ? [index.width[0], index.height[0]] : [1, 1];
    this.stage = new Stage(this.video, w || 1, t || 1, (context, view) => this.#paint(context, view), (x, y) => this.#tap(x, y));
    this.panel = new Panel(index, meta.reasons, flags, this.act);
    this.timeline = new Timeline(index, meta.moments, flags, {
      seek: (time) => this.seek(this.placeAt(time)),
      pick: (id) => this.#follow(id),
    });
    this.plot = new Plot(source, r, index, (time) => this.seek(this.placeAt(time)), say);
    this.timeline.ranged = (from, to) => this.plot.range(from, to);
    this.play = h("button", { type: "button", class: "play", title: "Play (Space)", "aria-label": "Play", onclick: () => this.toggle() });
    this.clock = h("output", { class: "clock" });
    this.speed = h("select", { "aria-label": "Speed", onchange: () => { this.video.playbackRate = Number(this.speed.value); } },
      SPEEDS.map((rate) => h("option", { value: rate, text: `${rate}×` })));
    this.speed.value = "1";
    this.notice = h("p", { class: "notice", hidden: true, role: "status" });
    this.stage.element.append(this.notice);
    const transport = h("div", { class: "transport" }, this.play,
      button("‹", null, () => this.step(-1), { title: "Frame back (←)", "aria-label": "Frame back" }),
      button("›", null, () => this.step(1), { title: "Frame on (→)", "aria-label": "Frame on" }),
      this.clock, this.speed,
      button("⟨ moment", "[", () => this.moment(-1)), button("moment ⟩", "]", () => this.moment(1)),
      h("span", { class: "grow" }), this.plot.controls);
    this.element = h("section", { class: "clip" }, h("div", { class: "single" }, this.stage.element, this.panel.element),
      transport, this.timeline.element, this.plot.element);
    this.unwatch = watch(() => this.changed());
    this.#start();
  }

  #start() {
    const { video } = this;
    video.addEventListener("loadedmetadata", () => { this.ready = true; this.#ended(); this.seek(this.place); });
    video.addEventListener("error", () => this.#failed());
    for (const name of ["play", "pause", "ended"]) video.addEventListener(name, () => this.#ended());
    const frame = (_, { mediaTime }) => {
      const place = this.placeAt(mediaTime);
      // On the way to a frame, others may still come by.
      if (!video.seeking && (this.sought === undefined || this.sought === place)) this.#at(place);
      this.again = video.requestVideoFrameCallback(frame);
    };
    if ("requestVideoFrameCallback" in video) this.again = video.requestVideoFrameCallback(frame);
    else this.#poll();
    const address = this.index.clip && this.source.clip(this.r);
    if (address) video.src = address;
    else this.#without();
    this.stage.fit();
    this.#at(0);
  }

  /** Browsers without requestVideoFrameCallback: look at the time whenever the screen is drawn. */
  #poll() {
    const look = () => { if (!this.closed) { if (this.ready) this.#at(this.placeAt(this.video.currentTime)); requestAnimationFrame(look); } };
    requestAnimationFrame(look);
  }

  async #failed() {
    if (this.converted) return this.#without("the clip cannot be played");
    this.converted = true;
    const total = this.index.times.at(-1) || 0;
    try {
      this.#tell("This browser does not play the clip; converting it …");
      this.video.src = await this.source.proxy(this.r, (done) => this.#tell(`This browser does not play the clip; converting it … ${total ? Math.round((100 * done) / total) : 0} %`));
      this.#tell("");
    } catch (error) {
      this.#without(error.message);
    }
  }

  /** Only the people, on black, by a clock of our own. */
  #without(reason = "the clip is not there; its people are drawn on black") {
    this.#tell(reason);
    this.video.hidden = false;
    this.ready = false;
  }

  #tell(text) { this.notice.textContent = text; this.notice.hidden = !text; }

  /** The last frame that is shown at or before a time. */
  placeAt(time) {
    const { times } = this.index;
    let [low, high] = [0, times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= time + 0.001) low = middle; else high = middle - 1;
    }
    return low;
  }

  /** Show a frame: players are sent to the middle of the time it is shown. */
  seek(place) {
    const { times } = this.index;
    const wanted = Math.min(Math.max(place, 0), times.length - 1);
    this.sought = this.video.paused ? wanted : undefined;
    this.#at(wanted);
    if (!this.ready) return;
    const next = wanted + 1 < times.length ? times[wanted + 1] : times[wanted] + this.#usual();
    this.video.currentTime = times[wanted] + Math.min((next - times[wanted]) / 2, this.#usual() / 2);
  }

  #usual() {
    const { times } = this.index;
    return times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : 0.04;
  }

  step(by) {
    this.pause();
    this.seek(this.place + by);
  }

  toggle() {
    if (!this.ready) return this.timer ? this.pause() : this.#tick();
    if (!this.video.paused) return this.video.pause();
    this.sought = undefined;
    this.video.play().catch((error) => this.say(error.message));
  }

  pause() {
    this.video.pause();
    clearTimeout(this.timer);
    this.timer = null;
    this.#ended();
  }

  #tick() {
    const { times } = this.index;
    const next = this.place + 1 < times.length ? this.place + 1 : 0;
    this.#at(next);
    const wait = next + 1 < times.length ? times[next + 1] - times[next] : this.#usual();
    this.timer = setTimeout(() => this.#tick(), (1000 * wait) / Number(this.speed.value));
    this.#ended();
  }

  get playing() { return this.ready ? !this.video.paused && !this.video.ended : Boolean(this.timer); }

  #ended() {
    this.play.classList.toggle("playing", this.playing);
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    if (!this.playing) this.changed();
  }

  #at(place) {
    this.place = place;
    const row = this.source.frame(this.r, place, () => { if (this.place === place && !this.closed) this.#at(place); });
    if (place + 128 < this.index.length) this.source.expect(this.r, place + 128);
    this.people = (row?.people ?? []).toSorted((a, b) => (a.t ?? Infinity) - (b.t ?? Infinity));
    this.truth = row?.truth ?? null;
    this.#refocus();
    this.stage.redraw();
    this.timeline.at(this.index.times[place], this.focus.track);
    this.plot.at(place);
    this.clock.textContent = `${seconds(this.index.times[place])}  frame ${this.index.frames[place]}`;
    const now = performance.now();
    if (!this.playing || now - (this.told ?? 0) > PANEL_EVERY) { this.told = now; this.#tellPanel(); }
  }

  /** Who was picked stays picked by track. */
  #refocus() {
    if (!this.focus.track) return;
    this.focus.person = this.people.find((person) => person.t === this.focus.track)?.id ?? null;
  }

  #tellPanel() {
    const facts = `frame ${this.index.frames[this.place]} · ${this.place + 1} of ${this.index.length}`;
    this.panel.show(this.people, this.truth, { title: this.index.clipName || this.index.file, facts, image: this.index.ids[this.place] }, this.focus);
  }

  changed() {
    if (this.closed) return;
    const picked = this.people.find((person) => person.id === this.focus.person);
    if (picked) this.focus.track = picked.t;
    this.stage.redraw();
    this.#tellPanel();
    this.timeline.at(this.index.times[this.place], this.focus.track);
    this.plot.show(this.focus.track ?? null, this.focus.joint, this.place);
  }

  #paint(context, view) {
    if (settings.trails) drawTrails(context, this.#trails(), view);
    if (this.truth) drawTruth(context, this.truth, this.index.skeletons, view);
    const own = (person) => (settings.boxes && this.tracks.get(person.t)?.color) || null;
    drawPeople(context, this.people, this.index.skeletons, view, this.focus, own);
    this.#ids(context, view);
  }

  #ids(context, view) {
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const { t, b } of this.people) {
      if (!t || settings.scores) continue; // with the scores it stands beside them
      const [x, y] = [view.x + ((b[0] + b[2]) / 2) * view.sx, Math.max(view.y + b[1] * view.sy - 8, 12)];
      context.lineWidth = 3.5;
      context.strokeStyle = "rgba(12,14,16,.8)";
      context.strokeText(t, x, y);
      context.fillStyle = this.tracks.get(t)?.color ?? "#fff";
      context.fillText(t, x, y);
    }
    context.textAlign = "start";
  }

  #trails() {
    const ways = new Map();
    const start = this.index.times[this.place] - TRAIL;
    for (let place = this.place; place >= 0 && this.index.times[place] >= start; place--) {
      const row = this.source.frame(this.r, place, () => {});
      if (!row) break;
      for (const { t, b } of row.people) {
        if (!t) continue;
        if (!ways.has(t)) ways.set(t, { points: [], tint: this.tracks.get(t)?.color ?? "#fff" });
        ways.get(t).points.unshift([(b[0] + b[2]) / 2, b[3]]);
      }
    }
    return [...ways.values()];
  }

  #tap(x, y) {
    const found = pick(this.people, this.stage.view, x, y);
    if (this.wantsOther) return this.wantsOther(found?.person);
    this.focus = { person: found?.person.id ?? null, joint: found?.joint ?? null, track: found?.person.t };
    this.changed();
  }

  #follow(id) {
    if (this.wantsOther) return this.wantsOther({ t: id, id });
    this.focus = { person: null, joint: this.focus.joint, track: id };
    this.#refocus();
    this.changed();
  }

  other(person) {
    this.say("Click the other person, in the picture or on the timeline.");
    return new Promise((done) => { this.wantsOther = (found) => {
      this.wantsOther = null;
      done(found && (found.t !== person.t || found.id !== person.id) ? found : null);
    }; });
  }

  /** The next suspicious moment, of the picked person or of anybody. */
  moment(step) {
    const { track } = this.focus;
    const all = this.index.tracks.filter(({ id }) => !track || id === track).flatMap(({ id, moments }) => moments.map((moment) => [...moment, id]));
    all.sort((a, b) => a[0] - b[0]);
    const found = step > 0 ? all.find(([at]) => at > this.place) : all.findLast(([at]) => at < this.place);
    if (!found) return this.say(`No suspicious moment ${track ? `of #${track} ` : ""}${step > 0 ? "after" : "before"} this one.`);
    this.pause();
    this.seek(found[0]);
    this.say(this.timeline.words(found, found[4]));
  }

  key(event) {
    const second = (by) => this.seek(this.placeAt(this.index.times[this.place] + by));
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowRight") event.shiftKey ? second(1) : this.step(1);
    else if (event.key === "ArrowLeft") event.shiftKey ? second(-1) : this.step(-1);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.index.length - 1);
    else if (event.key === "[") this.moment(-1);
    else if (event.key === "]") this.moment(1);
    else if (event.key === "p" || event.key === "P") this.plot.next();
    else if (event.key === "e") this.plot.saveCsv();
    else if (event.key === "E") this.plot.saveSvg();
    else if (event.key === "v" || event.key === "V") {
      this.speed.selectedIndex = (this.speed.selectedIndex + 1) % SPEEDS.length;
      this.speed.dispatchEvent(new Event("change"));
    }
    else return this.stage.key(event) || pickerKey(event, this, this.act, this.index);
    return true;
  }

  close() {
    this.closed = true;
    this.pause();
    if (this.again) this.video.cancelVideoFrameCallback(this.again);
    this.unwatch();
    this.stage.close();
    this.timeline.close();
    this.plot.close();
    this.video.removeAttribute("src");
    this.video.load();
  }
}
