// Shows the result card and takes it along: as PNG, drawn at twice its size, or as the SVG it is.
const SCALE = 2;

const shown = new WeakMap(); // picture -> the SVG that it shows

const svgOf = (data) => new Blob([data.svg], { type: "image/svg+xml" });

async function pngOf(data) {
  const address = URL.createObjectURL(svgOf(data));
  try {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = data.width * SCALE;
    canvas.height = data.height * SCALE;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
}

function show(image, data) {
  if (shown.get(image) === data.svg) return;
  shown.set(image, data.svg);
  const before = image.src;
  image.src = URL.createObjectURL(svgOf(data));
  image.alt = data.alt;
  image.width = data.width; // the place is kept while it loads
  image.height = data.height;
  if (before) URL.revokeObjectURL(before);
}

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const say = (words) => { find(".said").textContent = words; };
  show(find("img"), data);
  say("");
  find(".png").onclick = async () => { save(await pngOf(data), `${data.file}.png`); say("Saved."); };
  find(".svg").onclick = () => { save(svgOf(data), `${data.file}.svg`); say("Saved."); };
  find(".copy").hidden = !(window.isSecureContext && window.ClipboardItem && navigator.clipboard);
  find(".copy").onclick = async () => {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": pngOf(data) })]);
      say("Copied.");
    } catch {
      save(await pngOf(data), `${data.file}.png`);
      say("The browser does not let this page copy: saved instead.");
    }
  };
  const probe = new File([], "x.png", { type: "image/png" });
  find(".share").hidden = !navigator.canShare?.({ files: [probe] });
  find(".share").onclick = async () => {
    const file = new File([await pngOf(data)], `${data.file}.png`, { type: "image/png" });
    try {
      await navigator.share({ files: [file], title: data.alt });
    } catch (error) {
      if (error.name !== "AbortError") { save(file, file.name); say("Saved instead."); }
    }
  };
}
