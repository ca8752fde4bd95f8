// Where the nodes of a graph stand: dagre's layered layout, off the page's own thread. Nodes come in
// the order of running. Nets are long and thin: where all that runs later goes through one node, the
// graph is cut, and each piece is laid out by itself below the one before. That takes a time that
// grows with the nodes only, and the trunk of the net stays straight.
importScripts("../vendor/dagre/dagre.min.js");

const PIECE = 24; // nodes of a piece, at least
const MOST_CROSSED = 4000; // layers that all edges cross together: each costs as much as a node
const ASIDE = 40;

onmessage = ({ data: { id, sizes, edges } }) => {
  try {
    postMessage({ id, ...place(sizes, edges) });
  } catch (error) {
    postMessage({ id, failed: String(error) });
  }
};

function place(sizes, edges) {
  const aside = longest(sizes.length, edges), at = [], lines = [];
  const starts = cuts(sizes.length, edges.filter((_, e) => !aside.has(e)));
  const within = starts.map(() => []);
  edges.forEach(([from], e) => {
    if (!aside.has(e)) within[starts.findLastIndex((start) => start <= from)].push(e);
  });
  starts.forEach((start, i) => piece(start, starts[i + 1] ?? sizes.length - 1, within[i], sizes, edges, at, lines));
  const ends = at.flatMap(([x], i) => [x - sizes[i][0] / 2, x + sizes[i][0] / 2]);
  const xs = ends.concat(lines.flatMap((points) => (points ?? []).map(([x]) => x)));
  const [left, right] = [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))];
  const shift = ([x, y]) => [x - left, y];
  const [found, drawn] = [at.map(shift), edges.map((_, e) => lines[e]?.map(shift))];
  for (const e of aside) drawn[e] = past(found, sizes, ...edges[e], right - left);
  const width = right - left + (aside.size ? 2 * ASIDE : 0);
  const height = found.reduce((low, [, y], i) => Math.max(low, y + sizes[i][1] / 2), 0);
  return { width, height, at: found, lines: drawn };
}

// The nodes that no edge passes by: where pieces begin.
function cuts(count, edges) {
  const change = new Array(count + 1).fill(0), found = [0];
  for (const [from, to] of edges) { change[from + 1] += 1; change[to] -= 1; }
  let passing = 0;
  for (let i = 0; i < count; i += 1) {
    passing += change[i];
    if (passing === 0 && i - found.at(-1) >= PIECE && count - i > PIECE) found.push(i);
  }
  return found;
}

// Lay out the nodes from first to last, the first of which stands already.
function piece(first, last, chosen, sizes, edges, at, lines) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "TB", nodesep: 26, ranksep: 34, edgesep: 14 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (let i = first; i <= last; i += 1) graph.setNode(String(i), { width: sizes[i][0], height: sizes[i][1] });
  for (const e of chosen) graph.setEdge(String(edges[e][0]), String(edges[e][1]));
  dagre.layout(graph);
  const begin = graph.node(String(first)), [x, y] = at[first] ?? [begin.x, begin.y];
  const moved = (point) => [point.x - begin.x + x, point.y - begin.y + y];
  for (let i = first; i <= last; i += 1) at[i] = moved(graph.node(String(i)));
  for (const e of chosen) lines[e] = graph.edge(String(edges[e][0]), String(edges[e][1])).points.map(moved);
}

// The edges that cross most layers, where all together would take minutes to place.
function longest(count, edges) {
  const depth = new Array(count).fill(0), found = new Set();
  for (const [from, to] of [...edges].sort((a, b) => a[0] - b[0]))
    depth[to] = Math.max(depth[to], depth[from] + 1);
  const span = edges.map(([from, to]) => depth[to] - depth[from]);
  let all = span.reduce((sum, one) => sum + one, 0);
  for (const e of [...edges.keys()].sort((a, b) => span[b] - span[a])) {
    if (all <= MOST_CROSSED || span[e] < 2) break;
    found.add(e);
    all -= span[e];
  }
  return found;
}

// Down the right margin.
function past(at, sizes, from, to, width) {
  const [[x, y], [tx, ty]] = [at[from], at[to]], lane = width + ASIDE;
  const [below, above] = [y + sizes[from][1] / 2, ty - sizes[to][1] / 2];
  return [[x, below], [lane, below + 16], [lane, above - 16], [tx, above]];
}
