// The people of a photo or frame beside it: who there is, joint by joint, and what is flagged.

import { button, h, plural } from "./dom.js";
import { KINDS } from "./flags.js";
import { settings } from "./settings.js";
import { isShown } from "./skeleton.js";

export class Panel {
  /** `act` has select(person), joint(number) and flag(kind, wholeTrack). */
  constructor(index, reasons, flags, act) {
    Object.assign(this, { index, reasons, flags, act });
    this.element = h("aside", { class: "panel", "aria-label": "People" });
  }

  /** Show `people`; `about` has title, facts, image (its id). */
  show(people, truth, about, focus) {
    const chosen = people.find((person) => person.id === focus.person);
    const scroll = this.element.querySelector(".joints")?.scrollTop ?? 0;
    this.element.replaceChildren(
      h("header", {}, h("h2", { text: about.title, title: about.title }), h("p", { text: about.facts })),
      this.#people(people, truth, about, focus),
      chosen ? this.#details(chosen, truth, about, focus) : h("p", { class: "hint", text: people.length ? "Tab or a click picks a person." : "" }),
      chosen ? this.#flags(chosen, about) : "",
    );
    const joints = this.element.querySelector(".joints");
    if (joints) {
      joints.scrollTop = scroll;
      joints.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
    }
  }

  #people(people, truth, about, focus) {
    const rows = people.map((person, place) => {
      if (!isShown(person)) return null;
      const why = this.reasons.filter((_, bit) => person.why & (1 << bit));
      const flagged = this.flags.of(this.index.file, about.image, person).length;
      return h("button", { type: "button", class: "person", "aria-pressed": String(person.id === focus.person),
        onclick: () => this.act.select(person) },
        h("span", { class: "name", text: person.t ? `#${person.t}` : `${place + 1}` }),
        meter(person.s),
        h("span", { class: "number", text: person.s.toFixed(2) }),
        person.oks !== undefined && h("span", { class: "number oks", text: `OKS ${person.oks.toFixed(2)}` }),
        flagged ? h("span", { class: "flagged", text: "⚑", title: plural(flagged, "flag") }) : null,
        why.length ? h("span", { class: "why", text: why.map((reason) => reason.text).join("; ") }) : null);
    });
    const missed = truth ? truth.filter((_, place) => !people.some((person) => person.match === place)) : [];
    const lost = missed.filter((person) => !person.crowd && person.j.some((value) => value !== null)).length;
    if (lost) rows.push(h("p", { class: "why", text: `${plural(lost, "annotated person", "annotated people")} not found` }));
    const hidden = people.length - people.filter(isShown).length;
    if (hidden) rows.push(h("p", { class: "hint", text: `${hidden} below the score of people` }));
    return h("div", { class: "people" }, rows);
  }

  #details(person, truth, about, focus) {
    const skeleton = this.index.skeletons[person.k];
    const real = person.match === undefined ? null : truth[person.match];
    const flagged = new Set(this.flags.of(this.index.file, about.image, person).map((flag) => flag.joint));
    const rows = skeleton.joints.map((name, joint) => {
      const [x, y, score] = person.j.slice(3 * joint, 3 * joint + 3);
      const labelled = real && real.j[3 * joint] !== null && x !== null;
      const off = labelled ? Math.hypot(real.j[3 * joint] - x, real.j[3 * joint + 1] - y) : null;
      return h("tr", { class: [joint === focus.joint && "chosen", (score ?? -1) < settings.threshold && "unsure"].filter(Boolean).join(" "),
        onclick: () => this.act.joint(joint) },
        h("th", {}, dot(skeleton.colors[joint]), h("span", { text: name.replaceAll("_", " ") }), flagged.has(name) ? h("span", { class: "flagged", text: "⚑" }) : null),
        h("td", {}, meter(score ?? 0)), h("td", { class: "number", text: score === null ? "–" : score.toFixed(2) }),
        real ? h("td", { class: "number", text: off === null ? "" : `${off.toFixed(1)} px` }) : null,
        real ? h("td", { class: "number", text: person.near?.[joint] == null ? "" : person.near[joint].toFixed(2) }) : null);
    });
    const head = real ? h("tr", {}, ["joint", "", "score", "error", "OKS"].map((text) => h("th", { text }))) : null;
    return h("div", { class: "joints" }, h("table", {}, head, rows));
  }

  #flags(person, about) {
    if (this.flags.source.static) return "";
    const set = this.flags.of(this.index.file, about.image, person);
    const mark = ({ kind, key, label }) => {
      const mine = set.filter((flag) => flag.kind === kind);
      const whole = mine.some((flag) => flag.image === undefined);
      return button(whole ? `${label} (track)` : label, key, (event) => this.act.flag(kind, event.shiftKey || this.whole),
        { class: "flag", "aria-pressed": String(mine.length > 0) });
    };
    return h("footer", {}, h("div", { class: "flags" }, KINDS.map(mark)),
      person.t && !this.index.followed ? h("label", { class: "hint" },
        h("input", { type: "checkbox", checked: Boolean(this.whole), onchange: (event) => { this.whole = event.target.checked; } }),
        " the whole track (Shift)") : null);
  }
}

const meter = (value) => {
  const bar = h("i");
  bar.style.width = `${Math.round(100 * Math.min(Math.max(value, 0), 1))}%`;
  return h("span", { class: value < settings.threshold ? "meter low" : "meter" }, bar);
};

const dot = (tint) => {
  const mark = h("i", { class: "dot" });
  mark.style.background = tint;
  return mark;
};

/** What both views do about picking people and joints and about flags; `view` has focus, people, changed(). */
export function picker(view, index, flags) {
  return {
    select(person) {
      view.focus = { person: person?.id ?? null, joint: null, track: person?.t };
      view.changed();
    },
    joint(joint) {
      view.focus = { ...view.focus, joint: view.focus.joint === joint ? null : joint };
      view.changed();
    },
    async flag(kind, wholeTrack) {
      const person = view.people.find((one) => one.id === view.focus.person);
      if (!person || flags.source.static) return;
      const flag = { result: index.file, kind, person: person.id };
      const tracked = person.t && !index.followed; // ids that are made for the page are not the result's
      if (wholeTrack && tracked) {
        delete flag.person;
      } else Object.assign(flag, { image: index.ids[view.place], file_name: index.names[view.place] });
      if (tracked) flag.track = person.t;
      if (kind === "wrong_joint") {
        if (view.focus.joint === null) return view.say("Pick the joint first: ↑ ↓ or a click.");
        flag.joint = index.skeletons[person.k].joints[view.focus.joint];
      }
      if (kind === "same_person") {
        const other = await view.other(person);
        if (!other) return view.say("Pick the other person next, with a click.");
        flag.other = (tracked && other.t) || other.id;
      }
      await flags.toggle(flag);
    },
  };
}

/** Keys of people, joints and flags; true if the key was one of these. */
export function pickerKey(event, view, act, index) {
  const people = view.people.filter(isShown);
  const at = people.findIndex((one) => one.id === view.focus.person);
  if (event.key === "Tab" && people.length) {
    const step = event.shiftKey ? -1 : 1;
    act.select(people[at < 0 ? (step > 0 ? 0 : people.length - 1) : (at + step + people.length) % people.length]);
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && at >= 0) {
    const count = index.skeletons[people[at].k].joints.length;
    const step = event.key === "ArrowDown" ? 1 : -1;
    act.joint(view.focus.joint === null ? (step > 0 ? 0 : count - 1) : (view.focus.joint + step + count) % count);
  } else {
    const flag = KINDS.find(({ key }) => event.code === `Digit${key}` || event.key === key);
    if (!flag || event.ctrlKey || event.metaKey || event.altKey) return false;
    act.flag(flag.kind, event.shiftKey);
  }
  return true;
}
