// What is marked as wrong. Every change is saved at once, in flags.json beside the result.

export const KINDS = [
  { kind: "wrong_joint", key: "1", label: "Wrong joint" },
  { kind: "swapped", key: "2", label: "Sides swapped" },
  { kind: "nobody", key: "3", label: "Nobody there" },
  { kind: "same_person", key: "4", label: "Two are one" },
];
const FIELDS = ["result", "kind", "image", "person", "track", "joint", "other"];

const key = (flag) => JSON.stringify(FIELDS.map((field) => flag[field] ?? null));

export class Flags {
  constructor(source, changed, failed) {
    Object.assign(this, { source, changed, failed });
    this.list = new Map();
  }

  async load() { this.#take(await this.source.flags()); }

  #take(flags) {
    this.list = new Map(flags.map((flag) => [key(flag), flag]));
    this.images = new Map();
    for (const flag of flags) {
      const name = `${flag.result}\n${flag.image}`;
      this.images.set(name, (this.images.get(name) ?? 0) + 1);
    }
    this.changed();
  }

  /** Set a flag, or take it back if it is set. */
  async toggle(flag) {
    const known = this.list.get(key(flag));
    try {
      this.#take(await this.source.change(known ? [] : [flag], known ? [known] : []));
    } catch (error) {
      this.failed(`not saved: ${error.message}`);
    }
  }

  count(result, image) { return this.images?.get(`${result}\n${image}`) ?? 0; }

  /** Flags of a person in an image, and of the whole track. */
  of(result, image, person) {
    return [...this.list.values()].filter((flag) => flag.result === result && (
      flag.image === image ? flag.person === person.id
        : flag.image === undefined && flag.track !== undefined && flag.track === person.t));
  }

  /** Flags of a result's tracks, for the timeline. */
  ofTracks(result) {
    return [...this.list.values()].filter((flag) => flag.result === result && flag.track !== undefined);
  }
}
