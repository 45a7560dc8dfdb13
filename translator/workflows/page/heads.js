// A table with one button for each head, and for the means.

/** The mean of the entropies of the chosen layers and heads, in bits. */
function entropyOf(layers, layer, head) {
  const values = layers
    .filter((one) => layer === null || one.layer === layer)
    .flatMap((one) => (head === null ? one.entropy : [one.entropy[head]]));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Draw the table. `choose` is called with the layer and head of a click, null for a mean. */
function drawHeads(layers, chosen, choose) {
  const { numKeys } = layers[0];
  const most = Math.log2(Math.max(2, numKeys));
  const heads = [null, ...layers[0].entropy.keys()];
  const numbers = layers.map((one) => one.layer);
  const rows = [...(numbers.length > 1 ? [null] : []), ...numbers];
  const head = row([cell("td", ""), ...heads.map((one) => cell("th", name("Head", one)))]);
  const body = rows.map((layer) =>
    row([
      cell("th", name("Layer", layer)),
      ...heads.map((head) => {
        const bits = entropyOf(layers, layer, head);
        const isChosen = layer === chosen.layer && head === chosen.head;
        const button = headButton(bits, most, isChosen);
        button.setAttribute("aria-label", `${spoken(layer, head)}: ${bits.toFixed(2)} bits`);
        button.title = button.getAttribute("aria-label");
        button.addEventListener("click", () => choose(layer, head));
        return cell("td", button);
      }),
    ]),
  );
  const sections = [["thead", [head]], ["tbody", body]].map(([tag, rows]) => {
    const section = document.createElement(tag);
    section.append(...rows);
    return section;
  });
  document.querySelector("#heads table").replaceChildren(...sections);
  document.getElementById("bits").textContent =
    "The number and its bar are the mean entropy of a head, in bits. " +
    `0: it looks at one piece. ${most.toFixed(1)}: at all ${numKeys} alike.`;
}

const name = (kind, number) => (number === null ? "Mean" : kind === "Head" ? number + 1 : `Layer ${number + 1}`);

function spoken(layer, head) {
  const layerName = layer === null ? "all layers" : `layer ${layer + 1}`;
  return head === null ? `Mean of the heads of ${layerName}` : `Head ${head + 1} of ${layerName}`;
}

function headButton(bits, most, isChosen) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "head";
  button.setAttribute("aria-pressed", isChosen);
  button.style.setProperty("--share", `${Math.min(100, (100 * bits) / most)}%`);
  button.append(bits.toFixed(1), document.createElement("i"));
  return button;
}

function cell(tag, content) {
  const element = document.createElement(tag);
  element.append(content);
  return element;
}

function row(cells) {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}
