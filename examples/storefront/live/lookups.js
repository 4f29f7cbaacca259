// The last requests, each with its lookups, and what those asked of the tiers.

const WORDS = { l1: "L1", l2: "L2", origin: "the origin" };
const two = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const milliseconds = (ms) => {
  if (ms >= 1000) return `${two.format(ms / 1000)} s`;
  return `${(ms < 10 ? two : whole).format(ms)} ms`;
};
const micros = (us) => (us < 10 ? `${us} µs` : milliseconds(us / 1000));
const keys = (count) => (count === 1 ? "1 key" : `${count} keys`);

export const node = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Drawn anew only when there is another request: whoever selects a text keeps it.
export const showRequests = (list, requests) => {
  const shown = requests.map((request) => request.id).join(" ");
  if (list.dataset.shown === shown || !requests.length) return;
  list.dataset.shown = shown;
  list.replaceChildren(...requests.map(requestOf));
};

const requestOf = (request) => {
  const item = node("li", "request");
  item.dataset.request = `${request.method} ${request.target}`;
  item.dataset.status = request.status ?? "";
  const line = node("p");
  line.append(node("code", "", `${request.method} ${request.target}`));
  line.append(statusOf(request.status));
  line.append(node("span", "took quiet", `${micros(request.took_us)} in all`));
  item.append(line, ...request.lookups.map((lookup) => lookupOf(lookup, request.took_us)));
  if (!request.lookups.length) item.append(node("p", "quiet", "No lookup."));
  if (request.left_out) item.append(node("p", "quiet", `and ${request.left_out} steps more`));
  return item;
};

const statusOf = (status) => {
  if (status === null) return node("span", "status refused", "its client hung up");
  return node("span", `status ${status < 400 ? "" : status < 500 ? "refused" : "failed"}`, status);
};

const lookupOf = (lookup, all) => {
  const row = node("div", "lookup");
  Object.assign(row.dataset, { entity: lookup.entity, outcome: lookup.outcome, tier: lookup.tier });
  const name = node("p", "what", `${lookup.entity || "invalidation"}, ${keys(lookup.keys)}`);
  row.append(name);
  const steps = node("ol", "steps");
  const track = node("div", "track");
  track.setAttribute("aria-hidden", "true");
  const longest = Math.max(all, lookup.at_us + lookup.took_us, 1);
  const bar = (tier, at, took) => {
    const drawn = node("span", tier);
    // A bar that is too short to be seen is three pixels wide, and must not begin outside.
    drawn.style.left = `min(${(100 * at) / longest}%, 100% - 3px)`;
    drawn.style.width = `${(100 * took) / longest}%`;
    track.append(drawn);
  };
  const step = (tier, name, text, failed) => {
    const item = node("li", failed ? "failed" : "");
    item.dataset.step = name;
    item.append(node("span", `swatch ${tier}`), text);
    steps.append(item);
  };
  if (lookup.what === "lookup") {
    const answered = lookup.tier === "l1" && !lookup.steps.length;
    step("l1", answered ? "l1 hit" : "l1 miss", answered ? `L1: ${lookup.outcome}` : "L1: miss", false);
    if (answered) bar("l1", lookup.at_us, 0);
  }
  if (lookup.followed) step("unknown", "followed", `waited ${micros(lookup.took_us)} for the same lookup of another request`);
  for (const { tier, name, what, keys: count, result, at_us, took_us } of lookup.steps) {
    const failed = result !== "" && result !== "ok";
    const of = tier === "origin" ? `${name || "load"} of ${keys(count)}` : `${name} ${what}`;
    step(tier, what, `${of} ${micros(took_us)}${failed ? `: ${result}` : ""}`, failed);
    bar(tier, at_us, took_us);
  }
  if (lookup.what === "lookup" && lookup.steps.length) {
    const failed = lookup.tier === "none" || !lookup.tier;
    const told = failed ? `no answer: ${lookup.outcome}` : `${lookup.outcome}, from ${WORDS[lookup.tier]}`;
    name.append(node("span", failed ? "failed" : "quiet", told));
  }
  row.append(steps, track);
  return row;
};
