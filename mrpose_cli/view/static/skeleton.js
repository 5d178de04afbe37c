// Skeletons as vector graphics on a canvas, and who is under the pointer.

import { settings } from "./settings.js";

const OUTLINE = "rgba(12,14,16,.72)";
const TRUTH = "#ffffff";

/** Where a joint is on the canvas; pixel centers are whole numbers, hence the half. */
const at = (view, x, y) => [view.x + (x + 0.5) * view.sx, view.y + (y + 0.5) * view.sy];

/** Draw people. `view` maps picture pixels to the canvas; `focus` is {person, joint} or nothing. */
export function drawPeople(context, people, skeletons, view, focus = {}, palette = null) {
  context.lineCap = "round";
  context.lineJoin = "round";
  const order = people.map((_, index) => index).filter((index) => isShown(people[index])).sort((a, b) => people[a].s - people[b].s);
  for (const index of order) {
    const person = people[index];
    const skeleton = skeletons[person.k];
    const chosen = focus.person === person.id;
    context.globalAlpha = focus.person === undefined || focus.person === null || chosen ? 1 : 0.35;
    if (settings.skeletons) drawSkeleton(context, person, skeleton, view, width(person, view), null);
    const own = palette?.(person);
    if (settings.boxes || chosen || own) drawBox(context, person, view, own, chosen);
    if (chosen && focus.joint !== null && focus.joint !== undefined) markJoint(context, person, focus.joint, view);
    const nobody = focus.person === undefined || focus.person === null;
    if ((chosen || nobody) && (settings.names || settings.scores)) label(context, person, skeleton, view);
  }
  context.globalAlpha = 1;
}

/** Draw annotated people: white, dashed, beneath or beside the estimated ones. */
export function drawTruth(context, people, skeletons, view, chosen) {
  if (!settings.truth) return;
  people.forEach((person, place) => {
    context.globalAlpha = chosen === undefined || chosen === place ? 1 : 0.25;
    drawSkeleton(context, person, skeletons[person.k] ?? skeletons[0], view, 1.5, TRUTH);
  });
  context.globalAlpha = 1;
}

/** Whether somebody's score is high enough to be shown. */
export const isShown = (person) => person.s >= settings.people;

const width = ({ b }, view) => Math.min(Math.max((Math.max(b[2] - b[0], b[3] - b[1]) * view.sx) / 90, 1.3), 5);

const seen = (joints, joint) => joints[3 * joint + 2] !== null && joints[3 * joint + 2] >= settings.threshold;

function drawSkeleton(context, { j }, skeleton, view, thick, plain) {
  const shown = plain ? (joint) => j[3 * joint + 2] !== null : (joint) => seen(j, joint);
  const limbs = skeleton.limbs.filter(([a, b]) => shown(a) && shown(b));
  const place = (joint) => at(view, j[3 * joint], j[3 * joint + 1]);
  if (plain) context.setLineDash([4, 3]);
  const passes = thick < 1.5 && !plain ? [null] : [OUTLINE, null];
  for (const outline of passes) {
    for (const [a, b, own] of limbs) {
      context.beginPath();
      context.moveTo(...place(a));
      context.lineTo(...place(b));
      context.strokeStyle = outline ?? plain ?? own;
      context.lineWidth = outline ? thick + 2 : thick;
      context.stroke();
    }
  }
  context.setLineDash([]);
  const radius = Math.max(thick * 0.95, 1.4);
  for (let joint = 0; joint < skeleton.joints.length; joint++) {
    if (!shown(joint)) continue;
    context.beginPath();
    context.arc(...place(joint), radius, 0, 2 * Math.PI);
    context.fillStyle = plain ?? skeleton.colors[joint];
    context.strokeStyle = OUTLINE;
    context.lineWidth = thick > 1.4 ? 1.2 : 0.6;
    context.fill();
    context.stroke();
  }
}

function drawBox(context, { b, bridged }, view, own, chosen) {
  const [x, y] = at(view, b[0], b[1]);
  const [w, t] = [(b[2] - b[0]) * view.sx, (b[3] - b[1]) * view.sy];
  if (bridged) context.setLineDash([5, 4]);
  for (const [style, thick] of [[OUTLINE, chosen ? 4 : 2.6], [own ?? "#f2f4f6", chosen ? 2 : 1.2]]) {
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.strokeRect(x, y, w, t);
  }
  context.setLineDash([]);
}

function markJoint(context, { j }, joint, view) {
  if (j[3 * joint + 2] === null || j[3 * joint + 2] === undefined) return;
  for (const [style, thick] of [[OUTLINE, 4], ["#fff", 2]]) {
    context.beginPath();
    context.arc(...at(view, j[3 * joint], j[3 * joint + 1]), 8, 0, 2 * Math.PI);
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.stroke();
  }
}

function label(context, person, skeleton, view) {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const write = (text, x, y) => {
    context.lineWidth = 3;
    context.strokeStyle = OUTLINE;
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  };
  skeleton.joints.forEach((name, joint) => {
    if (!seen(person.j, joint)) return;
    const parts = [settings.names && name.replaceAll("_", " "), settings.scores && person.j[3 * joint + 2].toFixed(2)];
    const [x, y] = at(view, person.j[3 * joint], person.j[3 * joint + 1]);
    write(parts.filter(Boolean).join(" "), x + 6, y);
  });
  if (settings.scores) {
    const [x, y] = at(view, person.b[0], person.b[1]);
    write(`${person.t ? `#${person.t} ` : ""}${person.s.toFixed(2)}`, x, y - 8);
  }
}

/** Lines behind people that show where they came from; `trails` are lists of [x, y] with a color. */
export function drawTrails(context, trails, view) {
  for (const { points, tint } of trails) {
    points.forEach(([x, y], place) => {
      if (!place) return;
      context.beginPath();
      context.moveTo(...at(view, ...points[place - 1]));
      context.lineTo(...at(view, x, y));
      context.globalAlpha = 0.15 + (0.75 * place) / points.length;
      context.strokeStyle = tint;
      context.lineWidth = 1 + (2 * place) / points.length;
      context.stroke();
    });
  }
  context.globalAlpha = 1;
}

/** The person and joint under a point of the canvas: the nearest joint within reach, else the smallest box. */
export function pick(people, view, x, y) {
  let best = null;
  for (const person of people.filter(isShown)) {
    for (let joint = 0; 3 * joint < person.j.length; joint++) {
      if (!seen(person.j, joint)) continue;
      const [px, py] = at(view, person.j[3 * joint], person.j[3 * joint + 1]);
      const far = Math.hypot(px - x, py - y);
      if (far < (best?.far ?? 12)) best = { person, joint, far };
    }
  }
  if (best) return best;
  const inside = people.filter(isShown).filter(({ b }) => {
    const [[x1, y1], [x2, y2]] = [at(view, b[0], b[1]), at(view, b[2], b[3])];
    return x >= x1 && x <= x2 && y >= y1 && y <= y2;
  });
  const area = ({ b }) => (b[2] - b[0]) * (b[3] - b[1]);
  inside.sort((a, b) => area(a) - area(b));
  return inside.length ? { person: inside[0], joint: null } : null;
}
