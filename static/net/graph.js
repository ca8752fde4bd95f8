// What is drawn of one side: layers with all that belongs to them, or every node by itself.
import { placed } from "./layout.js";

const pen = document.createElement("canvas").getContext("2d");
export const FONT = '"Source Sans", "Source Sans 3", system-ui, sans-serif';
const LEAST = 104, MOST = 200, ROOM = 76, HEIGHT = 46;
const LEVEL = 120; // what is no further above or below counts as beside
const SHORT = { BatchNormalization: "BN", LayerNormalization: "LN" };
const UNSAID = /^(De)?[Qq]uantizeLinear$|^DynamicQuantizeLinear$|^Identity$|^Cast$|^Dropout$/; // told by the precision
const SMALL = { input: 30, output: 30 };

export class Graph {
  constructor(side, all) {
    this.side = side;
    this.all = all;
    this.items = [];
    this.of = new Array(side.nodes.length); // node -> item
    side.nodes.forEach((node, i) => {
      if (all || node.layer === i) this.of[i] = this.items.push(item(node, i)) - 1;
    });
    side.nodes.forEach((node, i) => {
      this.of[i] = all ? this.of[i] : this.of[node.layer];
      const { members } = this.items[this.of[i]];
      if (all || node.layer !== i) { if (!members.includes(i)) members.push(i); }
      else members.unshift(i);
    });
    for (const one of this.items) finish(one, side.nodes);
    this.edges = this.link();
    this.reads = this.items.map(() => []);
    this.feeds = this.items.map(() => []);
    for (const [from, to] of this.edges) {
      this.reads[to].push(from);
      this.feeds[from].push(to);
    }
  }

  link() {
    const seen = new Set();
    const edges = [];
    this.side.nodes.forEach((node, i) => {
      for (const source of node.reads) {
        const from = this.of[source], to = this.of[i];
        if (from === to || (!this.all && this.side.nodes[source].constant)) continue;
        const key = from * this.items.length + to;
        if (!seen.has(key)) { seen.add(key); edges.push([from, to]); }
      }
    });
    return edges;
  }

  async place() {
    const found = await placed(`${this.side.digest} ${this.all}`, this.items, this.edges);
    this.width = found.width;
    this.height = found.height;
    found.at.forEach(([x, y], i) => Object.assign(this.items[i], { x, y }));
    this.lines = found.lines.map((points) => {
      const ys = points.map(([, y]) => y);
      return { points, top: Math.min(...ys), bottom: Math.max(...ys) };
    });
    return this;
  }

  // The item of a node's name; a layer before one of its parts.
  named(name) {
    const own = this.items.findIndex((one) => one.node.name === name);
    if (own >= 0) return own;
    const node = this.side.nodes.findIndex((one) => one.name === name);
    return node >= 0 ? this.of[node] : -1;
  }

  // The item of the other graph that stands for this one; -1 where there is none.
  partner(i, other) {
    const place = this.items[i].node.partner;
    return place === null || !other ? -1 : other.of[place];
  }

  // The nearest item left or right of one, at about its height.
  beside(i, left) {
    if (i < 0) return 0;
    const from = this.items[i];
    const near = this.items.map((one, at) => [at, one.x - from.x, Math.abs(one.y - from.y)])
      .filter(([at, dx, dy]) => at !== i && (left ? dx < 0 : dx > 0) && dy < LEVEL)
      .sort((a, b) => Math.abs(a[1]) + 2 * a[2] - Math.abs(b[1]) - 2 * b[2]);
    return near.length ? near[0][0] : i;
  }

  search(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    if (!wanted.length) return null;
    return new Set(this.items.flatMap((one, i) =>
      wanted.every((word) => one.text.includes(word)) ? [i] : []));
  }
}

function item(node, i) {
  return { id: i, node, members: [] };
}

function finish(one, nodes) {
  const parts = one.members.map((i) => nodes[i]);
  one.macs = sum(parts.map((part) => part.macs));
  one.parameters = sum(parts.map((part) => part.parameters));
  one.bytes = sum(parts.map((part) => part.bytes));
  const timed = parts.filter((part) => part.ms !== null);
  one.ms = timed.length ? sum(timed.map((part) => part.ms)) : null;
  one.error = parts.reduce((worst, { error }) => (error > (worst ?? -1) ? error : worst), null);
  one.ran = one.node.ran;
  one.precision = one.node.ran || one.node.precision;
  one.out = outside(parts).out;
  const also = parts.slice(1).filter((part) => !part.constant && !UNSAID.test(part.op));
  one.also = [...new Set(also.map(({ op }) => SHORT[op] ?? op))];
  one.label = one.node.kind;
  if (one.node.kind in SMALL && one.node.name !== one.label) one.label += ` ${one.node.name}`;
  one.sub = [one.out, one.also.length ? `+ ${one.also.join(", ")}` : ""].filter(Boolean).join("  ");
  one.text = parts.map((p) => `${p.name} ${p.kind} ${p.op} ${p.precision}`).join(" ").toLowerCase();
  pen.font = `600 13px ${FONT}`;
  const title = pen.measureText(one.label).width + ROOM;
  pen.font = `12px ${FONT}`;
  one.w = Math.round(Math.min(MOST, Math.max(LEAST, title, pen.measureText(one.sub).width + 20)));
  one.h = SMALL[one.node.kind] ?? HEIGHT;
}

// The last part that hands on what the layer computes, not a shape or a constant.
function outside(parts) {
  const real = parts.filter((part) => !part.constant && part.real);
  return real.at(-1) ?? parts[0];
}

const sum = (numbers) =>
  numbers.some((one) => one === null) ? null : numbers.reduce((all, one) => all + one, 0);
