// Colours by a quantity or by precision, readable on light and dark, and how numbers are written.
const HEAT = {
  light: [[0, "#f1f4fa"], [0.12, "#fdeecb"], [0.4, "#f9bf66"], [0.7, "#ea7a33"], [1, "#b93815"]],
  dark: [[0, "#202a40"], [0.12, "#3d3426"], [0.4, "#7d4a16"], [0.7, "#cf6a1c"], [1, "#ffb35c"]],
};
const PRECISIONS = [
  [/^int(8|16)$/, "#10a37a"], [/^int/, "#e07a1f"], [/16$/, "#b978c9"], [/^f(32|64)$/, "#94a0b8"],
];
const OTHER = "#5b9bd5";
const INKS = ["#0b1220", "#ffffff"];
const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const parsed = new Map();

export function rgb(colour) {
  if (!parsed.has(colour)) {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = "#ffffff";
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    parsed.set(colour, [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  }
  return parsed.get(colour);
}

const light = (colour) => {
  const [r, g, b] = rgb(colour).map((v) => {
    const part = v / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

const inks = new Map();
export function inkOn(colour) {
  if (!inks.has(colour)) {
    const contrast = (ink) => {
      const [low, high] = [light(ink), light(colour)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    inks.set(colour, contrast(INKS[0]) >= contrast(INKS[1]) ? INKS[0] : INKS[1]);
  }
  return inks.get(colour);
}

export function look(element) {
  const style = getComputedStyle(element);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const page = read("--st-background-color", "#ffffff");
  const dark = light(page) < 0.3;
  return {
    page, dark,
    ink: read("--st-text-color", "#0b1220"),
    line: read("--st-border-color", "#d5dbe7"),
    panel: read("--st-secondary-background-color", "#f3f5fa"),
    primary: read("--st-primary-color", "#1d4ed8"),
    edge: dark ? "#5a6786" : "#9aa5ba",
    soft: dark ? "#aab4c8" : "#4b566b",
  };
}

function heat(t, dark) {
  const stops = HEAT[dark ? "dark" : "light"];
  const next = Math.max(1, stops.findIndex(([at]) => at >= t));
  const [[from, a], [to, b]] = [stops[next - 1], stops[next]];
  const part = Math.round((40 * (t - from)) / (to - from)) / 40;
  const [first, second] = [rgb(a), rgb(b)];
  return `rgb(${first.map((v, i) => Math.round(v + (second[i] - v) * part)).join(",")})`;
}

export function gradient(dark) {
  return `linear-gradient(90deg, ${HEAT[dark ? "dark" : "light"]
    .map(([at, colour]) => `${colour} ${100 * at ** 2}%`).join(", ")})`;
}

export const precision = (word) =>
  (PRECISIONS.find(([form]) => form.test(word)) ?? [null, OTHER])[1];

// What an item is filled with; null where nothing is known of it.
export function fill(item, colour, dark) {
  if (colour.key === "precision") return item.precision ? precision(item.precision) : null;
  const value = item[colour.key];
  if (value === null || value === undefined) return null;
  return heat(colour.most ? Math.sqrt(Math.min(1, Math.max(0, value) / colour.most)) : 0, dark);
}

export function written(value, colour) {
  if (colour.key === "precision") return value || "";
  if (value === null || value === undefined) return "";
  if (colour.key === "ms") return time(value);
  if (colour.key === "error") return `${digits(100 * value, 2)} %`;
  return value ? count(value) : "";
}

export const time = (ms) => (ms < 0.1 ? `${digits(1000 * ms)} µs` : `${digits(ms)} ms`);

export function count(value) {
  if (value === null) return "unknown";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (value >= size) return `${digits(value / size)} ${unit}`;
  return value.toLocaleString("en");
}

export function digits(value, most = 3) {
  if (!value) return "0";
  if (value < 1e-6) return "< 0.000001";
  const places = Math.max(0, most - 1 - Math.floor(Math.log10(Math.abs(value))));
  return Number(value.toPrecision(most)).toLocaleString("en", {
    minimumFractionDigits: Math.min(places, 8), maximumFractionDigits: Math.min(places, 8),
  });
}

export const bytes = (value) => {
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (value >= size) return `${digits(value / size)} ${unit}`;
  return `${value} B`;
};
