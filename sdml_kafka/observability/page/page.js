// Shows /status.json, and asks for it again and again. What comes from it is written as text alone.
"use strict";

const EVERY_MS = 2000;
const HISTORY_S = 300; // of a line
const MAX_ROWS = 100; // rows of a table before somebody asks for all
const lagOverTime = new Map(); // the lag of each partition over time
const opened = new Set(); // what was opened or asked for whole, by its key
let paused = false;
let answeredAt = null;

// -- elements --

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key === "title") made.title = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function details(key, title, ...children) {
  const made = element("details", {}, element("summary", {}, title), ...children);
  made.open = opened.has(key);
  made.addEventListener("toggle", () => (made.open ? opened.add(key) : opened.delete(key)));
  return made;
}

function table(key, columns, rows) {
  if (!rows.length) return null;
  const shown = opened.has(key) ? rows : rows.slice(0, MAX_ROWS);
  const head = columns.map(([name, , kind]) => element("th", { scope: "col", class: kind ?? "" }, name));
  const body = shown.map((row) =>
    element("tr", { class: row.isTrouble ? "trouble" : "" }, ...columns.map(([name, value, kind]) =>
      element("td", { "data-name": name, class: kind ?? "" }, value(row) ?? "–"))));
  const made = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  if (shown.length === rows.length) return made;
  const more = element("button", { type: "button" }, `Show all ${rows.length}`);
  more.addEventListener("click", () => { opened.add(key); ask(); });
  return element("div", {}, made, more);
}

function titled(title, child) {
  return child === null ? null : element("div", {}, element("h3", {}, title), child);
}

// -- texts --

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${Math.round(value * 10) / 10} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const bytes = (value) => (value < 1024 ? `${value} B` : value < 1048576 ? `${Math.round(value / 1024)} KiB` : `${Math.round(value / 1048576)} MiB`);
const state = (value, isTrouble) => element("span", { class: "state" }, (isTrouble ? "⚠ " : "") + value);

// Returns a time of day with its zone, and with its date unless that is today's.
function clock(at) {
  const when = new Date(at * 1000);
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  const date = { year: "numeric", month: "short", day: "numeric" };
  const isToday = when.toDateString() === new Date().toDateString();
  return when.toLocaleString("en", isToday ? time : { ...date, ...time });
}

// -- lag over time --

function note(object, partition, at) {
  const key = `${object.name} ${partition.topic} ${partition.partition}`;
  const points = lagOverTime.get(key) ?? [];
  if (partition.lag !== null && at > (points.at(-1)?.at ?? 0)) points.push({ at, lag: partition.lag });
  while (points.length && at - points[0].at > HISTORY_S) points.shift();
  lagOverTime.set(key, points);
  return points;
}

function line(points) {
  if (points.length < 2) return "";
  const lags = points.map((point) => point.lag);
  const [begin, most] = [points[0].at, Math.max(...lags)];
  const span = points.at(-1).at - begin;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `lag from ${count(lags[0])} to ${count(lags.at(-1))}`);
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  drawn.setAttribute("points", points.map(({ at, lag }) =>
    `${(100 * (at - begin)) / span},${19 - (18 * lag) / Math.max(1, most)}`).join(" "));
  svg.append(drawn);
  return element("span", { class: "line" }, svg, element("small", {}, `0 to ${count(most)}, ${seconds(span)}`));
}

// -- the parts of an object --

function partitions(object, at) {
  const bad = new Set(object.health.parts.filter((part) => !part.ok).map((part) => part.name));
  const rows = object.partitions.map((each) => ({
    ...each, points: note(object, each, at), isTrouble: bad.has(`${each.topic} ${each.partition}`),
  }));
  return table(`${object.name} partitions`, [
    ["partition", (row) => `${row.topic} ${row.partition}`],
    ["state", (row) => state(row.paused ? `${row.state}, paused` : row.state, row.isTrouble)],
    ["lag", (row) => count(row.lag), "number"],
    ["lag over time", (row) => line(row.points)],
    ["in flight", (row) => count(row.in_flight), "number"],
    ["for", (row) => seconds(row.oldest_s), "number"],
    ["bytes", (row) => bytes(row.bytes_in_flight), "number"],
    ["finished to", (row) => count(row.frontier), "number"],
    ["committed", (row) => count(row.committed), "number"],
    ["end", (row) => count(row.end), "number"],
  ], rows);
}

function processors(object) {
  return table(`${object.name} processors`, [
    ["processor", (row) => row.name],
    ["running", (row) => count(row.running), "number"],
    ["waiting", (row) => count(row.queued), "number"],
    ["longest", (row) => seconds(row.oldest_s), "number"],
    ["half within", (row) => seconds(row.handler_p50_s), "number"],
    ["99 % within", (row) => seconds(row.handler_p99_s), "number"],
    ["finished", (row) => count(row.finished), "number"],
    ["retries", (row) => count(row.retries), "number"],
    ["failed", (row) => count(row.failures), "number"],
    ["dead letters", (row) => count(row.dead_letters), "number"],
  ], object.processors);
}

function troubles(object) {
  // Each record that is held has a line of its own below.
  const hasLines = (part) => object.not_taken.length && part.state === "dead letter not taken";
  const parts = object.health.parts.filter((part) => !part.ok && !hasLines(part)).map((part) =>
    element("li", { class: "trouble" }, state(part.state, true), ` ${part.kind} ${part.name}: ${part.reason}`));
  const held = object.not_taken.map((each) =>
    element("li", { class: "trouble" }, state("dead letter not taken", true),
      ` ${each.topic} ${each.partition} offset ${each.offset}: its ${each.purpose} is not taken by ${each.to} for ${seconds(each.for_s)}: ${each.why}`));
  const all = [...parts, ...held];
  return all.length ? element("ul", {}, ...all) : null;
}

function actor(each) {
  const texts = [` ${each.state}`];
  if (each.restarts) texts.push(`, restarted ${each.restarts} times`);
  if (each.inbox_capacity) texts.push(`, inbox ${each.inbox_depth} of ${each.inbox_capacity}`);
  if (each.last_error) texts.push(`, last error: ${each.last_error}`);
  const children = each.children.length ? element("ul", {}, ...each.children.map(actor)) : null;
  return element("li", {}, element("strong", {}, each.name), texts.join(""), children);
}

function recent(object) {
  const lines = object.recent.toReversed().map((each) =>
    element("li", {}, `${clock(each.at)} ${each.actor} ${each.what}${each.error ? `: ${each.error}` : ""}`));
  return lines.length ? element("ul", {}, ...lines) : null;
}

function counters(object) {
  const pairs = Object.entries(object.counters).map(([name, value]) =>
    element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, count(value))));
  return element("dl", {}, ...pairs);
}

function traffic(object) {
  const { calls, sends } = object;
  const where = calls ? calls.reply_partitions.join(", ") : "";
  const lines = [
    calls && `${count(calls.in_flight)} calls in flight${where ? `; replies come to ${where}` : ""}`,
    (sends.waiting || object.kind === "producer") && `${count(sends.waiting)} records wait for their acknowledgement`,
  ].filter(Boolean);
  return lines.length ? element("p", {}, lines.join("; ")) : null;
}

function calls(object) {
  return object.calls && table(`${object.name} calls`, [
    [object.kind === "server" ? "in a handler" : "waits for a reply", (row) => row.topic],
    ["id", (row) => row.id],
    [object.kind === "server" ? "sent ago" : "for", (row) => seconds(row.age_s), "number"],
    ["left", (row) => seconds(row.left_s), "number"],
  ], object.calls.oldest);
}

function section(object, at) {
  const { health } = object;
  const isTrouble = !health.ready || !health.live || health.parts.some((part) => !part.ok);
  const who = [object.client, object.group_id && `group ${object.group_id}`, object.group_protocol && `${object.group_protocol} protocol`];
  const left = Object.entries(object.left_out).filter(([, missing]) => missing);
  return element("section", { class: isTrouble ? "trouble" : "", "data-object": object.name },
    element("h2", {}, `${object.name} `, state(health.state, isTrouble)),
    element("p", { class: "faint" }, who.filter(Boolean).join(", ")),
    element("p", { class: "reason" }, health.reason),
    titled("What is wrong", troubles(object)),
    titled("Partitions", partitions(object, at)),
    titled("Processors", processors(object)),
    traffic(object),
    titled("Oldest calls", calls(object)),
    titled("Counted so far", counters(object)),
    titled("Crashes and restarts", recent(object)),
    details(`${object.name} tree`, "Actors", element("ul", {}, actor(object.tree))),
    left.length ? element("p", { class: "faint" }, `not shown: ${left.map(([name, missing]) => `${missing} ${name.replaceAll("_", " ")}`).join(", ")}`) : null);
}

// -- the page --

function show(status) {
  answeredAt = performance.now();
  document.body.classList.remove("stale");
  const verdict = `${status.live ? "live" : "⚠ NOT live"}, ${status.ready ? "ready" : "⚠ NOT ready"}`;
  document.title = `${status.live && status.ready ? "" : "⚠ "}sdml-kafka`;
  document.getElementById("summary").textContent =
    `${verdict}; process ${status.pid}, ${clock(status.at)}`;
  document.getElementById("objects").replaceChildren(...status.objects.map((object) => section(object, status.at)));
}

function showSilence(error) {
  document.body.classList.add("stale");
  const since = answeredAt === null ? "" : ` for ${seconds((performance.now() - answeredAt) / 1000)}`;
  document.title = "⚠ sdml-kafka";
  document.getElementById("summary").textContent = `⚠ the program has not answered${since}: ${error.message}`;
}

async function ask() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    showSilence(error);
  }
}

async function run() {
  for (;;) {
    if (!paused && !document.hidden) await ask();
    await new Promise((resume) => setTimeout(resume, EVERY_MS));
  }
}

document.getElementById("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.textContent = paused ? "Go on" : "Pause";
});
run();
