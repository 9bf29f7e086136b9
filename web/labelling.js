// The page on which people label calibration items, mostly with the keyboard.

const WINDOW = 50; // items that are fetched at once
const RETRY_MS = 2000;
const PATIENCE_MS = 15000;

// What a key says of an item, by the item's kind. The buttons of the page have the same keys.
const SAID = {
  grade: { 1: { grade: 1 }, 5: { grade: 0.5 }, 0: { grade: 0 }, u: { unsure: true } },
  stop: { s: { decision: "stop" }, c: { decision: "continue" }, u: { unsure: true } },
  extract: { r: "right", w: "wrong" },
};

const find = (id) => document.getElementById(id);

// ---- what the browser keeps ----

// What is kept belongs to these items and this file of labels; the name to all of them.
function storageKey(key) {
  return key === "name" ? "learn2ask.name" : `learn2ask.${work}.${key}`;
}

function kept(key, otherwise) {
  return JSON.parse(localStorage.getItem(storageKey(key))) ?? otherwise;
}

function keep(key, value) {
  try {
    localStorage.setItem(storageKey(key), JSON.stringify(value));
  } catch {
    // Full. The page still has it, and asks before it is closed.
  }
}

// The link brings the token, and the name of the work after a colon; the address bar and what is
// copied from it do not keep them.
function readLink() {
  const fromLink = location.hash.slice(1);
  if (fromLink) sessionStorage.setItem("learn2ask.link", fromLink);
  history.replaceState(null, "", location.pathname);
  ({ token, work } = linkParts(sessionStorage.getItem("learn2ask.link") ?? ""));
}

function linkParts(link) {
  const [token, work = ""] = link.split(":");
  return { token, work };
}

// ---- state ----

let token = "";
let work = ""; // names the items and the file of labels
let name = "";
let queue = []; // what was said and is not saved yet, oldest first; of every name
let sending = false;
let trouble = ""; // why the server cannot be asked just now
let retryTimer = 0;

let total = null;
let at = null; // index of the item that is shown
let shown = null; // the item itself, once it is here
let drawn = ""; // ID of the item that the panes show
let talkHeight = 0;
let marked = 0; // place in the list of an extract item
let items = new Map(); // index -> item
let fetched = new Set(); // windows that are here or under way
let given = new Map(); // item ID -> label, where this page knows better than an older answer
let undoable = []; // {index, item, marked, entry}: entry is the one in the queue
let drafts = {}; // item ID -> note that waits for a judgement
const quoting = new Map(); // item ID -> {text, error} of the field for a missing quotation

// ---- the server ----

async function api(path, body) {
  const response = await fetch(`/api/${path}`, {
    method: body ? "POST" : "GET",
    headers: { "X-Learn2ask-Token": token, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error), { status: response.status });
}

const query = (path, more = "") => `${path}?by=${encodeURIComponent(name)}${more}`;

function stumble(error) {
  trouble = "The server cannot be reached";
  if (error.status) trouble = `The server says: ${error.message}`;
  if (error.status === 401) {
    trouble = "This link is not valid (any more). Open the address that learn2ask printed last";
    if (!shown) return notice(`${trouble}. ${unsaved()}`);
  }
  showTrouble();
  clearTimeout(retryTimer);
  if (error.status !== 401) retryTimer = setTimeout(retry, RETRY_MS);
}

async function retry() {
  try {
    showProgress(await api(query("progress")));
  } catch (error) {
    return stumble(error);
  }
  trouble = "";
  showTrouble();
  send();
  if (at === null) await open();
  else fetchAround(at);
}

// One request at a time, in the order of the key presses.
async function send() {
  if (sending || trouble) return;
  sending = true;
  while (queue.length && !trouble) {
    const { item, by, label, index } = queue[0];
    try {
      const progress = await api("labels", { item, by, ...(label ?? { undone: true }) });
      if (by === name) showProgress(progress);
    } catch (error) {
      if (error.status !== 400) {
        stumble(error);
        break;
      }
      refuse(queue[0], error.message, index);
    }
    queue.shift();
    keep("queue", queue);
  }
  sending = false;
}

// The server will never take this one: take it back here, and say so.
function refuse(entry, message, index) {
  const later = queue.slice(1).filter(({ item, by }) => item === entry.item && by === entry.by);
  for (const other of later) {
    other.label = without(other.label, entry.quotation);
    other.before = without(other.before, entry.quotation);
  }
  if (later.length && !entry.quotation) later[0].before = entry.before;
  undoable = undoable.filter((step) => step.entry !== entry);
  for (const { item, entry: other } of undoable) {
    if (item === entry.item) other.before = without(other.before, entry.quotation);
  }
  const label = later.length ? later.at(-1).label : entry.before;
  if (entry.by === name) remember(entry.item, index, label);
  if (entry.quotation && entry.by === name) {
    const typed = quoting.get(entry.item)?.text || entry.quotation;
    quoting.set(entry.item, { text: typed, error: `“${entry.quotation}”: ${message}` });
  }
  if (entry.quotation && shown?.id === entry.item) say("", "Not added", "bad");
  else showRefused(index, message);
  if (shown?.id === entry.item) show();
}

function without(label, quotation) {
  if (!quotation || !label?.missing) return label;
  return { ...label, missing: label.missing.filter((text) => text !== quotation) };
}

async function fetchWindow(number) {
  if (fetched.has(number)) return;
  fetched.add(number);
  const [ownItems, ownFetched] = [items, fetched]; // others once the name is changed
  try {
    const more = `&from=${number * WINDOW}&count=${WINDOW}`;
    const answer = await api(query("items", more));
    for (const item of answer.items) {
      if (ownItems === items && given.has(item.id)) item.label = given.get(item.id);
      ownItems.set(item.index, item);
    }
    if (ownItems === items && !shown && items.has(at)) go(at);
  } catch (error) {
    ownFetched.delete(number);
    stumble(error);
  }
}

function fetchAround(index) {
  const number = Math.floor(index / WINDOW);
  const wanted = [number, number + 1, number + 2, number - 1];
  const existing = wanted.filter((each) => each >= 0 && each * WINDOW < total);
  return Promise.all(existing.map(fetchWindow));
}

// ---- moving ----

async function begin(newName) {
  name = newName;
  keep("name", name);
  find("who").textContent = name;
  [at, shown, undoable, drawn] = [null, null, [], ""];
  [items, fetched] = [new Map(), new Set()];
  quoting.clear();
  drafts = kept(`notes.${name}`, {});
  given = new Map(queue.filter(({ by }) => by === name).map(({ item, label }) => [item, label]));
  notice("Opening …");
  await open();
  send();
}

// At the item that this person saw last, or else at the first one to label.
async function open() {
  const by = name;
  try {
    const progress = await api(query("progress"));
    if (by !== name) return;
    showProgress(progress);
    if (total === 0) return notice("There are no items to label.");
    const place = kept(`place.${name}`, { index: -1 });
    if (place.index >= 0 && place.index < total) await fetchAround(place.index);
    const same = place.id && items.get(place.index)?.id === place.id;
    const index = same ? place.index : (await api(query("next", "&after=-1"))).index;
    if (by === name) go(index ?? 0);
  } catch (error) {
    stumble(error);
  }
}

function go(index, mark) {
  if (index < 0 || index >= total) return say(index < 0 ? "The first item" : "The last item");
  at = index;
  shown = items.get(at) ?? null;
  fetchAround(at);
  if (!shown) return notice(`Fetching item ${at + 1} …`);
  keep(`place.${name}`, { index: at, id: shown.id });
  marked = mark ?? Math.max(0, verdicts(shown).indexOf(null));
  show();
}

async function goToUnlabelled() {
  const from = at;
  while (queue.length && !trouble) await new Promise((done) => setTimeout(done, 10));
  if (trouble) return say("Not while the server cannot be reached");
  try {
    const { index } = await api(query("next", `&after=${from}`));
    const isTyping = document.activeElement.closest("input");
    if (index === null) say("", "All items are labelled. Thank you!", "good");
    else if (at === from && !isTyping) go(index);
  } catch (error) {
    stumble(error);
  }
}

function goOn() {
  if (at + 1 < total) go(at + 1);
  else goToUnlabelled();
}

// ---- judging ----

const verdicts = (item) => (item.items ?? []).map((_, k) => item.label?.items?.[k] ?? null);
const noteOf = (item) => item.label?.note ?? drafts[item.id] ?? "";

function give(label, quotation, note = noteOf(shown)) {
  const entry = change(shown, note ? { ...label, note } : label, quotation);
  undoable.push({ index: at, item: shown.id, marked, entry });
}

function change(item, label, quotation) {
  const before = item.label;
  const entry = { item: item.id, index: item.index, by: name, label, before, quotation };
  keepDraft(item.id, label || !before ? "" : before.note);
  queue.push(entry);
  keep("queue", queue);
  remember(item.id, item.index, label);
  showTrouble();
  send();
  return entry;
}

function remember(id, index, label) {
  given.set(id, label);
  if (items.get(index)?.id === id) items.get(index).label = label;
}

function keepDraft(id, note) {
  if (note) drafts[id] = note;
  else delete drafts[id];
  keep(`notes.${name}`, drafts);
}

// Says what was given in the words and the colour of its button.
function sayGiven(what, key) {
  const button = document.querySelector(`[data-for=${shown.kind}] [data-key="${key}"]`);
  say(`${what}: `, button.querySelector("b").textContent, button.className);
}

function decide(key) {
  sayGiven(`Item ${at + 1}`, key);
  give(SAID[shown.kind][key]);
  goOn();
}

function listLabel() {
  return { items: verdicts(shown), missing: [...(shown.label?.missing ?? [])] };
}

function judge(key) {
  const label = listLabel();
  if (!label.items.length) return say("Nothing to judge here: Enter goes on");
  label.items[marked] = SAID.extract[key];
  sayGiven(`Item ${at + 1}, ${marked + 1} of ${label.items.length}`, key);
  give(label);
  mark(marked + 1);
}

function mark(place) {
  marked = Math.max(0, Math.min(place, shown.items.length - 1));
  show();
}

function finish() {
  const open = verdicts(shown).filter((each) => each === null).length;
  if (open) {
    say("", `${open} still to judge`, "so-so");
    return mark(verdicts(shown).indexOf(null));
  }
  say(`Item ${at + 1}: `, "Done", "good");
  if (!shown.label) give(listLabel());
  goOn();
}

function addQuotation() {
  const text = find("quotation").value.trim();
  const label = listLabel();
  if (!text || label.missing.includes(text)) return;
  quoting.delete(shown.id);
  give({ ...label, missing: [...label.missing, text] }, text);
  show();
}

function removeQuotation(text) {
  give(without(listLabel(), text));
  show();
}

function undo() {
  const step = undoable.pop();
  if (!step) return say("Nothing to undo");
  change(items.get(step.index), step.entry.before);
  say(`Item ${step.index + 1}: `, "taken back", "plain");
  go(step.index, step.marked);
}

function saveNote() {
  const note = find("note").value.trim();
  if (!shown || note === noteOf(shown)) return;
  keepDraft(shown.id, note);
  if (!shown.label) return say(note ? "The note is saved with your judgement" : "Note removed");
  const { note: _, ...label } = shown.label;
  give(label, undefined, note);
  say(`Item ${at + 1}: `, note ? "note saved" : "note removed", "plain");
}

// ---- showing ----

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function notice(text) {
  find("notice").textContent = text;
  find("notice").hidden = false;
  find("panes").hidden = find("dock").hidden = true;
}

function say(text, strong = "", tone = "") {
  const line = element("span", { class: tone }, text, element("b", {}, strong));
  find("said").replaceChildren(line); // a new node, so that it flashes anew
}

function showProgress(progress) {
  total = progress.total;
  find("head").className = "";
  const count = `${progress.labelled.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  find("bar").max = Math.max(total, 1);
  find("bar").value = progress.labelled;
  find("progress").textContent = `${count} labelled`;
  find("of-total").textContent = `of ${total.toLocaleString("en")}`;
  document.title = `${count} – learn2ask labelling`;
}

function unsaved() {
  if (!queue.length) return "";
  const count = queue.length === 1 ? "1 judgement is" : `${queue.length} judgements are`;
  return `${count} not saved yet: this browser keeps what you press, and sends it later.`;
}

function showTrouble() {
  find("trouble").hidden = !trouble;
  find("trouble").textContent = `${trouble}. ${unsaved()}`;
}

function showRefused(index, message) {
  const button = element("button", { type: "button" }, `Go to item ${index + 1}`);
  button.addEventListener("click", () => go(index));
  const text = `Not saved: your judgement of item ${index + 1}: ${message} `;
  find("refused").firstElementChild.append(element("li", {}, text, button));
  find("refused").hidden = false;
  say(`Item ${index + 1}: `, "not saved", "bad");
}

// Where a text says these words, whatever the case and the punctuation between them.
function placeOf(said, text) {
  const words = (said ?? "").match(/[\p{L}\p{N}\p{M}]+/gu);
  const letter = "[\\p{L}\\p{N}\\p{M}]";
  const pattern = `(?<!${letter})${words?.join("[^\\p{L}\\p{N}\\p{M}]+")}(?!${letter})`;
  return words && new RegExp(pattern, "iu").exec(text);
}

function bubble({ from, text }, fact) {
  const node = element("p", { class: `bubble ${from === "expert" ? "expert" : "user"}` });
  node.append(element("b", {}, from === "expert" ? "Expert" : "User"));
  const place = from === "user" ? placeOf(fact, text) : null;
  if (!place) node.append(text);
  else {
    const end = place.index + place[0].length;
    node.append(text.slice(0, place.index), element("mark", {}, place[0]), text.slice(end));
  }
  return node;
}

function factCard({ question, fact }, place, verdict) {
  const card = find("fact").content.firstElementChild.cloneNode(true);
  card.dataset.place = place;
  card.querySelector("span").textContent = question;
  card.querySelector("b").textContent = fact;
  if (shown.kind !== "extract") return card;
  card.setAttribute("aria-current", place === marked);
  for (const button of card.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", SAID.extract[button.dataset.key] === verdict);
  }
  return card;
}

function quotationLine(text) {
  const button = element("button", { type: "button", "aria-label": `Remove: ${text}` }, "Remove");
  button.addEventListener("click", () => removeQuotation(text));
  return element("li", {}, element("q", {}, text), button);
}

const HEADS = {
  grade: ["The conversation so far", "What the expert still found out later"],
  extract: ["The conversation", "What the user still told, because asked"],
  stop: ["The conversation so far", "What was said after this point"],
};

function sideOf(item) {
  if (item.kind === "stop") return item.future.map((turn) => bubble(turn));
  const list = item.kind === "grade" ? item.open : item.items;
  if (!list.length) return [element("p", { class: "none" }, "Nothing")];
  return list.map((each, place) => factCard(each, place, verdicts(item)[place]));
}

function talkOf(item) {
  const turns = item.turns.map((turn) => bubble(turn));
  if (item.kind !== "extract") return turns;
  const fact = item.items[marked]?.fact;
  const line = element("h3", { class: "from-here" }, "From here on");
  return [...turns, line, ...item.future.map((turn) => bubble(turn, fact))];
}

function isSaid(key, { kind, label }) {
  const said = SAID[kind][key];
  return Boolean(said && label) && Object.keys(said).every((name) => said[name] === label[name]);
}

function show() {
  const item = shown;
  const talk = find("talk");
  const scrolled = talk.scrollTop;
  const focused = document.activeElement.closest(".fact button")?.dataset.key;
  find("notice").hidden = true;
  find("panes").hidden = find("dock").hidden = false;
  find("panes").className = item.kind;
  fill("go-to", at + 1);
  [find("talk-head").textContent, find("side-head").textContent] = HEADS[item.kind];
  talk.lastElementChild.replaceChildren(...talkOf(item));
  find("facts").className = item.kind === "stop" ? "transcript" : "facts";
  find("facts").replaceChildren(...sideOf(item));
  find("reply").textContent = item.reply ?? "";
  find("reply").classList.toggle("long", find("reply").textContent.length > 300);
  find("done").classList.toggle("ready", !verdicts(item).includes(null));
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = part.dataset.for !== item.kind;
  }
  for (const button of document.querySelectorAll(".choices button")) {
    button.setAttribute("aria-pressed", isSaid(button.dataset.key, item));
  }
  document.querySelector(`[aria-current=true] [data-key=${focused}]`)?.focus();
  fill("note", noteOf(item));
  showQuoting(item);
  bringIntoView(item, drawn === item.id ? scrolled : null);
  drawn = item.id;
}

// What is being typed stays.
function fill(id, value) {
  if (document.activeElement !== find(id)) find(id).value = value;
}

function showQuoting(item) {
  find("quoting").hidden = item.kind !== "extract";
  find("quotations").replaceChildren(...(item.label?.missing ?? []).map(quotationLine));
  const { text, error } = quoting.get(item.id) ?? { text: "", error: "" };
  find("quotation").value = text;
  find("quotation-error").textContent = error;
}

// Of a new item its latest turn, or where the part begins that is judged.
function bringIntoView(item, scrolled) {
  const [talk, side] = [find("talk"), find("side")];
  if (scrolled !== null) talk.scrollTop = scrolled;
  else {
    side.scrollTop = 0;
    const start = talk.querySelector(".from-here");
    talk.scrollTop = start ? start.offsetTop - talk.clientHeight / 4 : talk.scrollHeight;
    if (document.activeElement === document.body) talk.focus({ preventScroll: true });
  }
  talkHeight = talk.clientHeight;
  if (item.kind !== "extract") return;
  talk.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  const quoted = document.activeElement === find("quotation") ? document.activeElement : null;
  const current = quoted ?? side.querySelector("[aria-current=true]");
  current?.scrollIntoView({ block: "nearest" });
}

// A banner that comes or goes moves the top of the conversation, not its end.
function keepEnd() {
  const talk = find("talk");
  if (shown) talk.scrollTop += talkHeight - talk.clientHeight;
  talkHeight = talk.clientHeight;
}

// ---- keys and buttons ----

const EVERYWHERE = {
  ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1),
  k: () => go(at - 1), j: () => go(at + 1),
  g: goToUnlabelled,
  z: undo,
  n: () => find("note").select(),
  "/": () => find("go-to").select(),
  "?": () => find("help").showModal(),
};

const KEYS = {
  grade: { 1: decide, 5: decide, 0: decide, u: decide },
  stop: { s: decide, c: decide, u: decide },
  extract: {
    r: judge,
    w: judge,
    m: openQuotation,
    ArrowUp: () => mark(marked - 1),
    ArrowDown: () => mark(marked + 1),
    Enter: finish,
  },
};

const MAY_REPEAT = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "j", "k"];

function act(key) {
  if (at === null) return false;
  const action = (shown && KEYS[shown.kind][key]) || EVERYWHERE[key];
  action?.(key);
  return Boolean(action);
}

// Digits and letters too where a keyboard has other signs on these keys (French, Russian).
function keyOf({ key, code, shiftKey }) {
  if (key.length > 1) return key;
  if (code.startsWith("Digit") && !shiftKey) return code.at(-1);
  if (code.startsWith("Key") && key > "~") return code.at(-1).toLowerCase();
  return key.toLowerCase();
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.target.closest("input") || document.querySelector("dialog[open]")) return;
  if (event.target.closest("button") && ["Enter", " "].includes(event.key)) {
    if (event.repeat) event.preventDefault();
    return; // the button is pressed
  }
  const key = keyOf(event);
  if (event.repeat && !MAY_REPEAT.includes(key)) return;
  if (act(key)) event.preventDefault();
}

function onClick(event) {
  const card = event.target.closest(".fact");
  const button = event.target.closest("[data-key]");
  if (event.detail) button?.blur(); // after the mouse the next Enter is for the item
  if (card && shown.kind === "extract") mark(Number(card.dataset.place));
  if (button) act(button.dataset.key);
}

// Enter and Esc leave a field.
function leaveOn(id, keys, work) {
  find(id).addEventListener("keydown", (event) => {
    if (event.isComposing || !keys.includes(event.key)) return;
    event.preventDefault();
    find(id).blur();
    work(event.key);
  });
}

function goToTyped(key) {
  const number = Number(find("go-to").value.replaceAll(/[,.\s]/g, ""));
  find("go-to").value = at + 1;
  if (key === "Escape") return;
  if (number >= 1 && number <= total) go(Math.floor(number) - 1);
  else say(`There are items 1 to ${total.toLocaleString("en")}`);
}

function openQuotation() {
  const picked = getSelection().toString().replace(/\s+/g, " ").trim();  // an input drops line ends
  if (picked) find("quotation").value = picked;
  find("quotation").focus();
}

function askName() {
  find("name").value = name;
  find("naming").showModal();
  find("name").select();
}

function onName(event) {
  event.preventDefault();
  const typed = find("name").value.trim();
  if (!typed) return;
  find("naming").close();
  if (typed !== name) begin(typed);
}

function listen() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  leaveOn("note", ["Enter", "Escape"], () => {});
  find("note").addEventListener("blur", saveNote);
  window.addEventListener("pagehide", saveNote);
  leaveOn("go-to", ["Enter", "Escape"], goToTyped);
  leaveOn("quotation", ["Escape"], () => {});
  find("quotation").addEventListener("input", (event) => {
    quoting.set(shown.id, { text: event.target.value, error: "" });
    find("quotation-error").textContent = "";
  });
  find("quoting").addEventListener("submit", (event) => {
    event.preventDefault();
    addQuotation();
  });
  new ResizeObserver(keepEnd).observe(find("talk"));
  find("who").addEventListener("click", askName);
  find("naming").addEventListener("submit", onName);
  find("naming").addEventListener("close", () => name || askName());
  find("close-refused").addEventListener("click", () => {
    find("refused").hidden = true;
    find("refused").firstElementChild.replaceChildren();
  });
  addEventListener("beforeunload", (event) => queue.length && event.preventDefault());
  addEventListener("hashchange", () => {
    if (location.hash && linkParts(location.hash.slice(1)).work !== work) return location.reload();
    readLink();
    if (name) retry();
    else welcome();
  });
}

async function welcome() {
  const last = kept("name", "");
  if (last) return begin(last);
  try {
    await api(query("progress"));
  } catch (error) {
    if (error.status === 401) return stumble(error);
  }
  trouble = "";
  askName();
}

readLink();
// One tab at a time, so that what is not saved yet has one owner.
const waiting = setTimeout(() => {
  notice("Labelling is open in another tab of this browser. Close it to go on here.");
}, 500);
navigator.locks.request("learn2ask.labelling", () => {
  clearTimeout(waiting);
  queue = kept("queue", []);
  listen();
  welcome();
  return new Promise(() => {}); // held until the tab is closed
});
