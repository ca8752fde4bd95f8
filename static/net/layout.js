// Asks the worker where nodes stand, and remembers what it said.
const known = new Map();
const waiting = new Map();
let worker = null;

export function placed(key, items, edges) {
  if (!known.has(key)) known.set(key, ask(items.map(({ w, h }) => [w, h]), edges));
  return known.get(key);
}

function ask(sizes, edges) {
  worker ??= start();
  const id = crypto.getRandomValues(new Uint32Array(1))[0];
  return new Promise((done, failed) => {
    waiting.set(id, { done, failed });
    worker.postMessage({ id, sizes, edges });
  });
}

function start() {
  const made = new Worker(new URL("layout_worker.js", import.meta.url));
  made.onmessage = ({ data }) => {
    const { done, failed } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.failed) failed(new Error(data.failed));
    else done(data);
  };
  made.onerror = (event) => {
    for (const { failed } of waiting.values()) failed(new Error(event.message || "no worker"));
    waiting.clear();
    known.clear();
    worker = null;
  };
  return made;
}
