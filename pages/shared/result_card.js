// Draws the result card on a canvas of 1200 x 630 from plain data: no library, no network.
const WIDTH = 1200;
const HEIGHT = 630;
const PAD = 40;
const FONT = '"Source Sans", "Source Sans 3", system-ui, sans-serif';
const MONO = '"Source Code Pro", ui-monospace, monospace';
const LIGHT = {
  page: "#ffffff", ink: "#1b2333", soft: "#4b566b", line: "#d5dbe7", panel: "#f3f5fa",
  good: "#0b6b45", bad: "#b42318", failed: "#e0483e", interval: "#5b6780",
};
const DARK = {
  page: "#0e1320", ink: "#e7ebf5", soft: "#aab4c8", line: "#333e57", panel: "#1a2133",
  good: "#6ee7a8", bad: "#fca5a5", failed: "#f0685f", interval: "#c3cad9",
};

const font = (size, weight = 400, family = FONT) => `${weight} ${size}px ${family}`;

function fit(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

function write(pen, text, x, y, { size = 16, weight = 400, color, width = WIDTH, family } = {}) {
  pen.font = font(size, weight, family);
  pen.fillStyle = color;
  const shown = fit(pen, text, width);
  pen.fillText(shown, x, y);
  return pen.measureText(shown).width;
}

function paragraph(pen, text, x, y, width, lineHeight, most) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (pen.measureText(longer).width <= width || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  if (lines.length > most) lines[most - 1] = `${lines.slice(most - 1).join(" ")}`;
  lines.slice(0, most).forEach((line, i) => pen.fillText(fit(pen, line, width), x, y + i * lineHeight));
}

function drawDelta(pen, look, delta, x, y, width) {
  const tone = look[delta.tone] || look.ink;
  const arrow = delta.before === delta.after ? delta.after : `${delta.before} → ${delta.after}`;
  write(pen, delta.label, x, y, { size: 16, color: look.soft, width });
  write(pen, arrow, x, y + 34, { size: 30, weight: 700, color: look.ink, width });
  const words = [delta.change, delta.verdict].filter(Boolean).join(" · ");
  const used = write(pen, words, x, y + 60, { size: 17, weight: 600, color: tone, width });
  if (delta.interval && used + 80 < width) {
    const room = width - used - 12;
    write(pen, `95 %: ${delta.interval}`, x + used + 12, y + 60, { size: 14, color: look.soft, width: room });
  }
}

function drawMark(pen, look, mark, kind, x, y, height, at, right) {
  const middle = y + height / 2;
  let end = x + 4;
  if (mark.value === null) {
    pen.strokeStyle = mark.failed ? look.failed : mark.color;
    pen.lineWidth = mark.failed ? 3 : 1.6;
    pen.beginPath();
    if (mark.failed) {
      pen.moveTo(x + 2, middle - 5); pen.lineTo(x + 12, middle + 5);
      pen.moveTo(x + 12, middle - 5); pen.lineTo(x + 2, middle + 5);
    } else pen.arc(x + 7, middle, 5, 0, 7);
    pen.stroke();
    end = x + 16;
  } else {
    const tip = at(mark.value);
    pen.fillStyle = pen.strokeStyle = mark.color;
    pen.lineWidth = 1.6;
    if (kind === "dots") {
      pen.beginPath(); pen.arc(tip, middle, 6, 0, 7);
    } else {
      pen.beginPath(); pen.rect(x, y, Math.max(tip - x, 1), height);
    }
    if (mark.hollow) pen.stroke(); else pen.fill();
    end = Math.max(tip + (kind === "dots" ? 6 : 0), mark.high === null ? 0 : at(mark.high));
    drawInterval(pen, look, mark, middle, at);
  }
  write(pen, mark.text, end + 7, middle + 5, { size: 14, color: look.ink, width: right - end - 7 });
}

function drawInterval(pen, look, mark, middle, at) {
  if (mark.low === null || mark.high === null || mark.low === mark.high) return;
  pen.strokeStyle = look.interval;
  pen.lineWidth = 1.6;
  pen.beginPath();
  pen.moveTo(at(mark.low), middle); pen.lineTo(at(mark.high), middle);
  for (const bound of [mark.low, mark.high]) {
    pen.moveTo(at(bound), middle - 3); pen.lineTo(at(bound), middle + 3);
  }
  pen.stroke();
}

function drawPanel(pen, look, panel, x, y, width, height) {
  pen.fillStyle = look.panel;
  pen.beginPath(); pen.roundRect(x - 14, y, width + 28, height, 10); pen.fill();
  write(pen, panel.title, x, y + 26, { size: 17, weight: 600, color: look.ink, width: width * 0.55 });
  pen.textAlign = "right";
  write(pen, panel.axis, x + width, y + 26, { size: 13, color: look.soft, width: width * 0.5 });
  pen.textAlign = "left";
  if (panel.message) {
    pen.font = font(16); pen.fillStyle = look.ink;
    paragraph(pen, panel.message, x, y + 70, width, 22, 6);
    return;
  }
  const [low, high] = panel.span;
  const at = (value) => x + ((Math.min(value, high) - low) / (high - low)) * width;
  const room = height - (panel.left_out ? 68 : 46);
  const lane = Math.min(room / Math.max(panel.lanes.length, 3), 86);
  panel.lanes.forEach((entry, i) => {
    const top = y + 40 + i * lane;
    const used = write(pen, entry.label, x, top + 14, { size: 14, weight: 700, color: look.ink, width: width * 0.6 });
    write(pen, entry.note, x + used + 8, top + 14, { size: 14, color: look.soft, width: width - used - 8 });
    const bar = Math.min((lane - 26) / 2, 18);
    entry.marks.forEach((mark, j) =>
      drawMark(pen, look, mark, panel.kind, x, top + 21 + j * (bar + 2), bar - 1, at, x + width));
  });
  if (panel.left_out) {
    const words = `and ${panel.left_out} more`;
    write(pen, words, x, y + height - 10, { size: 13, color: look.soft, width });
  }
}

function isDark(element) {
  const background = getComputedStyle(element).getPropertyValue("--st-background-color").trim();
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = background || "#ffffff";
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  return red * 0.3 + green * 0.6 + blue * 0.1 < 128;
}

export function draw(canvas, card, dark) {
  const look = dark ? DARK : LIGHT;
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext("2d");
  pen.fillStyle = look.page;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  const inner = WIDTH - 2 * PAD;
  write(pen, card.title, PAD, 56, { size: 32, weight: 700, color: look.ink, width: inner - 230 });
  pen.textAlign = "right";
  write(pen, `Lathe · ${card.date}`, WIDTH - PAD, 54, { size: 17, weight: 600, color: look.soft, width: 220 });
  pen.textAlign = "left";
  pen.font = font(18, 400);
  pen.fillStyle = look.soft;
  paragraph(pen, card.answer, PAD, 86, inner, 24, 2);
  const gap = 28;
  const column = (inner - 2 * gap) / 3;
  card.deltas.forEach((delta, i) => drawDelta(pen, look, delta, PAD + i * (column + gap), 148, column));
  card.panels.forEach((panel, i) =>
    drawPanel(pen, look, panel, PAD + i * (column + gap) + 14, 228, column - 28, 318));
  const footer = { size: 14, color: look.soft, width: inner };
  write(pen, `Measured on ${card.machine || "an unknown machine"}`, PAD, 571, footer);
  write(pen, card.versions, PAD, 592, footer);
  write(pen, `model SHA-256 ${card.digest}`, PAD, 613, { ...footer, size: 13, family: MONO });
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
}

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const canvas = find("canvas");
  const say = (words) => { find(".said").textContent = words; };
  const paint = () => draw(canvas, data.card, isDark(canvas));
  const image = () => {
    paint();
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };
  paint();
  document.fonts?.ready.then(paint);
  canvas.setAttribute("aria-label", `Result card. ${data.card.title}. ${data.card.answer}`);
  find(".save").onclick = async () => { save(await image(), data.file); say("Saved."); };
  find(".copy").hidden = !(window.isSecureContext && window.ClipboardItem && navigator.clipboard);
  find(".copy").onclick = async () => {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": image() })]);
      say("Copied.");
    } catch {
      save(await image(), data.file);
      say("The browser does not let this page copy: saved instead.");
    }
  };
  const probe = new File([], "x.png", { type: "image/png" });
  find(".share").hidden = !navigator.canShare?.({ files: [probe] });
  find(".share").onclick = async () => {
    const file = new File([await image()], data.file, { type: "image/png" });
    try {
      await navigator.share({ files: [file], title: data.card.title });
    } catch (error) {
      if (error.name !== "AbortError") { save(file, data.file); say("Saved instead."); }
    }
  };
}
