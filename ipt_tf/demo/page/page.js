// The page: choose a photograph and a task, have it restored, look, download.

import { Compare } from "./compare.js";
import * as server from "./server.js";
import { messages } from "./stream.js";

const $ = (id) => document.getElementById(id);
const view = $("view");
const [before, after, veil, slider] = [".before", ".after", ".tiles", ".slider"].map((name) => view.querySelector(name));
const choices = $("panel").elements;
const compare = new Compare(view, (zoom) => ($("percent").value = `${Math.round(100 * zoom)} %`));

let about; // what the server says about itself
let chosen = null; // the file that is to be restored
let running = null; // AbortController of the restoration
let turns = 0;

// Shows what belongs to a state: empty, chosen, working or done.
function show(state) {
  document.body.dataset.state = state;
  $("drop").hidden = state !== "empty";
  view.hidden = state === "empty";
  $("tools").hidden = state !== "done";
  $("working").hidden = state !== "working";
  $("restore").hidden = state === "working";
  $("restore").disabled = state === "empty";
  $("result").hidden = state !== "done";
  slider.disabled = state !== "done";
}

function say(text) {
  $("status").textContent = text; // read aloud, not seen
}

function fail(text) {
  $("error").textContent = text;
}

// --- the photograph ---

async function choose(file, { clean }) {
  const turn = ++turns;
  fail("");
  let size;
  try {
    size = await inspected(file);
  } catch (error) {
    fail(error.message);
    return;
  }
  if (turn !== turns) return; // another one was chosen meanwhile
  running?.abort();
  running = null;
  chosen = file;
  choices.degrade.value = String(clean && task().degradable);
  for (const button of $("samples").querySelectorAll("[data-name]")) {
    button.setAttribute("aria-pressed", String(clean && button.dataset.name === file.name));
  }
  $("chosen").textContent = `${file.name}, ${size.width} × ${size.height}`;
  show("chosen");
  say(`${file.name} is chosen.`);
  await preview();
}

async function inspected(file) {
  if (file.size > about.most_bytes) {
    const [size, most] = [file.size, about.most_bytes].map((bytes) => Math.round(bytes / 1e6));
    throw new Error(`${file.name} has ${size} MB; at most ${most} are taken.`);
  }
  return (await server.post("inspect", {}, file)).json();
}

// Shows the file itself, where the browser can, until the server sends something to show.
async function preview() {
  veil.hidden = true;
  const shown = await load(before, chosen).then(() => true, () => false);
  before.hidden = !shown;
  view.querySelector(".plain").hidden = shown;
  if (shown) compare.size(before.naturalWidth, before.naturalHeight);
}

async function load(image, blob) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  await image.decode();
}

// --- the restoration ---

async function restore() {
  const controller = (running = new AbortController());
  const job = { task: task(), file: chosen, began: performance.now() };
  fail("");
  show("working");
  bar(null, "Sending …");
  say("Restoring.");
  try {
    const query = { task: job.task.name, degrade: choices.degrade.value };
    const response = await server.post("restore", query, chosen, controller.signal);
    for await (const message of messages(response)) await take(message, job);
    if (!job.after) throw new Error("The server stopped before the picture was done.");
    finish(job);
  } catch (error) {
    if (running === controller) stopped(controller.signal.aborted ? "" : error.message);
  }
  if (running === controller) running = null;
}

function stopped(reason) {
  show("chosen");
  fail(reason);
  say(reason || "Cancelled.");
  preview();
}

async function take(message, job) {
  if (message.error) throw new Error(message.error);
  if (message.ahead) bar(null, `Waiting for ${message.ahead === 1 ? "another picture" : `${message.ahead} others`} …`);
  if (message.tiles) await begin(message, job);
  else if (message.body) await end(message, job);
  if (message.done) advance(message, job);
}

async function begin(message, job) {
  job.before = message;
  await load(before, message.body);
  before.hidden = false;
  view.querySelector(".plain").hidden = true;
  compare.size(message.width, message.height);
  [veil.height, veil.width] = message.tiles;
  veil.getContext("2d").fillRect(0, 0, veil.width, veil.height);
  veil.hidden = false;
  bar([0, veil.width * veil.height], "Starting …");
}

// Lifts the veil from the tiles that are done; they are done row by row.
function advance({ done, total }, job) {
  const brush = veil.getContext("2d");
  const rows = Math.floor(done / veil.width);
  brush.clearRect(0, 0, veil.width, rows);
  brush.clearRect(0, rows, done % veil.width, 1);
  // The network is prepared for its task during the first tiles, which say nothing about the others.
  job.first ??= { done, time: performance.now() };
  const pace = (performance.now() - job.first.time) / (done - job.first.done);
  const left = done < total && pace ? `, about ${duration((pace * (total - done)) / 1000)} left` : "";
  bar([done, total], `${done} of ${total} ${total === 1 ? "tile" : "tiles"}${left}`);
}

async function end(message, job) {
  job.after = message;
  await load(after, message.body);
}

function bar(values, text) {
  if (values) [$("bar").max, $("bar").value] = [values[1], values[0]];
  else $("bar").removeAttribute("value");
  $("progress").textContent = text;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

// --- the result ---

function finish({ task, file, began, before: { width, height, scores }, after: { scores: restored } }) {
  veil.hidden = true;
  before.alt = `${file.name}, before`;
  after.alt = `${file.name}, after`;
  $("before-tag").textContent = task.scale > 1 ? "Before, bicubic" : "Before";
  $("done").textContent = `${width} × ${height} in ${((performance.now() - began) / 1000).toFixed(1)} s`;
  $("scores").hidden = !restored;
  if (restored) fill(scores, restored);
  $("download").href = after.src;
  $("download").download = `${file.name.replace(/\.[^.]*$/, "")}_${task.name}.png`;
  slider.value = 50;
  show("done");
  compare.fit();
  say("Restored.");
  slider.focus({ preventScroll: true });
  $("stage").scrollIntoView({ block: "nearest" });
}

function fill(scores, restored) {
  for (const [index, channel] of ["y", "rgb"].entries()) {
    const [old, now] = [scores[channel] ?? Infinity, restored[channel] ?? Infinity]; // JSON has no infinity
    const gain = old === now ? 0 : now - old;
    const texts = [decibel(old), decibel(now), (gain < 0 ? "−" : "+") + decibel(Math.abs(gain))];
    const { cells } = $("scores").tBodies[0].rows[index];
    texts.forEach((text, column) => (cells[column + 1].textContent = text));
  }
}

const decibel = (value) => (Number.isFinite(value) ? value.toFixed(2) : "∞");

// --- the controls ---

function task() {
  return about.tasks.find(({ name }) => name === choices.task.value);
}

function taskPicked() {
  const [asItIs, degraded] = choices.degrade;
  degraded.disabled = !task().degradable;
  $("degradation").textContent = degradation(task());
  if (degraded.disabled) asItIs.checked = true;
}

function addTask(task) {
  const input = make("input", { type: "radio", name: "task", value: task.name });
  const text = make("span", { textContent: title(task) });
  text.append(make("small", { textContent: task.name }));
  const label = make("label", {});
  label.append(input, text);
  $("tasks").append(label);
}

// Tasks that their scale or noise does not say all about.
const TASKS = {
  derain: { title: "Remove rain", degradation: "add rain" },
  denoise: { title: "Denoise", degradation: "add noise" },
  jpeg: { title: "Mend JPEG", degradation: "compress it" },
  camera: { title: "Remove camera noise", degradation: "add camera noise" },
};

function title({ name, scale, sigma }) {
  if (scale > 1) return `Enlarge ×${scale}`;
  if (sigma !== null) return `Denoise σ\u00a0${sigma}`;
  return TASKS[name]?.title ?? "Restore";
}

function degradation({ name, scale, sigma, degradable }) {
  if (!degradable) return "degrade it (nothing says how for this task)";
  if (scale > 1) return `shrink it to 1/${scale} of its size`;
  if (sigma !== null) return `add noise of σ\u00a0${sigma}`;
  return TASKS[name]?.degradation ?? `degrade it as for ${name}`;
}

function addSample(name) {
  const button = make("button", { type: "button", title: name, ariaPressed: "false" });
  button.dataset.name = name;
  button.append(make("img", { src: `samples/${name}`, alt: `Sample: ${name}` }));
  button.addEventListener("click", async () => choose(await server.sample(name), { clean: true }));
  $("samples").append(button);
}

const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

function takeFrom(event, { files }) {
  event.preventDefault();
  if (files.length) choose(files[0], { clean: false });
  else fail("That is no file. Save the picture first, then drop or paste the file.");
}

function listen() {
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    $("file").value = ""; // so that the same file can be chosen again
    if (file) choose(file, { clean: false });
  });
  $("tasks").addEventListener("change", taskPicked);
  $("panel").addEventListener("submit", (event) => {
    event.preventDefault();
    if (chosen && !running) restore();
  });
  $("cancel").addEventListener("click", () => running?.abort());
  $("out").addEventListener("click", () => compare.zoomBy(1 / 1.5));
  $("in").addEventListener("click", () => compare.zoomBy(1.5));
  $("fit").addEventListener("click", () => compare.fit());
  $("one").addEventListener("click", () => compare.oneToOne());
  document.addEventListener("paste", (event) => takeFrom(event, event.clipboardData));
  document.addEventListener("drop", (event) => takeFrom(event, event.dataTransfer));
  document.addEventListener("dragover", (event) => event.preventDefault());
  for (const [name, over] of Object.entries({ dragenter: true, dragleave: false, drop: false })) {
    document.addEventListener(name, (event) => {
      if (over || name === "drop" || !event.relatedTarget) document.body.classList.toggle("over", over);
    });
  }
}

show("empty");
about = await server.about();
$("model").textContent = about.model;
about.tasks.forEach(addTask);
about.samples.forEach(addSample);
const preferred = about.tasks.find(({ name }) => name === "denoise_50") ?? about.tasks[0];
$("tasks").querySelector(`[value="${preferred.name}"]`).checked = true;
taskPicked();
listen();
