// Where the nodes of a graph stand: dagre's layered layout, off the page's own thread.
importScripts("../vendor/dagre/dagre.min.js");

const MANY = 400; // nodes from which on the quicker ranking is taken

onmessage = ({ data: { id, sizes, edges } }) => {
  try {
    postMessage({ id, ...place(sizes, edges) });
  } catch (error) {
    postMessage({ id, failed: String(error) });
  }
};

function place(sizes, edges) {
  const graph = new dagre.graphlib.Graph();
  const ranker = sizes.length > MANY ? "tight-tree" : "network-simplex";
  graph.setGraph({ rankdir: "TB", nodesep: 26, ranksep: 34, edgesep: 14, ranker });
  graph.setDefaultEdgeLabel(() => ({}));
  sizes.forEach(([width, height], i) => graph.setNode(String(i), { width, height }));
  edges.forEach(([from, to]) => graph.setEdge(String(from), String(to)));
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const at = sizes.map((_, i) => graph.node(String(i))).map(({ x, y }) => [x, y]);
  const lines = edges.map(([from, to]) =>
    graph.edge(String(from), String(to)).points.map(({ x, y }) => [x, y]));
  return { width, height, at, lines };
}
