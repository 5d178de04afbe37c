// Where the page's data come from: the server beside it, or the page itself if it was saved with --html.

const TYPES = { i4: Int32Array, f4: Float32Array, f8: Float64Array };
const CHUNK = 256; // frames that are asked for at once
const KEPT = 64; // chunks

/** A header in JSON, and where what follows begins. */
function head(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), 4 + length];
}

/** The columns of a result; see `index` in session.py. */
function unpack(buffer) {
  let [header, at] = head(buffer);
  for (const { name, type, length: count } of header.columns) {
    header[name] = new TYPES[type](buffer, at, count);
    at += Math.ceil(header[name].byteLength / 8) * 8;
  }
  header.length = header.names.length;
  return header;
}

function unpackTrack(buffer) {
  const [track, start] = head(buffer);
  const { count, joints, names } = track;
  const values = start + 4 * count;
  return Object.assign(track, {
    frames: new Int32Array(buffer, start, count),
    values: new Float32Array(buffer, values, count * joints * 3),
    angles: names.map((name, n) => ({ name, values: new Float32Array(buffer, values + 4 * count * (3 * joints + n), count) })),
  });
}

async function answer(response) {
  if (response.ok) return response;
  let words = response.statusText;
  try { words = (await response.json()).error; } catch { /* no words of ours */ }
  throw new Error(words);
}

class Served {
  static = false;
  #chunks = new Map();

  meta = async () => (await answer(await fetch("api/meta"))).json();
  index = async (r) => unpack(await (await answer(await fetch(`api/index?r=${r}`))).arrayBuffer());
  track = async (r, id) => unpackTrack(await (await answer(await fetch(`api/track?r=${r}&track=${id}`))).arrayBuffer());
  people = async (r, images) => (await answer(await fetch(`api/people?r=${r}&images=${images.join(",")}`))).json();
  thumb = (r, i) => `api/thumb?r=${r}&i=${i}`;
  photo = (r, i) => `api/photo?r=${r}&i=${i}`;
  clip = (r) => `api/clip?r=${r}`;

  /** The people of a frame if they are here, else null while they are fetched. */
  frame(r, i, ready) {
    const key = `${r}/${Math.floor(i / CHUNK)}`;
    const known = this.#chunks.get(key);
    if (Array.isArray(known)) return known[i % CHUNK];
    if (known === undefined) this.#fetch(r, i, key);
    this.#chunks.get(key).then(ready, () => {});
    return null;
  }

  /** Fetch what will be shown soon. */
  expect(r, i) {
    const key = `${r}/${Math.floor(i / CHUNK)}`;
    if (!this.#chunks.has(key)) this.#fetch(r, i, key);
  }

  #fetch(r, i, key) {
    const from = Math.floor(i / CHUNK) * CHUNK;
    const wait = fetch(`api/people?r=${r}&from=${from}&to=${from + CHUNK}`).then(answer).then((found) => found.json());
    this.#chunks.set(key, wait);
    wait.then((rows) => this.#chunks.set(key, rows), () => this.#chunks.delete(key));
    if (this.#chunks.size > KEPT) this.#chunks.delete(this.#chunks.keys().next().value);
  }

  /** The address of a clip that every browser plays, once it is made. */
  async proxy(r, progress) {
    for (;;) {
      const response = await answer(await fetch(`api/proxy?r=${r}`, { method: "POST" }));
      const { state, done, problem } = await response.json();
      if (state === "ready") return `api/proxy?r=${r}`;
      if (state === "failed") throw new Error(problem);
      progress(done);
      await new Promise((go) => setTimeout(go, 400));
    }
  }

  flags = async () => (await (await answer(await fetch("api/flags"))).json()).flags;
  async change(add, remove) {
    const body = JSON.stringify({ add, remove });
    const headers = { "Content-Type": "application/json" };
    return (await (await answer(await fetch("api/flags", { method: "POST", headers, body }))).json()).flags;
  }
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

class Saved {
  static = true;
  constructor(content) { this.content = content; }

  meta = async () => this.content.meta;
  index = async (r) => unpack(bytes(this.content.results[r].index));
  track = async (r, id) => unpackTrack(bytes(this.content.results[r].tracks[id]));
  people = async (r, images) => images.map((image) => this.content.results[r].people[image]);
  thumb = (r, i) => this.photo(r, i);
  photo = (r, i) => this.content.results[r].photos[i] ?? "";
  clip = (r) => {
    const [head, body] = this.content.results[r].clip.split(",");
    return body ? URL.createObjectURL(new Blob([bytes(body)], { type: head.slice(5).split(";")[0] })) : "";
  };
  frame = (r, i) => this.content.results[r].people[i];
  expect() {}
  proxy() { throw new Error("this browser does not play the clip"); }
  flags = async () => this.content.flags;
  async change() { throw new Error("a saved page takes no flags; use mrpose view"); }
}

export function openSource() {
  const saved = document.getElementById("saved");
  return saved ? new Saved(JSON.parse(saved.textContent)) : new Served();
}
