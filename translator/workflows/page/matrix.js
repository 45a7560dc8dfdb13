// The heat map: a row for each query, a column for each key.

const canvas = document.getElementById("canvas");
const MAX_LABEL = 12;
const matrix = { view: null, active: null, left: 0, top: 0, size: 0, cell: null };

const shortened = (text) => (text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text);

/** Cells fill the width; where that makes them too small to read, the map scrolls. */
function layOut(context, view) {
  const widest = (pieces) =>
    Math.ceil(Math.max(...pieces.map((piece) => context.measureText(shortened(piece.label)).width)));
  matrix.left = widest(view.queries) + 10;
  matrix.top = widest(view.keys) + 10;
  const room = document.getElementById("scroller").clientWidth - matrix.left - 2;
  matrix.size = Math.max(15, Math.min(40, Math.floor(room / view.columns)));
}

/** Draw all of it; `active` marks the row or column of the active piece. */
function drawMatrix(view, active) {
  Object.assign(matrix, { view, active });
  const style = getComputedStyle(document.body);
  const font = `13px ${style.getPropertyValue("--sans")}`;
  const context = canvas.getContext("2d");
  context.font = font;
  layOut(context, view);
  const width = matrix.left + view.columns * matrix.size + 2;
  const height = matrix.top + view.rows * matrix.size + 2;
  const ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.scale(ratio, ratio);
  context.font = font;
  drawLabels(context, style);
  for (let query = 0; query < view.rows; query++) {
    for (let key = 0; key < view.columns; key++) {
      context.fillStyle = css(colourOf(view.weight(query, key)));
      const [x, y] = [matrix.left + key * matrix.size, matrix.top + query * matrix.size];
      context.fillRect(x, y, matrix.size - 1, matrix.size - 1);
    }
  }
  drawMarks(context, style);
}

function drawLabels(context, style) {
  const { view, active, left, top, size } = matrix;
  const ink = (side, index, piece) => {
    const isActive = active.side === side && active.index === index;
    const name = isActive ? "--accent" : piece.kind === "control" ? "--soft" : "--ink";
    context.fillStyle = style.getPropertyValue(name);
  };
  context.textBaseline = "middle";
  context.textAlign = "right";
  view.queries.forEach((piece, query) => {
    ink("queries", query, piece);
    context.fillText(shortened(piece.label), left - 8, top + (query + 0.5) * size);
  });
  context.textAlign = "left";
  view.keys.forEach((piece, key) => {
    ink("keys", key, piece);
    context.save();
    context.translate(left + (key + 0.5) * size, top - 6);
    context.rotate(-Math.PI / 2);
    context.fillText(shortened(piece.label), 0, 0);
    context.restore();
  });
}

/** Frames around the active row or column, and around the cell that is named. */
function drawMarks(context, style) {
  const { view, active, cell, left, top, size } = matrix;
  context.strokeStyle = style.getPropertyValue("--accent");
  context.lineWidth = 1.5;
  const isRow = active.side === "queries";
  context.strokeRect(
    isRow ? left - 0.5 : left + active.index * size - 0.5,
    isRow ? top + active.index * size - 0.5 : top - 0.5,
    isRow ? view.columns * size : size,
    isRow ? size : view.rows * size,
  );
  if (cell === null) return;
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 2;
  context.strokeRect(left + cell.key * size - 0.5, top + cell.query * size - 0.5, size, size);
}

/** Name a cell below the map; null for none. */
function nameCell(cell) {
  matrix.cell = cell;
  const { view } = matrix;
  const line = document.getElementById("cell");
  if (cell === null) {
    line.textContent = "";
  } else {
    const weight = document.createElement("b");
    weight.textContent = percent(view.weight(cell.query, cell.key));
    const [query, key] = [view.queries[cell.query], view.keys[cell.key]];
    line.replaceChildren(`${quoted(query)} looks at ${quoted(key)}: `, weight);
  }
  drawMatrix(view, matrix.active);
}

/** The cell at a position of the pointer, or null. */
function cellAt(event) {
  const box = canvas.getBoundingClientRect();
  const key = Math.floor((event.clientX - box.left - matrix.left) / matrix.size);
  const query = Math.floor((event.clientY - box.top - matrix.top) / matrix.size);
  const isInside = key >= 0 && query >= 0 && key < matrix.view.columns && query < matrix.view.rows;
  return isInside ? { query, key } : null;
}

/** The cell that an arrow key leads to, or null. */
function cellAfter(key) {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  if (!(key in moves)) return null;
  const from = matrix.cell ?? { query: 0, key: 0 };
  const [down, right] = matrix.cell ? moves[key] : [0, 0];
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));
  return {
    query: within(from.query + down, matrix.view.rows),
    key: within(from.key + right, matrix.view.columns),
  };
}
