// What the data means. Nothing here touches the page.
//
// A view is what is drawn at one time: the pieces that are looked at (keys), the pieces that look
// (queries), and one weight for each pair, as a mean over the chosen layers and heads.

const STRONG = 0.1;
const NUM_LINKS = 8;

/** The pieces of a line: what they show, and what kind of piece they are. Pieces of kind control come
    from no text; those of kind byte are a part of a character. */
function piecesOf(line) {
  return line.pieces.map((text, i) => {
    if (line.controls.includes(i)) {
      return { label: text === "</s>" ? "end" : text, kind: "control", beginsWord: true };
    }
    if (/^<0x[0-9A-F]{2}>$/.test(text)) return { label: text, kind: "byte", beginsWord: false };
    const beginsWord = text.startsWith("▁");
    const label = text.replace(/^▁/, "").replaceAll("▁", " ");
    return { label: label || "␣", kind: "text", beginsWord };
  });
}

const BEGIN = { label: "begin", kind: "control", beginsWord: true };

/** Keys and queries of a part, and how many positions earlier a key's number is its piece's. */
function linesOf(sentence, part) {
  const source = piecesOf(sentence.source);
  const target = piecesOf(sentence.target);
  if (part === "encoder") return { keys: source, queries: source, shift: 0 };
  if (part === "decoder") return { keys: [BEGIN, ...target.slice(0, -1)], queries: target, shift: 1 };
  return { keys: source, queries: target, shift: 0 };
}

/** Add the chosen heads of a layer to the sums of a view; returns the number of heads. */
function addHeads(layer, head, sums) {
  const bytes = Uint8Array.from(atob(layer.weights), (character) => character.charCodeAt(0));
  const heads = head === null ? layer.shape[0] : 1;
  let at = (head ?? 0) * sums.length;
  for (let i = 0; i < heads; i++) {
    for (let j = 0; j < sums.length; j++) sums[j] += bytes[at++];
  }
  return heads;
}

/** The view of a part; layer and head are numbers, or null for the mean. Null without attention. */
function viewOf(sentence, part, layer, head) {
  const layers = sentence.layers.filter(
    (one) => one.part === part && (layer === null || one.layer === layer),
  );
  if (!layers.length) return null;
  const [, rows, columns] = layers[0].shape;
  const weights = new Float32Array(rows * columns);
  let count = 0;
  for (const one of layers) count += addHeads(one, head, weights);
  for (let i = 0; i < weights.length; i++) weights[i] /= 255 * count;
  return {
    ...linesOf(sentence, part),
    rows,
    columns,
    weight: (query, key) => weights[query * columns + key],
  };
}

/** The weights of one piece: of all keys for a query, of all queries for a key. */
function weightsOf(view, side, index) {
  if (side === "queries") {
    return Array.from({ length: view.columns }, (_, key) => view.weight(index, key));
  }
  return Array.from({ length: view.rows }, (_, query) => view.weight(query, index));
}

/** Strong links between pieces of text, by distance times weight. */
function longestLinks(view) {
  const links = [];
  for (let query = 0; query < view.rows; query++) {
    for (let key = 0; key < view.columns; key++) {
      const weight = view.weight(query, key);
      const distance = Math.abs(query - key + view.shift);
      const isText = ![view.queries[query], view.keys[key]].some((piece) => piece.kind === "control");
      if (weight >= STRONG && distance > 0 && isText) links.push({ query, key, weight, distance });
    }
  }
  links.sort((one, other) => other.distance * other.weight - one.distance * one.weight);
  return links.slice(0, NUM_LINKS);
}

const percent = (weight) => `${Math.round(100 * weight)}\u202f%`;
const quoted = (piece) => (piece.kind === "control" ? piece.label : `“${piece.label}”`);
