// Shows dead letters, and has them sent anew. Each request is a POST with the token in a header; the
// token is kept by this page alone, until it is closed. What comes back is written as text alone.
"use strict";

const letters = { token: "", topics: null, text: "", busy: "" };

async function post(path, asked) {
  const answer = await fetch(path, {
    method: "POST",
    cache: "no-store",
    credentials: "same-origin",
    headers: { "Authorization": `Bearer ${letters.token}`, "Content-Type": "application/json" },
    body: JSON.stringify(asked),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error ?? `status ${answer.status}`);
  return said;
}

// Does one thing at a time, and says how it went.
async function carryOut(what, work) {
  if (letters.busy) return;
  letters.busy = what;
  letters.text = `${what} …`;
  showLetters();
  try {
    letters.text = await work();
  } catch (error) {
    letters.text = `⚠ ${what}: ${error.message}`;
  }
  letters.busy = "";
  showLetters();
}

async function listLetters() {
  letters.topics = (await post("dead-letters", {})).topics;
  return `as of ${clock(Date.now() / 1000)}`;
}

async function replayLetters(asked) {
  const sent = {};
  let round, leftOut = 0;
  const notes = [];
  do {
    round = await post("dead-letters/replay", asked);
    for (const [topic, number] of Object.entries(round.sent)) sent[topic] = (sent[topic] ?? 0) + number;
    leftOut += round.left_out;
    notes.push(...round.notes.filter((note) => !notes.includes(note)));
    const where = Object.entries(sent).map(([topic, number]) => `${count(number)} to ${topic}`).join(", ");
    letters.text = `sent ${where || "nothing, for all were sent before"}${leftOut ? `; ${count(leftOut)} left out` : ""}`;
    showLetters();
  } while (!round.ended);
  const said = [letters.text, ...notes, ...(round.error ? [`⚠ ${round.error}`] : [])].join("\n");
  await listLetters();
  return said;
}

async function showLetter(topic, letter) {
  const { text } = await post("dead-letters/show", { topic, partition: letter.partition, offset: letter.offset });
  return `${topic}\n${text}`;
}

// -- elements --

function button(text, work) {
  const made = element("button", { type: "button" }, text);
  made.disabled = letters.busy !== "";
  made.addEventListener("click", work);
  return made;
}

function letterTable(each) {
  const name = (letter) => `${each.topic} ${letter.partition} offset ${letter.offset}`;
  const asked = (letter) => ({ topic: each.topic, partition: letter.partition, offset: letter.offset });
  return table(`${each.topic} letters`, [
    ["dead letter", (row) => `${row.partition} offset ${row.offset}`],
    ["came from", (row) => (row.from ? `${row.from.topic} ${row.from.partition} offset ${row.from.offset}` : null)],
    ["error", (row) => [row.exception, row.message].filter(Boolean).join(": ")],
    ["attempts", (row) => count(row.attempts), "number"],
    ["age", (row) => seconds(row.age_s), "number"],
    ["sent anew", (row) => (row.sent === null ? "?" : row.sent ? "yes" : "no")],
    ["", (row) => element("span", {},
      button("Show", () => carryOut(`show ${name(row)}`, () => showLetter(each.topic, row))), " ",
      row.sent ? null : button("Replay", () => carryOut(`replay ${name(row)}`, () => replayLetters(asked(row)))))],
  ], each.letters);
}

function letterTopic(each) {
  return element("div", { "data-topic": each.topic },
    element("h3", {}, each.topic),
    each.error ? element("p", { class: "reason" }, `⚠ ${each.error}`) : null,
    each.letters.length ? letterTable(each) : element("p", {}, "no dead letters"),
    each.letters.length ? element("p", {}, button("Replay all that were not sent", () =>
      carryOut(`replay all of ${each.topic}`, () => replayLetters({ topic: each.topic })))) : null);
}

function showLetters() {
  const shown = (letters.topics ?? []).map(letterTopic);
  if (letters.topics && !shown.length) shown.push(element("p", {}, "no processor names a topic of dead letters"));
  document.getElementById("letters").replaceChildren(...shown);
  document.getElementById("letters-text").textContent = letters.text;
  document.getElementById("letters-list").disabled = letters.busy !== "";
}

function addLetters() {
  const field = element("input", { id: "letters-token", type: "password", autocomplete: "off", size: "24" });
  const listing = element("button", { id: "letters-list", type: "button" }, "List dead letters");
  const start = () => {
    letters.token = field.value;
    carryOut("list", listLetters);
  };
  listing.addEventListener("click", start);
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") start(); });
  document.querySelector("main").after(element("section", { id: "dead-letters" },
    element("h2", {}, "dead letters"),
    element("p", {}, element("label", {}, "token ", field), " ", listing),
    element("pre", { id: "letters-text", role: "status" }),
    element("div", { id: "letters" })));
}

addLetters();
