// The badge of what is running, updated in place; notifications only for who asked for them.
const CHOICE = "lathe.notify";
const told = new Set(); // ids of runs whose end was told
const closed = new Set(); // ids of ended runs that were put away

const can = () => window.isSecureContext && "Notification" in window;
const isOn = () => can() && Notification.permission === "granted" && localStorage.getItem(CHOICE) === "on";

function element(tag, words, kind) {
  const made = document.createElement(tag);
  made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

function line(run, words) {
  const item = document.createElement("li");
  const title = run.link ? element("a", run.title) : element("b", run.title);
  if (run.link) title.href = run.link;
  item.append(title, ...words.filter(Boolean).map((said) => element("span", said)));
  return item;
}

function running(run) {
  const item = line(run, [run.now, run.queue]);
  const bar = document.createElement("progress");
  bar.max = 100;
  if (run.percent !== null) bar.value = run.percent;
  bar.setAttribute("aria-label", `Progress of ${run.title}`);
  item.append(bar);
  return item;
}

function summary(live, ended) {
  if (live.length > 1) return `▶ ${live.length} runs`;
  if (live.length) return live[0].percent === null ? "○ waiting" : `▶ running ${live[0].percent} %`;
  return ended.at(-1).state;
}

function tell(run) {
  if (told.has(run.id)) return;
  told.add(run.id);
  if (isOn()) new Notification(`${run.state}: ${run.title}`, { body: run.said, tag: `lathe-${run.id}` });
}

function offer(button, say) {
  button.hidden = !can() || Notification.permission === "denied";
  button.textContent = isOn() ? "Stop notifying me" : "Notify me when a run ends";
  button.onclick = async () => {
    if (isOn()) localStorage.removeItem(CHOICE);
    else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(CHOICE, "on");
    else say("The browser does not allow notifications of this page.");
    offer(button, say);
  };
}

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const sheet = find("details");
  for (const run of data.live) { // one that goes on again ends again
    told.delete(run.id);
    closed.delete(run.id);
  }
  data.ended.forEach(tell);
  const paint = () => {
    const ended = data.ended.filter((run) => !closed.has(run.id));
    sheet.hidden = !data.live.length && !ended.length;
    if (sheet.hidden) { sheet.open = false; return; }
    find("summary").textContent = summary(data.live, ended);
    const items = data.live.map(running);
    for (const run of ended.toReversed()) {
      const item = line(run, [run.state, run.said]);
      const away = element("button", "Put away", "away");
      away.type = "button";
      away.onclick = () => { closed.add(run.id); paint(); };
      item.append(away);
      items.push(item);
    }
    if (!find("ul").contains(parentElement.activeElement ?? document.activeElement)) {
      find("ul").replaceChildren(...items);
    }
    offer(find(".notify"), (words) => { find(".said").textContent = words; });
  };
  paint();
  const leave = (event) => { if (!event.composedPath().includes(sheet)) sheet.open = false; };
  const escape = (event) => { if (event.key === "Escape") sheet.open = false; };
  document.addEventListener("click", leave);
  document.addEventListener("keydown", escape);
  return () => {
    document.removeEventListener("click", leave);
    document.removeEventListener("keydown", escape);
  };
}
