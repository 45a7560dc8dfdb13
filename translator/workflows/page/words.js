// Two lines of words: one piece is active, and the pieces of the other line are shaded.

const SIDES = ["keys", "queries"];
const CURVE_FROM = 0.04;
const lineOf = (side) => document.getElementById(side);
const pieceOf = (side, index) => lineOf(side).querySelector(`[data-index="${index}"]`);
const otherSide = (side) => (side === "keys" ? "queries" : "keys");

/** Fill both lines. Pieces of one word stand together. */
function drawWords(view, labels, languages) {
  for (const side of SIDES) {
    document.getElementById(`${side}-label`).textContent = labels[side];
    const words = [];
    view[side].forEach((piece, index) => {
      if (piece.beginsWord || !words.length) words.push([]);
      words.at(-1).push(pieceButton(piece, side, index));
    });
    const elements = words.map((buttons) => {
      const word = document.createElement("span");
      word.className = "word";
      word.append(...buttons);
      return word;
    });
    lineOf(side).lang = languages[side];
    lineOf(side).replaceChildren(...elements);
  }
}

function pieceButton(piece, side, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `piece ${piece.kind}`;
  if (piece.kind !== "text") button.dir = "ltr"; // so that it does not decide the direction of its line
  button.textContent = piece.label;
  button.dataset.side = side;
  button.dataset.index = index;
  button.tabIndex = index === 0 ? 0 : -1;
  return button;
}

/** Shade what belongs to the active piece. */
function shadeWords(view, active, isPinned) {
  for (const side of SIDES) {
    const weights = side === active.side ? null : weightsOf(view, active.side, active.index);
    lineOf(side).querySelectorAll(".piece").forEach((button, index) => {
      const isActive = side === active.side && index === active.index;
      button.classList.toggle("active", isActive);
      button.setAttribute("aria-pressed", isActive && isPinned);
      button.style.background = button.style.color = "";
      button.removeAttribute("aria-label");
      if (weights !== null) shade(button, view[side][index], weights[index]);
    });
  }
  drawCurves(view, active);
  drawReading(view, active);
}

function shade(button, piece, weight) {
  button.setAttribute("aria-label", `${piece.label}, ${percent(weight)}`);
  if (weight < 0.005) return;
  const colour = colourOf(weight);
  button.style.background = css(colour);
  button.style.color = textOn(colour);
}

/** Curves from the active piece to those that it is linked to. */
function drawCurves(view, active) {
  const svg = document.getElementById("curves");
  const frame = svg.getBoundingClientRect();
  const paths = [];
  weightsOf(view, active.side, active.index).forEach((weight, index) => {
    if (weight < CURVE_FROM) return;
    const one = pieceOf(active.side, active.index).getBoundingClientRect();
    const other = pieceOf(otherSide(active.side), index).getBoundingClientRect();
    const [key, query] = active.side === "keys" ? [one, other] : [other, one];
    const [x, y] = [key.left + key.width / 2 - frame.left, key.bottom - frame.top];
    const [u, v] = [query.left + query.width / 2 - frame.left, query.top - frame.top];
    const bend = (v - y) / 2;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x} ${y} C${x} ${y + bend} ${u} ${v - bend} ${u} ${v}`);
    path.style.strokeWidth = 1 + 5 * weight;
    path.style.opacity = 0.15 + 0.6 * weight;
    paths.push(path);
  });
  svg.replaceChildren(...paths);
}

/** The strongest links of the active piece as a sentence. */
function drawReading(view, active) {
  const others = view[otherSide(active.side)];
  const strongest = weightsOf(view, active.side, active.index)
    .map((weight, index) => ({ weight, piece: others[index] }))
    .filter(({ weight }) => weight >= 0.02)
    .sort((one, other) => other.weight - one.weight)
    .slice(0, 5);
  const verb = active.side === "keys" ? " is looked at by " : " looks at ";
  const found = strongest.map(({ weight, piece }) => `${quoted(piece)} ${percent(weight)}`);
  const name = document.createElement("b");
  name.textContent = quoted(view[active.side][active.index]);
  const text = found.length ? `${found.join(", ")}.` : "nothing that is drawn.";
  document.getElementById("reading").replaceChildren(name, verb + text);
}

/** The piece that an arrow key leads to, or null. */
function neighbour(button, key) {
  const { side, index } = button.dataset;
  const pieces = [...lineOf(side).querySelectorAll(".piece")];
  const isRightToLeft = getComputedStyle(lineOf(side)).direction === "rtl";
  const forward = isRightToLeft ? "ArrowLeft" : "ArrowRight";
  if (key === "Home") return pieces[0];
  if (key === "End") return pieces.at(-1);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    return pieces[Number(index) + (key === forward ? 1 : -1)] ?? null;
  }
  if (key !== (side === "keys" ? "ArrowDown" : "ArrowUp")) return null;
  const middle = (one) => one.getBoundingClientRect().left + one.offsetWidth / 2;
  const away = (one) => Math.abs(middle(one) - middle(button));
  return [...lineOf(otherSide(side)).querySelectorAll(".piece")].reduce((one, other) =>
    away(other) < away(one) ? other : one,
  );
}
