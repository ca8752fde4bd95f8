// One graph on a canvas: zoom, pan and picking; `paint` draws it.
import { written } from "./colours.js";
import { STRIP, paint } from "./paint.js";

const GAP = 10, NEAR = 5;
const LEAST = 0.72, USUAL = 0.85; // scales at which words can be read
const SMALLEST = 0.02, LARGEST = 3;
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Pane {
  // `heard`: picked(item), moved(), keyed(event).
  constructor(host, heard) {
    this.canvas = host.querySelector("canvas");
    this.tip = host.querySelector(".tip");
    this.heard = heard;
    this.host = host;
    this.graph = null;
    this.at = { x: 0, y: 0, scale: 1 };
    this.picked = this.hovered = -1;
    this.found = null;
    this.pointers = new Map();
    this.listen();
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(this.canvas);
  }

  show(graph, colour) {
    const fresh = this.graph !== graph;
    this.graph = graph;
    this.colour = colour;
    this.strip = null;
    if (fresh) this.resize(true);
    this.draw();
  }

  resize(home = false) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const first = !this.width;
    [this.width, this.height, this.ratio] = [width, height, ratio];
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.strip = null;
    if (home || first) this.home();
    this.draw();
  }

  whole() {
    return !this.graph || this.graph.height * this.at.scale <= this.height - 2 * GAP;
  }

  // Readable, from the top; as wide as the pane where that is no smaller than it need be.
  home() {
    if (!this.graph || !this.width) return;
    const { width, height, items } = this.graph;
    const wide = (this.width - STRIP - 2 * GAP) / width;
    const all = Math.min(wide, (this.height - 2 * GAP) / height);
    const scale = Math.min(1.1, Math.max(all, wide >= LEAST ? wide : USUAL));
    this.at = { x: wide * 1.001 >= scale ? width / 2 : items[0].x, y: 0, scale };
    this.at.x += STRIP / 2 / scale;
    this.clamp();
  }

  fit() {
    const { width, height } = this.graph;
    const scale = Math.min(1.5, this.width / (width + 30), this.height / (height + 30));
    this.go({ x: width / 2, y: height / 2, scale: Math.max(SMALLEST, scale) }, () => this.moved());
  }

  // Move there, in a fifth of a second.
  go(to, then) {
    cancelAnimationFrame(this.going);
    const from = { ...this.at }, begun = performance.now(), span = calm() ? 0 : 220;
    const step = (now) => {
      const t = span ? Math.min(1, (now - begun) / span) : 1, part = 1 - (1 - t) ** 3;
      for (const key of ["x", "y", "scale"]) this.at[key] = from[key] + (to[key] - from[key]) * part;
      this.clamp();
      this.draw();
      if (t < 1) this.going = requestAnimationFrame(step);
      else then?.();
    };
    if (span) this.going = requestAnimationFrame(step);
    else step(begun);
  }

  centre(i, then) {
    const one = this.graph.items[i];
    const scale = Math.max(this.at.scale, 0.8);
    this.go({ x: one.x + STRIP / 2 / scale, y: one.y, scale }, then);
  }

  // The graph fills the pane as far as it can; what fits stands in the middle.
  clamp() {
    const { at, graph } = this;
    at.scale = Math.min(LARGEST, Math.max(SMALLEST, at.scale));
    const strip = this.whole() ? 0 : STRIP, wide = (this.width - strip) / 2 / at.scale;
    const tall = this.height / 2 / at.scale, gap = GAP / at.scale, right = strip / 2 / at.scale;
    at.x = within(at.x - right, wide - gap, graph.width - wide + gap) + right;
    at.y = within(at.y, tall - gap, graph.height - tall + gap);
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { at } = this, scale = Math.min(LARGEST, Math.max(SMALLEST, at.scale * factor));
    at.x += (x - this.width / 2) * (1 / at.scale - 1 / scale);
    at.y += (y - this.height / 2) * (1 / at.scale - 1 / scale);
    at.scale = scale;
    this.moved();
  }

  pan(dx, dy) {
    this.at.x -= dx / this.at.scale;
    this.at.y -= dy / this.at.scale;
    this.moved();
  }

  moved() {
    this.clamp();
    this.draw();
    this.heard.moved(this);
  }

  hit(x, y) {
    const wx = (x - this.width / 2) / this.at.scale + this.at.x;
    const wy = (y - this.height / 2) / this.at.scale + this.at.y;
    const near = 3 / this.at.scale;
    return this.graph.items.findIndex((one) =>
      Math.abs(one.x - wx) <= one.w / 2 + near && Math.abs(one.y - wy) <= one.h / 2 + near);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("dblclick", (event) => this.zoom(1.6, event.offsetX, event.offsetY));
    canvas.addEventListener("keydown", (event) => this.heard.keyed(this, event));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.draw());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  // The page scrolls under the wheel until the graph was clicked; Ctrl and wheel zoom it always.
  wheel(event) {
    const zooms = event.ctrlKey || event.metaKey;
    if (!this.graph || (!zooms && !this.canvas.matches(":focus"))) return;
    event.preventDefault();
    if (zooms) this.zoom(Math.exp(-event.deltaY / 240), event.offsetX, event.offsetY);
    else this.pan(-event.deltaX, -event.deltaY);
  }

  down(event) {
    if (!this.graph || event.button) return;
    cancelAnimationFrame(this.going);
    this.canvas.setPointerCapture(event.pointerId);
    const strip = !this.whole() && event.offsetX > this.width - STRIP;
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.began = { x: event.offsetX, y: event.offsetY, strip, far: false };
    if (strip) this.slide(event.offsetY);
  }

  move(event) {
    if (!this.graph) return;
    const last = this.pointers.get(event.pointerId);
    const now = { x: event.offsetX, y: event.offsetY };
    if (!last) { this.hover(this.hit(now.x, now.y), now); return; }
    if (Math.hypot(now.x - this.began.x, now.y - this.began.y) > NEAR) this.began.far = true;
    if (this.began.strip) this.slide(now.y);
    else if (this.pointers.size === 2) this.pinch(event.pointerId, now);
    else if (this.began.far) this.pan(now.x - last.x, now.y - last.y);
    this.pointers.set(event.pointerId, now);
  }

  pinch(id, now) {
    const [other] = [...this.pointers].filter(([key]) => key !== id).map(([, point]) => point);
    const last = this.pointers.get(id), gap = (p) => Math.hypot(p.x - other.x, p.y - other.y);
    this.began.far = true;
    if (gap(last) > 4) this.zoom(gap(now) / gap(last), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || event.type === "pointercancel") return;
    if (this.began.far || this.began.strip || this.pointers.size) return;
    const one = this.hit(event.offsetX, event.offsetY);
    if (one >= 0) this.heard.picked(this, one);
  }

  slide(y) {
    this.at.y = (Math.min(1, Math.max(0, y / this.height))) * this.graph.height;
    this.moved();
  }

  hover(i, point) {
    if (i !== this.hovered) { this.hovered = i; this.draw(); }
    this.canvas.style.cursor = i >= 0 ? "pointer" : "grab";
    this.tip.hidden = i < 0;
    if (i < 0 || !point) return;
    const one = this.graph.items[i], value = written(one[this.colour.key], this.colour);
    this.tip.textContent = [one.node.name, value].filter(Boolean).join("  ·  ");
    this.tip.style.left = `${Math.min(point.x + 14, this.width - this.tip.offsetWidth - 6)}px`;
    this.tip.style.top = `${Math.min(point.y + 16, this.height - this.tip.offsetHeight - 6)}px`;
  }

  draw() {
    if (this.asked || !this.graph || !this.width) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      paint(this);
    });
  }
}

const within = (value, low, high) =>
  (low > high ? (low + high) / 2 : Math.min(high, Math.max(low, value)));
