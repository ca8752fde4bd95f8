// The legend, the list of layers, and what is known of the one that is picked. Names are text, never markup.
import { bytes, count, digits, fill, gradient, precision, time, written } from "./colours.js";

const ARROW = "\u2192";

export function element(tag, words = "", classes = "") {
  const made = document.createElement(tag);
  if (words) made.textContent = words;
  if (classes) made.className = classes;
  return made;
}

export function legend(host, colour, precisions, dark) {
  const from = element("span", colour.about, "from");
  if (colour.key === "precision") {
    const marks = precisions.map((word) => {
      const mark = element("span"), chip = element("i");
      chip.style.background = precision(word);
      mark.append(chip, word);
      return mark;
    });
    host.replaceChildren(...marks, from);
    return;
  }
  const ramp = element("span", "", "ramp");
  ramp.style.background = gradient(dark);
  host.replaceChildren(element("span", "0"), ramp, element("span", written(colour.most, colour)), from);
}

// A row for each layer of the first side, and for those that only the second one has.
export function rowsOf(before, after) {
  const rows = before.items.map((_, i) => [i, before.partner(i, after)]);
  if (!after) return rows;
  const taken = new Set(rows.map(([, j]) => j));
  after.items.forEach((_, j) => {
    if (taken.has(j)) return;
    const i = after.partner(j, before);
    const at = rows.findLastIndex(([first]) => first >= 0 && first <= (i < 0 ? Infinity : i));
    rows.splice(at + 1, 0, [-1, j]);
  });
  return rows;
}

export function list(host, rows, [before, after], colour, dark, picked) {
  const made = rows.map(([i, j], row) => {
    const first = before.items[i], second = after?.items[j], one = second ?? first;
    const line = element("li"), button = element("button");
    button.type = "button";
    const chip = element("i");
    chip.style.background = fill(one, colour, dark) ?? "transparent";
    const values = [first, second].filter(Boolean).map((side) => written(side[colour.key], colour));
    const shown = new Set(values).size > 1 ? values.join(` ${ARROW} `) : values[0] ?? "";
    const note = after && !second ? "gone" : after && !first ? "new" : "";
    const name = element("small", one.node.name);
    button.append(chip, element("b", one.label), element("em", [note, shown].filter(Boolean).join(" · ")), name);
    button.onclick = () => picked(row);
    line.append(button);
    return line;
  });
  host.replaceChildren(...made);
}

export function details(host, first, second, sides, nodes, close) {
  const one = second ?? first;
  const head = element("div", "", "head"), shut = element("button", "×");
  shut.type = "button";
  shut.setAttribute("aria-label", "Close the details");
  shut.onclick = close;
  head.append(element("h4", one.label), shut);
  host.replaceChildren(head, element("p", one.node.name, "name"), table(first, second, sides));
  const parts = [first, second].map((side, s) => (side ? side.members.map((i) => nodes[s][i]) : []));
  const done = [...new Set(parts.flat().flatMap((part) => part.did))];
  lines(host, sides > 1 ? "What the passes did" : "", done);
  if (sides > 1 && !second) lines(host, "After", ["Gone: no layer of the new model stands for it."]);
  if (sides > 1 && !first) lines(host, "Before", ["New: no layer of the original stands for it."]);
  const last = parts[second ? 1 : 0];
  if (last.length > 1) {
    const words = last.map((part) =>
      `${part.op || part.kind}${part.ms === null ? "" : `, ${time(part.ms)}`}: ${part.name}`);
    lines(host, `Nodes in this layer: ${last.length}`, words);
  }
  host.hidden = false;
  host.scrollTop = 0;
}

function lines(host, title, words) {
  if (!title || !words.length) return;
  const all = element("ul");
  all.append(...words.map((line) => element("li", line)));
  host.append(element("h5", title), all);
}

function table(first, second, sides) {
  const made = element("table");
  if (sides > 1) {
    const head = element("thead"), row = element("tr");
    row.append(element("td"), element("th", "before"), element("th", "after"));
    head.append(row);
    made.append(head);
  }
  const body = element("tbody");
  for (const [title, read] of FACTS) {
    const values = [first, second].map((side) => (side ? read(side) : ""));
    const shown = sides > 1 ? values : [values[0] || values[1]];
    if (!shown.some(Boolean)) continue;
    const row = element("tr"), head = element("th", title);
    head.scope = "row";
    if (sides > 1 && first && second && values[0] !== values[1]) row.className = "other";
    row.append(head, ...shown.map((value) => element("td", value)));
    body.append(row);
  }
  made.append(body);
  return made;
}

const percent = (share) => `${digits(100 * share, 2)} %`;
const FACTS = [
  ["Time", (one) => (one.ms === null ? one.untimed : `${time(one.ms)}, ${percent(one.msShare)}`)],
  ["MACs", (one) => (one.macs ? `${count(one.macs)}, ${percent(one.macsShare)}` : one.macs === null ? "unknown" : "")],
  ["Computes in", (one) => one.ran || ""],
  ["In the file", (one) => one.node.precision || ""],
  ["Input", (one) => one.node.in || ""],
  ["Output", (one) => one.out || ""],
  ["Parameters", (one) => (one.parameters ? `${count(one.parameters)}, ${bytes(one.bytes)}` : "")],
  ["int8 error", (one) => (one.error === null ? "" : percent(one.error))],
  ["Subgraph", (one) => (one.node.inner ? `${one.node.inner} nodes inside` : "")],
];
