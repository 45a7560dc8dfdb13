// One hue; lightness shows the weight. The exponent spreads small weights.

const EXPONENT = 2 / 3;

let stops = [];

/** Read the colours of the current theme, light or dark. */
function readTheme() {
  const scale = getComputedStyle(document.documentElement).getPropertyValue("--scale");
  stops = scale.split(",").map((text) => {
    const number = parseInt(text.trim().slice(1), 16);
    return [number >> 16, (number >> 8) & 255, number & 255];
  });
}

/** The colour of a weight, as [red, green, blue]. */
function colourOf(weight) {
  const place = Math.min(1, Math.max(0, weight)) ** EXPONENT * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  return stops[i].map((from, c) => Math.round(from + (stops[i + 1][c] - from) * (place - i)));
}

const css = (colour) => `rgb(${colour.join(" ")})`;

/** Relative luminance (WCAG 2), 0 to 1. */
function luminance(colour) {
  const [red, green, blue] = colour.map((byte) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Black or white text, whichever is easier to read on a colour. */
const textOn = (colour) => (luminance(colour) > 0.179 ? "#000000" : "#ffffff");

/** Draw the scale with its ticks. */
function drawLegend() {
  const samples = Array.from({ length: 21 }, (_, i) => css(colourOf((i / 20) ** (1 / EXPONENT))));
  document.getElementById("gradient").style.background = `linear-gradient(to right, ${samples})`;
  const ticks = [0, 0.1, 0.25, 0.5, 1].map((weight) => {
    const tick = document.createElement("span");
    tick.textContent = percent(weight);
    tick.style.left = `${100 * weight ** EXPONENT}%`;
    return tick;
  });
  document.getElementById("ticks").replaceChildren(...ticks);
}
