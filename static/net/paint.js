// Draws what a pane shows: edges, items, and the strip that has all of the graph at once.
import { FONT } from "./graph.js";
import { fill, inkOn, look, written } from "./colours.js";

export const STRIP = 46;
const LEGIBLE = 0.42, SPARSE = 0.16; // scales from which words and round corners are drawn
const ENDS = 40; // inputs and outputs are lower than this

export function paint(pane) {
  const face = look(pane.canvas), pen = pane.canvas.getContext("2d");
  const { at, width, height, ratio, graph } = pane;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = face.page;
  pen.fillRect(0, 0, width, height);
  pen.save();
  pen.translate(width / 2 - at.x * at.scale, height / 2 - at.y * at.scale);
  pen.scale(at.scale, at.scale);
  const [wide, tall] = [width / 2 / at.scale, height / 2 / at.scale];
  const seen = { left: at.x - wide, right: at.x + wide, top: at.y - tall, bottom: at.y + tall };
  edges(pane, pen, face, seen);
  graph.items.forEach((one, i) => {
    const out = one.x + one.w / 2 < seen.left || one.x - one.w / 2 > seen.right
      || one.y + one.h / 2 < seen.top || one.y - one.h / 2 > seen.bottom;
    if (!out) item(pane, pen, face, one, i);
  });
  pen.restore();
  if (!pane.whole()) strip(pane, pen, face);
}

function edges(pane, pen, face, seen) {
  const { graph: { edges, lines }, picked, at } = pane;
  const inSight = lines.flatMap(({ top, bottom }, e) =>
    bottom < seen.top || top > seen.bottom ? [] : [e]);
  for (const strong of [false, true]) {
    const chosen = inSight.filter((e) => edges[e].includes(picked) === strong);
    pen.beginPath();
    for (const e of chosen) trace(pen, lines[e].points);
    pen.strokeStyle = pen.fillStyle = strong ? face.primary : face.edge;
    pen.lineWidth = (strong ? 2.2 : 1.2) / Math.min(1, Math.max(at.scale, 0.3));
    pen.stroke();
    if (at.scale >= LEGIBLE) for (const e of chosen) arrow(pen, ...lines[e].points.at(-1));
  }
}

function trace(pen, [first, ...rest]) {
  pen.moveTo(...first);
  if (rest.length === 1) pen.lineTo(...rest[0]);
  rest.slice(0, -1).forEach(([x, y], i) => {
    const [nx, ny] = rest[i + 1], last = i === rest.length - 2;
    pen.quadraticCurveTo(x, y, last ? nx : (x + nx) / 2, last ? ny : (y + ny) / 2);
  });
}

function arrow(pen, x, y) {
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - 3.5, y - 7);
  pen.lineTo(x + 3.5, y - 7);
  pen.fill();
}

function item(pane, pen, face, one, i) {
  const { at: { scale }, picked, hovered, found, colour } = pane;
  const ends = one.h < ENDS, filled = ends ? face.panel : fill(one, colour, face.dark);
  const [x, y] = [one.x - one.w / 2, one.y - one.h / 2];
  pen.globalAlpha = found && !found.has(i) ? 0.22 : 1;
  pen.beginPath();
  if (scale < SPARSE) pen.rect(x, y, one.w, one.h);
  else pen.roundRect(x, y, one.w, one.h, ends ? one.h / 2 : 6);
  pen.fillStyle = filled ?? face.page;
  pen.fill();
  if (i === picked || scale >= SPARSE) {
    pen.strokeStyle = i === picked ? face.primary : i === hovered ? face.ink : face.edge;
    pen.lineWidth = i === picked ? Math.max(3, 3 / scale) : 1;
    pen.stroke();
  }
  if (scale >= LEGIBLE) words(pen, one, x, y, colour, ends || !filled ? face.ink : inkOn(filled));
  pen.globalAlpha = 1;
}

function words(pen, one, x, y, colour, ink) {
  const ends = one.h < ENDS, value = ends ? "" : written(one[colour.key], colour);
  pen.fillStyle = ink;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.font = `12px ${FONT}`;
  const used = value ? pen.measureText(value).width + 8 : 0;
  pen.font = `600 13px ${FONT}`;
  pen.fillText(shorter(pen, one.label, one.w - 20 - used), x + 10, y + (ends ? one.h / 2 : 15));
  if (ends) return;
  pen.font = `12px ${FONT}`;
  pen.fillText(shorter(pen, one.sub, one.w - 20), x + 10, y + 32);
  pen.textAlign = "right";
  if (value) pen.fillText(value, x + one.w - 10, y + 15);
}

// Stretched to the height of the pane: where it is hot, and what is in sight.
function strip(pane, pen, face) {
  const { width, height, graph, at, picked } = pane, left = width - STRIP;
  if (pane.strip?.page !== face.page) pane.strip = { page: face.page, image: whole(pane, face) };
  pen.fillStyle = face.panel;
  pen.fillRect(left, 0, STRIP, height);
  pen.drawImage(pane.strip.image, left, 0, STRIP, height);
  const down = height / graph.height, tall = Math.max(8, (height / at.scale) * down);
  const top = Math.max(1, Math.min(height - tall - 1, at.y * down - tall / 2));
  pen.strokeStyle = pen.fillStyle = face.primary;
  pen.lineWidth = 2;
  pen.strokeRect(left + 1, top, STRIP - 2, tall);
  if (picked >= 0) pen.fillRect(left - 5, graph.items[picked].y * down - 2, 5, 5);
}

function whole(pane, face) {
  const { graph, ratio } = pane, made = document.createElement("canvas");
  made.width = STRIP * ratio;
  made.height = pane.height * ratio;
  const pen = made.getContext("2d");
  const across = (made.width - 8) / graph.width, down = made.height / graph.height;
  for (const one of graph.items) {
    pen.fillStyle = fill(one, pane.colour, face.dark) ?? face.edge;
    const tall = Math.max(1.5 * ratio, one.h * down - 1);
    const wide = Math.max(3 * ratio, one.w * across);
    pen.fillRect(4 + one.x * across - wide / 2, one.y * down - tall / 2, wide, tall);
  }
  return made;
}

function shorter(pen, words, room) {
  if (pen.measureText(words).width <= room) return words;
  let end = words.length;
  while (end > 1 && pen.measureText(`${words.slice(0, end)}…`).width > room) end -= 1;
  return `${words.slice(0, end)}…`;
}
