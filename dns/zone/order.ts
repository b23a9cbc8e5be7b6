/** Canonical order of a zone's names (RFC 4034 §6.1): parents before children, children by their first label. */
import { NODE, type ZoneImage } from "../image/layout.ts";

/** The nodes in canonical order; worked out when first asked for, then kept. */
export function canonicalOrder(image: ZoneImage): Int32Array {
  const known = orders.get(image.nodes);
  if (known !== undefined) return known;
  const order = sortTree(image);
  orders.set(image.nodes, order);
  return order;
}

/** By the node table, which zones that differ in the serial share. */
const orders = new WeakMap<Int32Array, Int32Array>();

function sortTree({ nodes, names }: ZoneImage): Int32Array {
  const count = nodes.length / NODE.size;
  // The children of node n stand in `children` from `starts[n]` on.
  const starts = new Int32Array(count + 1);
  for (let node = 1; node < count; node++) starts[nodes[node * NODE.size + NODE.parent] + 1]++;
  for (let node = 0; node < count; node++) starts[node + 1] += starts[node];
  const fill = starts.slice();
  const children = new Int32Array(Math.max(count - 1, 0));
  for (let node = 1; node < count; node++) children[fill[nodes[node * NODE.size + NODE.parent]]++] = node;
  for (let node = 0; node < count; node++) {
    if (starts[node + 1] - starts[node] > 1) sortLabels(children.subarray(starts[node], starts[node + 1]));
  }
  const order = new Int32Array(count);
  const pending = count === 0 ? [] : [0];
  for (let at = 0;; at++) {
    const node = pending.pop();
    if (node === undefined) return order;
    order[at] = node;
    for (let i = starts[node + 1] - 1; i >= starts[node]; i--) pending.push(children[i]);
  }

  function sortLabels(siblings: Int32Array): void {
    let sorted = true;
    for (let i = 1; i < siblings.length && sorted; i++) {
      sorted = compareLabels(siblings[i - 1], siblings[i]) < 0;
    }
    if (!sorted) siblings.sort(compareLabels);
  }

  function compareLabels(a: number, b: number): number {
    const left = nodes[a * NODE.size + NODE.name];
    const right = nodes[b * NODE.size + NODE.name];
    const shared = Math.min(names[left], names[right]);
    for (let i = 1; i <= shared; i++) {
      if (names[left + i] !== names[right + i]) return names[left + i] - names[right + i];
    }
    return names[left] - names[right];
  }
}
