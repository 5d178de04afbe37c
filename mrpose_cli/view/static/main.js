// The page: what is above, which view is below, and the keys.

import { ClipView } from "./clip.js";
import { button, h, plural, slider } from "./dom.js";
import { Flags } from "./flags.js";
import { Grid } from "./grid.js";
import { PhotoView } from "./photo.js";
import { set, settings } from "./settings.js";
import { openSource } from "./source.js";

const TOGGLES = [
  { name: "skeletons", key: "s", text: "Skeletons" },
  { name: "boxes", key: "b", text: "Boxes" },
  { name: "names", key: "j", text: "Names" },
  { name: "scores", key: "c", text: "Scores" },
  { name: "truth", key: "g", text: "Ground truth", when: (index) => index.truth },
  { name: "trails", key: "t", text: "Trails", when: (index) => index.kind === "clip" },
];
const KEYS = [
  ["Everywhere", [["S B J C", "skeletons, boxes, joint names, scores"], ["G T", "ground truth, trails"], [", .", "lower, higher joint threshold"], ["< >", "the same for people"], ["N", "next result"], ["D", "dark or light"], ["?", "this list"]]],
  ["Grid", [["← → ↑ ↓", "move"], ["Enter", "open"], ["O", "next order"], ["R", "reverse"], ["F", "flagged only"], ["/ Tab", "search, filters"]]],
  ["Photo", [["← →", "photo before, after"], ["Esc", "back to the grid"], ["+ − 0", "zoom, fit"], ["M", "measure between two clicks"], ["Tab", "next person"], ["↑ ↓", "joint"]]],
  ["Clip", [["Space", "play, pause"], ["← →", "a frame back, on"], ["Shift ← →", "a second back, on"], ["[ ]", "suspicious moment before, after"], ["Tab ↑ ↓", "person, joint"], ["P", "next plot"], ["E Shift+E", "save it as CSV, SVG"], ["V", "next speed"]]],
  ["Flags", [["1", "wrong joint"], ["2", "left and right swapped"], ["3", "nobody there"], ["4", "two are one"], ["Shift", "for the whole track"]]],
];

class Page {
  constructor() {
    this.source = openSource();
    this.app = document.getElementById("app");
    this.toast = h("div", { class: "toast", role: "status", hidden: true });
    this.flags = new Flags(this.source, () => this.#flagged(), (words) => this.say(words));
  }

  async start() {
    this.meta = await this.source.meta();
    settings.threshold = this.meta.threshold;
    document.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("hashchange", () => this.#follow());
    await this.flags.load().catch((error) => this.say(error.message));
    const wanted = Number(new URLSearchParams(location.hash.slice(1)).get("r") ?? 0);
    await this.open(wanted < this.meta.results.length ? wanted : 0);
  }

  async open(r) {
    this.view?.close();
    this.grid?.close();
    this.view = this.grid = this.photo = null;
    this.r = r;
    this.app.replaceChildren(h("p", { class: "loading", text: "Reading …" }));
    let index;
    try {
      index = await this.source.index(r);
    } catch (error) {
      this.index = null;
      return this.app.replaceChildren(this.#top(), h("p", { class: "loading problem", text: error.message }), this.toast);
    }
    this.index = index;
    document.title = `${index.clipName || this.meta.results[r]} · mrpose`;
    if (index.drawn) set("skeletons", false);
    settings.people = index.truth ? this.meta.sure : 0;
    this.main = h("main");
    this.app.replaceChildren(this.#top(), this.#notes(), this.main, this.toast);
    if (index.kind === "clip") {
      this.view = new ClipView(this.source, r, index, this.meta, this.flags, (words) => this.say(words));
      this.main.append(this.view.element);
      this.view.changed();
    } else {
      this.grid = this.view = new Grid(this.source, r, index, this.meta.reasons, this.flags, (i) => { location.hash = `r=${r}&photo=${i}`; });
      this.main.append(this.grid.element);
      this.grid.scroller.focus();
      this.#follow();
    }
    requestAnimationFrame(() => performance.mark("shown")); // the tests look how long that took
  }

  /** Show the photo that the address names, or the grid. */
  #follow() {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("photo");
    if (!this.grid) return;
    if (wanted === null || !(Number(wanted) < this.index.length)) {
      if (this.photo) { this.photo.close(); this.photo.element.remove(); this.photo = null; }
      this.view = this.grid;
      this.grid.element.hidden = false;
      this.grid.layout();
      this.grid.scroller.focus();
      return;
    }
    if (!this.photo) {
      this.photo = new PhotoView(this.source, this.r, this.index, this.meta.reasons, this.flags, this.grid, (words) => this.say(words));
      this.photo.moved = (i) => history.replaceState(null, "", `#r=${this.r}&photo=${i}`);
      this.main.append(this.photo.element);
      this.grid.element.hidden = true;
    }
    this.view = this.photo;
    if (this.photo.place !== Number(wanted)) this.photo.open(Number(wanted));
  }

  #top() {
    const { index, meta } = this;
    const pick = h("select", { "aria-label": "Result", onchange: () => { location.hash = `r=${pick.value}`; this.open(Number(pick.value)); } },
      meta.results.map((name, r) => h("option", { value: r, text: name })));
    pick.value = this.r;
    this.threshold = index?.scored && slider("Joints ≥", { min: 0, max: 1, step: 0.01, value: settings.threshold, oninput: (value) => set("threshold", value) });
    const people = index?.scored && slider("People ≥", { min: 0, max: 1, step: 0.01, value: settings.people, oninput: (value) => set("people", value) });
    this.people = people;
    this.toggles = index ? TOGGLES.filter(({ when }) => !when || when(index)).map((one) =>
      button(one.text, one.key.toUpperCase(), () => this.#toggle(one.name), { class: "toggle", "data-name": one.name, "aria-pressed": String(settings[one.name]) })) : [];
    return h("header", { class: "top" },
      h("a", { class: "brand", href: "#", text: "mrpose", onclick: (event) => { event.preventDefault(); location.hash = `r=${this.r}`; } }),
      meta.results.length > 1 ? pick : h("span", { class: "file", text: meta.results[0] }),
      h("span", { class: "grow" }), people, this.threshold, h("span", { class: "toggles" }, this.toggles),
      h("button", { type: "button", class: "icon", title: "Dark or light (D)", "aria-label": "Dark or light", text: "◐", onclick: () => this.#theme() }),
      h("button", { type: "button", class: "icon", title: "Keys (?)", "aria-label": "Keys", text: "?", onclick: () => this.#help() }));
  }

  #notes() {
    const notes = [...this.index.notes];
    if (this.source.static && this.meta.left) notes.push(this.meta.left);
    if (this.index.followed) notes.push("The result has no tracks; these were made for this page (mrpose video --track writes them)");
    if (this.index.drawn) notes.push("Skeletons are in the pictures already, so none are drawn (S draws them)");
    return notes.length ? h("p", { class: "notes" }, h("span", { text: `${notes.join(". ")}.` }),
      h("button", { type: "button", class: "icon", "aria-label": "Close", text: "×", onclick: (event) => event.currentTarget.parentElement.remove() })) : "";
  }

  #toggle(name) {
    set(name, !settings[name]);
    const mark = this.toggles.find((one) => one.dataset.name === name);
    mark?.setAttribute("aria-pressed", String(settings[name]));
  }

  #theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    this.view?.changed?.();
    this.view?.repaint?.();
  }

  #help() {
    if (this.help?.open) return this.help.close();
    this.help = h("dialog", { class: "help", onclick: () => this.help.close(), onclose: () => this.help.remove() },
      KEYS.map(([title, keys]) => h("section", {}, h("h2", { text: title }),
        h("dl", {}, keys.map(([key, text]) => [h("dt", {}, key.split(" ").map((one) => h("kbd", { text: one }))), h("dd", { text })])))));
    document.body.append(this.help);
    this.help.showModal();
  }

  #flagged() {
    this.grid?.repaint();
    if (this.view && this.view !== this.grid) this.view.changed();
  }

  say(words) {
    this.toast.textContent = words;
    this.toast.hidden = false;
    clearTimeout(this.hush);
    this.hush = setTimeout(() => { this.toast.hidden = true; }, 4000);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const typing = target.matches("input[type=search], input[type=number]");
    if (event.key === "Escape") {
      if (typing) return target.blur();
      if (this.help?.open) return;
      if (this.photo) location.hash = `r=${this.r}`;
      else if (this.view?.focus) { this.view.act?.select(null); }
      return;
    }
    if (typing || this.help?.open) return;
    if (target.matches("select, input[type=range]") && event.key.startsWith("Arrow")) return;
    if (target.matches("button, select, input[type=checkbox]") && (event.key === " " || event.key === "Enter")) return;
    if (this.#own(event) || this.view?.key?.(event)) event.preventDefault();
  }

  #own(event) {
    const key = event.key.toLowerCase();
    const toggle = TOGGLES.find((one) => one.key === key);
    if (key === "?") this.#help();
    else if (key === "d") this.#theme();
    else if (key === "," || key === ".") {
      const next = Math.round(Math.min(Math.max(settings.threshold + (key === "." ? 0.05 : -0.05), 0), 1) * 100) / 100;
      this.threshold?.set?.(next);
      set("threshold", next);
    } else if (key === "<" || key === ">") {
      const next = Math.round(Math.min(Math.max(settings.people + (key === ">" ? 0.05 : -0.05), 0), 1) * 100) / 100;
      this.people?.set?.(next);
      set("people", next);
    } else if (key === "n" && this.meta.results.length > 1) {
      location.hash = `r=${(this.r + 1) % this.meta.results.length}`;
      this.open((this.r + 1) % this.meta.results.length);
    } else if (toggle && (!toggle.when || toggle.when(this.index ?? {}))) this.#toggle(toggle.name);
    else return false;
    return true;
  }
}

const page = new Page();
page.start().catch((error) => page.app.replaceChildren(h("p", { class: "loading problem", text: error.message })));
