// The page: shows what the stream brings, and says so when there is none.

import { Chart, TIERS } from "./chart.js";
import { milliseconds, node, showRequests } from "./lookups.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

const byId = (id) => document.getElementById(id);
const say = (target, text) => {
  const shown = String(text);
  if (target.textContent !== shown) target.textContent = shown;
};
const figure = (name, text) => say(document.querySelector(`[data-figure="${name}"]`), text);

// --- figures

const chart = new Chart(byId("share-chart"), byId("rate-chart"));
const RATE_MS = 5000;
let run = null;
let recent = [];

for (const [tier, name] of TIERS) {
  const row = node("div", tier);
  const value = node("dd", "figure", "–");
  const share = node("dd", "quiet", "");
  value.dataset.figure = tier;
  share.dataset.figure = `${tier}_share`;
  row.append(node("span", "swatch"), node("dt", "", name), value, share);
  byId("tiers").append(row);
  const part = node("span", tier);
  part.hidden = true;
  byId("shares").append(part);
}

const show = (figures) => {
  const { total, bus } = figures;
  if (figures.run !== run) {
    run = figures.run;
    recent = [];
    chart.forget();
  }
  recent.push({ at: figures.at_ms, total });
  while (recent.length > 2 && figures.at_ms - recent[1].at >= RATE_MS) recent.shift();

  for (const name of ["keys", "loads", "l1_entries", "flights", "absent", "stale", "invalidations"]) figure(name, whole.format(total[name]));
  figure("undelivered", whole.format(figures.undelivered));
  figure("viewers", figures.viewers === 1 ? "1 viewer is" : `${figures.viewers} viewers are`);
  figure("hit_share", total.keys ? percent.format((total.l1 + total.l2) / total.keys) : "–");
  figure("keys_rate", `${tenth.format(rate("keys"))} keys/s now`);
  figure("loads_rate", `${tenth.format(rate("loads"))}/s now, ${whole.format(total.failed_loads)} failed`);
  showBus(bus);
  showTiers(total);
  showLatency(figures.latency);
  showEntities(figures.entities);
  showRequests(byId("requests"), figures.requests);
  chart.add(figures);
};

const rate = (name) => {
  const [first, last] = [recent[0], recent.at(-1)];
  return last.at > first.at ? (1000 * (last.total[name] - first.total[name])) / (last.at - first.at) : 0;
};

const showBus = (bus) => {
  const notes = {
    none: "nobody tells of writes",
    idle: "not subscribed yet",
    alive: `${whole.format(bus.keys)} invalid keys heard`,
    deaf: `for ${milliseconds(bus.deaf_for_ms ?? 0)}, L1 rests`,
  };
  byId("bus").dataset.hears = bus.state;
  figure("bus", bus.state);
  figure("bus_note", notes[bus.state]);
};

const showTiers = (total) => {
  const said = [];
  TIERS.forEach(([tier, name], nth) => {
    const share = total.keys ? total[tier] / total.keys : 0;
    figure(tier, whole.format(total[tier]));
    figure(`${tier}_share`, total.keys ? percent.format(share) : "–");
    const part = byId("shares").children[nth];
    part.hidden = !total[tier];
    part.style.flexGrow = share;
    if (total[tier]) said.push(`${name} ${percent.format(share)}`);
  });
  byId("shares").setAttribute("aria-label", said.join(", ") || "Nothing was looked up yet");
};

// Rows that are there already are filled anew.
const rows = (table, all, id, make) => {
  const body = table.tBodies[0];
  const known = all.map(id).join("\n");
  if (body.dataset.known === known) return;
  body.dataset.known = known;
  body.replaceChildren(...all.map(make));
};

const showLatency = (latency) => {
  const table = byId("latency");
  rows(table, latency, (row) => row.what, ({ tier, what }) => {
    const row = node("tr");
    const head = node("th");
    head.scope = "row";
    head.append(node("span", `swatch ${tier}`), `${tier === "l2" ? "L2" : "Origin"} ${what}`);
    row.append(head, node("td"), node("td"), node("td"));
    return row;
  });
  latency.forEach(({ count, p50_ms: p50, p95_ms: p95 }, nth) => {
    const [counted, half, most] = table.tBodies[0].rows[nth].querySelectorAll("td");
    say(counted, whole.format(count));
    for (const [cell, value] of [[half, p50], [most, p95]]) {
      say(cell, value === null ? "–" : milliseconds(value));
      cell.className = value === null ? "none" : "";
    }
  });
};

const COLUMNS = [["keys", "Keys"], ["l1", "L1"], ["l2", "L2"], ["origin", "Origin"], ["errors", "Error"], ["loads", "Loads"], ["l1_entries", "Entries"]];
const showEntities = (entities) => {
  const table = byId("entities");
  rows(table, entities, (entity) => entity.name, ({ name }) => {
    const row = node("tr");
    row.dataset.entity = name;
    const head = node("th", "", name);
    head.scope = "row";
    row.append(head, ...COLUMNS.map(([column, label]) => {
      const cell = node("td");
      cell.dataset.column = column;
      cell.dataset.label = label;
      return cell;
    }));
    return row;
  });
  entities.forEach((entity, nth) => {
    const cells = table.tBodies[0].rows[nth].querySelectorAll("td");
    COLUMNS.forEach(([column], at) => {
      say(cells[at], whole.format(entity[column]));
      cells[at].className = entity[column] ? "" : "none";
    });
  });
};

// --- connection

// The server sends two events a second; a machine with much to do may send none for a while.
const SILENCE_MS = 5000;
const AGAIN_MS = 1000;
let silence = 0;
let since = new Date();

const state = (now, text) => {
  document.documentElement.dataset.state = now;
  say(byId("connection"), text);
  byId("lost").hidden = now !== "lost";
  for (const button of document.querySelectorAll("button")) button.disabled = now === "lost";
};

// An EventSource tries again by itself, but neither after an answer that is no stream, as to a viewer too many, nor where the
// network is silent: so each is given up, and another made.
const connect = () => {
  const source = new EventSource("/live");
  // What is shown is old from here on.
  const lose = () => {
    clearTimeout(silence);
    source.close();
    stopTraffic();
    const text = `No connection since ${clock.format(since)}`;
    say(byId("lost"), `${text}. What is below was true then. Trying again.`);
    state("lost", text);
    setTimeout(connect, AGAIN_MS);
  };
  silence = setTimeout(lose, SILENCE_MS);
  source.onerror = lose;
  source.onmessage = (event) => {
    clearTimeout(silence);
    silence = setTimeout(lose, SILENCE_MS);
    since = new Date();
    show(JSON.parse(event.data));
    state("live", "Live");
  };
};
connect();

// --- traffic

const FILMS = 1000;
const any = (most) => 1 + Math.floor(Math.random() * most);
const ask = async (path, options) => {
  const began = performance.now();
  const response = await fetch(path, options);
  const body = await response.json();
  return { body, text: `${options?.method ?? "GET"} ${path.slice(0, 40)}: ${response.status} in ${milliseconds(performance.now() - began)}` };
};
const told = (work) => async () => {
  try {
    say(byId("answer"), await work());
  } catch (error) {
    say(byId("answer"), `Failed: ${error.message}`);
  }
};

byId("one").onclick = told(async () => (await ask(`/films/${any(FILMS)}`)).text);
byId("hundred").onclick = told(async () => {
  const first = any(FILMS - 99);
  const ids = Array.from({ length: 100 }, (_, nth) => first + nth);
  return (await ask(`/films?ids=${ids.join(",")}`)).text;
});
byId("rate").onclick = told(async () => {
  const film = any(20);
  const { body } = await ask(`/films/${film}`);
  const rental_rate = body.rental_rate === 2.99 ? 4.99 : 2.99;
  const options = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ rental_rate }) };
  return `${(await ask(`/films/${film}/rate`, options)).text}, now ${rental_rate}`;
});

// Few films are asked for often, most seldom; a person behind each tenth customer. Four a second, and four under way at most.
const EACH_MS = 250;
const MOST = 4;
let traffic = 0;
let underWay = 0;
const visit = async () => {
  if (underWay >= MOST) return;
  underWay += 1;
  const film = Math.ceil(FILMS * Math.random() ** 4);
  const paths = [`/films/${film}`, `/films/${film}`, `/films/${film}`, `/films/${film}/actors`, `/actors/${any(60)}`, `/customers/${any(40)}`];
  try {
    await ask(paths[any(paths.length) - 1]);
  } catch {
    // The stream tells.
  }
  underWay -= 1;
};
const stopTraffic = () => {
  clearInterval(traffic);
  traffic = 0;
  byId("steady").setAttribute("aria-pressed", "false");
};
byId("steady").onclick = () => {
  if (traffic) return stopTraffic();
  traffic = setInterval(visit, EACH_MS);
  byId("steady").setAttribute("aria-pressed", "true");
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stopTraffic();
});
addEventListener("pagehide", stopTraffic);
