// The net before and after: two panes that move together, a list, and the details of one layer.
import { look, written } from "./colours.js";
import { details, element, legend, list, rowsOf } from "./details.js";
import { Graph } from "./graph.js";
import { Pane } from "./pane.js";

const NARROW = 760, TELL_MS = 250;
const views = new WeakMap();

export function show({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".net");
  if (!views.has(root)) views.set(root, new View(root));
  views.get(root).update(data, setStateValue);
}

class View {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    const heard = {
      picked: (pane, i) => this.pick(this.panes.indexOf(pane), i),
      moved: (pane) => this.follow(pane),
      keyed: (pane, event) => this.key(pane, event),
    };
    this.panes = ["before", "after"].map((side) => new Pane(this.find(`.${side}`), heard));
    this.graphs = [];
    this.row = -1;
    this.listen();
    new ResizeObserver(() => this.narrow()).observe(root);
  }

  listen() {
    const { find } = this;
    find(".colours").onchange = () => this.colour();
    find(".sides").onchange = () => this.lay();
    find(".all").onchange = () => this.build();
    find(".sorted").onchange = () => this.order();
    find(".in").onclick = () => this.lead((pane) => pane.zoom(1.35));
    find(".out").onclick = () => this.lead((pane) => pane.zoom(1 / 1.35));
    find(".fit").onclick = () => this.lead((pane) => pane.fit());
    find(".full").hidden = !document.fullscreenEnabled;
    find(".full").onclick = () =>
      document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen();
    find(".search").oninput = () => this.search();
    find(".search").onkeydown = (event) => {
      if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
    };
  }

  get shown() { return this.panes.filter((pane) => !pane.host.hidden && pane.graph); }

  // One pane leads, the other one follows.
  lead(act) { this.shown.slice(0, 1).forEach(act); }

  // Both at the scale of the wider graph.
  home() {
    const panes = this.shown;
    panes.forEach((pane) => pane.home());
    const scale = Math.min(...panes.map((pane) => pane.at.scale));
    for (const pane of panes) {
      pane.at.scale = scale;
      pane.clamp();
      pane.draw();
    }
  }

  update(data, tell) {
    this.tell = (value) => {
      clearTimeout(this.telling);
      this.telling = setTimeout(() => tell("layer", value), TELL_MS);
    };
    if (data.key !== this.stamp) {
      this.stamp = data.key;
      this.net = data.net;
      this.focus = data.focus.turn;
      this.build(data.focus.layer);
    } else if (data.focus.turn !== this.focus) {
      this.focus = data.focus.turn;
      this.reach(data.focus.layer);
      this.root.scrollIntoView({ block: "nearest" });
    }
  }

  // Make the graphs anew; what was picked stays picked.
  async build(layer = this.name(), turn = (this.turn = (this.turn ?? 0) + 1)) {
    const { net, find } = this, all = find(".all").checked && net.all_nodes;
    find(".every").hidden = !net.all_nodes;
    find(".which").hidden = net.sides.length < 2;
    const colours = find(".colours"), before = colours.value;
    colours.replaceChildren(...net.colours.map(({ key, title }) => new Option(title, key)));
    const key = net.colours.some((one) => one.key === before) ? before : net.colours[0].key;
    colours.value = this.offered === net.colours.length ? key : net.colours[0].key;
    this.offered = net.colours.length;
    this.root.setAttribute("aria-busy", "true");
    try {
      const graphs = net.sides.map((side) => new Graph(side, all));
      await Promise.all(graphs.map((graph) => graph.place()));
      if (turn !== this.turn) return;
      this.take(graphs, layer);
    } catch (error) {
      find(".legend").textContent = `The graph cannot be laid out: ${error.message}`;
    } finally {
      this.root.setAttribute("aria-busy", "false");
    }
  }

  take(graphs, layer) {
    this.graphs = graphs;
    this.row = -1;
    this.rows = rowsOf(graphs[0], graphs[1]);
    graphs.forEach((graph, s) => {
      const total = { ms: this.net.sides[s].ms, macs: graph.items.reduce((all, one) => all + (one.macs ?? 0), 0) };
      for (const one of graph.items) {
        one.untimed = total.ms ? "none of its own" : ""; // runtimes fuse layers
        one.msShare = total.ms ? one.ms / total.ms : 0;
        one.macsShare = total.macs ? one.macs / total.macs : 0;
      }
    });
    this.anchors = graphs.length > 1 ? [this.anchorsOf(0), this.anchorsOf(1)] : [];
    this.lay();
    this.home();
    this.colour();
    if (layer) this.reach(layer, false);
    else this.close();
  }

  narrow() {
    this.root.classList.toggle("narrow", this.root.clientWidth < NARROW);
    const both = this.find('.sides [value="both"]');
    if (both.disabled !== this.root.clientWidth < NARROW && this.graphs.length) this.lay();
  }

  lay() {
    const { find, net } = this, narrow = this.root.clientWidth < NARROW, sides = find(".sides");
    find('.sides [value="both"]').disabled = narrow;
    if (narrow && sides.value === "both") sides.value = "after";
    const which = net.sides.length < 2 ? "before" : sides.value;
    this.panes.forEach((pane, s) => {
      const name = s ? "after" : "before";
      pane.host.hidden = which !== "both" && which !== name;
      const side = net.sides[s];
      if (!side) return;
      const head = pane.host.querySelector("figcaption");
      head.replaceChildren(`${side.title} `, element("small", side.about));
      pane.canvas.setAttribute("aria-label", `${side.title}: graph, ${side.about}. `
        + "Arrow keys go from layer to layer, plus and minus zoom.");
      pane.show(this.graphs[s], this.colourOf());
    });
    if (this.row >= 0) this.mark(false);
  }

  colourOf() {
    const chosen = this.net.colours.find(({ key }) => key === this.find(".colours").value);
    const values = this.graphs.flatMap(({ items }) => items.map((one) => one[chosen.key] ?? 0));
    return { ...chosen, most: chosen.key === "precision" ? 0 : Math.max(...values, 0) };
  }

  colour() {
    const colour = this.colourOf();
    this.graphs.forEach((graph, s) => this.panes[s].show(graph, colour));
    const words = new Set(this.graphs.flatMap(({ items }) => items.map((one) => one.precision)));
    legend(this.find(".legend"), colour, [...words].filter(Boolean).sort(), look(this.root).dark);
    this.order();
  }

  order() {
    const colour = this.colourOf(), { dark } = look(this.root), key = colour.key;
    const value = ([i, j]) => Math.max(...[this.graphs[0].items[i], this.graphs[1]?.items[j]]
      .map((one) => (key === "precision" ? one?.macs : one?.[key]) ?? -1));
    this.listed = this.rows.map((_, row) => row);
    if (this.find(".sorted").value === "most")
      this.listed.sort((a, b) => value(this.rows[b]) - value(this.rows[a]));
    const rows = this.listed.map((row) => this.rows[row]);
    list(this.find(".layers"), rows, this.graphs, colour, dark, (at) => this.choose(this.listed[at]));
    this.search();
    this.current();
  }

  search() {
    const found = this.graphs.map((graph) => graph.search(this.find(".search").value));
    this.matches = found[0] && this.listed.filter((row) =>
      this.rows[row].some((i, s) => i >= 0 && found[s]?.has(i)));
    const kept = this.matches && new Set(this.matches);
    [...this.find(".layers").children].forEach((line, at) => {
      line.hidden = Boolean(kept) && !kept.has(this.listed[at]);
    });
    const inner = (row) => this.rows[row].some((i, s) => this.graphs[s]?.items[i]?.node.op);
    const many = (kept ? this.matches : this.listed).filter(inner).length;
    const word = `${this.graphs[0].all ? "node" : "layer"}${many === 1 ? "" : "s"}`;
    const words = `${many.toLocaleString("en")} ${word}${kept ? " found" : ""}`;
    this.find(".many").textContent = words;
    if (kept) this.say(`${words}. Enter goes to the next one.`);
    this.panes.forEach((pane, s) => { pane.found = found[s] ?? null; pane.draw(); });
  }

  next(step) {
    if (!this.matches?.length) return;
    const at = this.matches.indexOf(this.row);
    this.choose(this.matches.at((at + step) % this.matches.length));
  }

  name() { return this.row < 0 ? "" : this.picked().node.name; }

  picked() {
    const [i, j] = this.rows[this.row];
    return this.graphs[1]?.items[j] ?? this.graphs[0].items[i];
  }

  pick(side, i) {
    this.choose(this.rows.findIndex((row) => row[side] === i), side);
  }

  // A layer that another part of the page asks for.
  reach(layer, tells = true) {
    for (const s of [1, 0]) {
      const i = this.graphs[s]?.named(layer) ?? -1;
      if (i >= 0) { this.choose(this.rows.findIndex((row) => row[s] === i), -1, tells); return; }
    }
    this.close();
  }

  choose(row, by = -1, tells = true) {
    if (row < 0) return;
    this.row = row;
    this.mark(true, by);
    const [i, j] = this.rows[row], [first, second] = [this.graphs[0].items[i], this.graphs[1]?.items[j]];
    details(this.find(".details"), first, second, this.graphs.length, this.net.sides.map((side) => side.nodes), () => this.close());
    this.current();
    const colour = this.colourOf(), value = written(this.picked()[colour.key], colour);
    this.say(`${this.picked().label}, ${this.name()}${value ? `, ${value}` : ""}`);
    if (tells) this.tell({ before: first?.node.name ?? null, after: second?.node.name ?? null });
  }

  close() {
    this.row = -1;
    this.find(".details").hidden = true;
    this.panes.forEach((pane) => { pane.picked = -1; pane.draw(); });
    this.current();
  }

  // Show what is picked on both sides; where one has no such layer, it follows the other.
  mark(moves, by = -1) {
    let led = null;
    this.panes.forEach((pane, s) => {
      pane.picked = this.rows[this.row][s] ?? -1;
      pane.draw();
      if (moves && pane.picked >= 0 && s !== by && !pane.host.hidden) pane.centre(pane.picked);
      if (pane.picked >= 0) led = pane;
    });
    if (moves && led && this.shown.some((pane) => pane.picked < 0)) this.follow(led);
  }

  current() {
    [...this.find(".layers").children].forEach((line, at) => {
      const here = this.listed[at] === this.row, button = line.firstChild;
      if (here) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (!here) return;
      const host = this.find(".layers");
      host.scrollTop = line.offsetTop - host.clientHeight / 2 + 22;
    });
  }

  // Heights of layers that stand for each other, growing on both sides.
  anchorsOf(from) {
    const [mine, other] = [this.graphs[from], this.graphs[1 - from]];
    const pairs = this.rows.filter(([i, j]) => i >= 0 && j >= 0)
      .map((row) => [mine.items[row[from]].y, other.items[row[1 - from]].y])
      .sort((a, b) => a[0] - b[0]);
    const growing = [[0, 0]];
    for (const pair of pairs)
      if (pair[0] > growing.at(-1)[0] && pair[1] > growing.at(-1)[1]) growing.push(pair);
    growing.push([mine.height + 1, other.height + 1]);
    return growing;
  }

  follow(pane) {
    const from = this.panes.indexOf(pane), other = this.panes[1 - from];
    if (!this.anchors.length || other.host.hidden || !other.graph) return;
    const anchors = this.anchors[from], y = pane.at.y;
    const next = Math.max(1, anchors.findIndex(([at]) => at >= y));
    const [[a, b], [c, d]] = [anchors[next - 1], anchors[next]];
    other.at.scale = pane.at.scale;
    other.at.y = b + ((d - b) * (y - a)) / (c - a);
    other.at.x = pane.at.x + (other.graph.width - pane.graph.width) / 2;
    other.clamp();
    other.draw();
  }

  key(pane, event) {
    const s = this.panes.indexOf(pane), { graph } = pane, i = pane.picked;
    const steps = { ArrowDown: "feeds", ArrowUp: "reads" };
    if (event.key === "+" || event.key === "=") pane.zoom(1.25);
    else if (event.key === "-") pane.zoom(0.8);
    else if (event.key === "0") this.home();
    else if (event.key === "Escape") this.close();
    else if (steps[event.key]) {
      const near = i < 0 ? [0] : graph[steps[event.key]][i];
      if (near.length) this.pick(s, near[0]);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.pick(s, graph.beside(i, event.key === "ArrowLeft"));
    else return;
    event.preventDefault();
  }

  say(words) { this.find(".said").textContent = words; }
}
