// What the user has chosen, and what follows from each choice.

const data = JSON.parse(document.getElementById("data").textContent);
const PARTS = { cross: "Cross", encoder: "Encoder", decoder: "Decoder" };
const LABELS = {
  cross: { keys: "Source, looked at", queries: "Target, looking" },
  encoder: { keys: "Source, looked at", queries: "Source, looking" },
  decoder: { keys: "Target so far, looked at", queries: "Target, each piece as it is written" },
};
const chosen = { sentence: 0, part: "cross", layer: null, head: null, active: null, isPinned: false };
let view = null;

const sentence = () => data.sentences[chosen.sentence];
const element = (id) => document.getElementById(id);

/** Draw everything that depends on the sentence, the part, the layer and the head. */
function draw() {
  view = viewOf(sentence(), chosen.part, chosen.layer, chosen.head);
  for (const id of ["words", "details"]) element(id).hidden = view === null;
  element("none").hidden = view !== null;
  drawNotes();
  if (view === null) {
    const mixer = data.mixers[chosen.part];
    element("none").textContent =
      `The ${chosen.part} of this model has no attention, so it has no weights that one could ` +
      `see. Its positions exchange information through ${mixer}.`;
    return;
  }
  const [source, target] = data.languages;
  const keys = chosen.part === "decoder" ? target : source;
  const queries = chosen.part === "encoder" ? source : target;
  drawWords(view, LABELS[chosen.part], { keys, queries });
  const layers = sentence().layers.filter((one) => one.part === chosen.part);
  drawHeads(layers, chosen, chooseHead);
  element("details").classList.toggle("wide", view.columns > 32);
  canvas.setAttribute("aria-label", `Heat map of ${view.rows} by ${view.columns} weights`);
  const links = longestLinks(view);
  drawLinks(links);
  matrix.cell = null;
  element("cell").textContent = "";
  chosen.active ??= { side: "queries", index: links[0]?.query ?? 0 };
  shadeAll();
}

function shadeAll() {
  shadeWords(view, chosen.active, chosen.isPinned);
  drawMatrix(view, chosen.active);
}

function activate(side, index, isPinned = chosen.isPinned) {
  Object.assign(chosen, { active: { side, index: Number(index) }, isPinned });
  shadeAll();
}

function chooseHead(layer, head) {
  Object.assign(chosen, { layer, head });
  draw();
  document.querySelector('.head[aria-pressed="true"]').focus({ preventScroll: true });
}

function drawLinks(links) {
  element("rule").textContent = links.length
    ? `Pieces far apart, with a weight of ${percent(STRONG)} or more. Begin and end are left out.`
    : `No piece has a weight of ${percent(STRONG)} or more on one at another position.`;
  const items = links.map(({ query, key, weight, distance }) => {
    const button = document.createElement("button");
    button.type = "button";
    const pair = document.createElement("span");
    pair.className = "pair";
    pair.append(isolated(view.queries[query]), " → ", isolated(view.keys[key]));
    const facts = document.createElement("span");
    facts.className = "facts";
    facts.textContent = `${distance} apart · ${percent(weight)}`;
    button.append(pair, facts);
    button.addEventListener("click", () => {
      activate("queries", query, true);
      nameCell({ query, key });
      element("words").scrollIntoView({ block: "nearest" });
    });
    return cell("li", button);
  });
  document.querySelector("#links ol").replaceChildren(...items);
}

function isolated(piece) {
  const element = document.createElement("bdi");
  element.textContent = piece.label;
  return element;
}

function drawNotes() {
  const notes = [];
  for (const side of ["source", "target"]) {
    const { pieces, numPieces } = sentence()[side];
    if (pieces.length < numPieces) {
      const all = numPieces.toLocaleString("en");
      notes.push(
        `The first ${pieces.length} of ${all} pieces of the ${side} are drawn. ` +
          "Weights on others are missing.",
      );
    }
  }
  if (data.isForced) notes.push("The target was given, not found by the model.");
  if (data.isDecoderOnly) {
    notes.push(
      "This model has one attention to source and target: for each target piece, the weights of " +
        "cross and decoder add up to 100\u202f% together.",
    );
  }
  notes.push(
    "Each target piece is shown with what the model looks at just before it writes the piece. " +
      "A word may consist of several pieces.",
  );
  element("notes").replaceChildren(...notes.map((text) => cell("p", text)));
}

function drawSentences() {
  if (data.sentences.length < 2) return;
  element("sentences").hidden = false;
  const items = data.sentences.map((one, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dir = "auto";
    button.textContent = one.source.text;
    button.addEventListener("click", () => chooseSentence(index));
    return cell("li", button);
  });
  document.querySelector("#sentences ol").replaceChildren(...items);
}

function chooseSentence(index) {
  Object.assign(chosen, { sentence: index, active: null, isPinned: false });
  document.querySelectorAll("#sentences button").forEach((button, i) => {
    if (i === index) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  draw();
}

function drawParts() {
  for (const [part, text] of Object.entries(PARTS)) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio", name: "part", value: part, checked: part === chosen.part,
    });
    input.addEventListener("change", () => {
      Object.assign(chosen, { part, layer: null, head: null, active: null, isPinned: false });
      draw();
    });
    label.append(input, text);
    element("parts").append(label);
  }
}

function listenToWords() {
  const words = element("words");
  const piece = (event) => event.target.closest?.(".piece");
  const preview = (event) => {
    const button = piece(event);
    if (button && !chosen.isPinned) activate(button.dataset.side, button.dataset.index);
  };
  words.addEventListener("mouseover", preview);
  words.addEventListener("focusin", (event) => {
    const button = piece(event);
    if (!button) return;
    lineOf(button.dataset.side).querySelectorAll(".piece").forEach((one) => (one.tabIndex = -1));
    button.tabIndex = 0;
    preview(event);
  });
  words.addEventListener("click", (event) => {
    const button = piece(event);
    if (!button) return;
    const isPinned = button.getAttribute("aria-pressed") !== "true";
    activate(button.dataset.side, button.dataset.index, isPinned);
  });
  words.addEventListener("keydown", (event) => {
    const next = piece(event) && neighbour(piece(event), event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

function listenToMatrix() {
  canvas.addEventListener("mousemove", (event) => nameCell(cellAt(event)));
  canvas.addEventListener("mouseleave", () => nameCell(null));
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (cell) activate("queries", cell.query, true);
  });
  canvas.addEventListener("keydown", (event) => {
    const next = cellAfter(event.key);
    if (event.key === "Enter" && matrix.cell) activate("queries", matrix.cell.query, true);
    if (!next) return;
    event.preventDefault();
    nameCell(next);
  });
}

function restyle() {
  readTheme();
  drawLegend();
  if (view !== null) shadeAll();
}

element("about").textContent = `${data.run} · ${data.languages.join(" → ")}`;
drawSentences();
drawParts();
restyle();
chooseSentence(0);
listenToWords();
listenToMatrix();
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && view !== null) activate(chosen.active.side, chosen.active.index, false);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
new ResizeObserver(() => view !== null && shadeAll()).observe(element("words"));
