// Two minutes of keys, drawn: who answered them, and how many there were a second.

export const TIERS = [["l1", "L1"], ["l2", "L2"], ["origin", "Origin"], ["unknown", "Unknown"], ["errors", "Error"]];

const STEP_MS = 2000;
const STEPS = 60;
// Of keys that came while the page had no connection for longer, nobody knows when.
const GAP_MS = 10000;
const LEFT = 48;
const RIGHT = 44;
const counts = new Intl.NumberFormat("en");
const rates = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const none = () => ({ keys: 0, loads: 0, ...Object.fromEntries(TIERS.map(([tier]) => [tier, 0])) });
const element = (name, attributes = {}, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

export class Chart {
  constructor(share, rate) {
    this.share = share;
    this.rate = rate;
    this.forget();
    new ResizeObserver(() => this.draw()).observe(share);
  }

  // The totals are another run's: what was drawn says nothing about them.
  forget() {
    this.steps = new Map();
    this.before = null;
    this.first = null;
  }

  add({ at_ms: at, total }) {
    const step = Math.floor(at / STEP_MS);
    const { before } = this;
    this.before = { at, total };
    this.at = at;
    this.first ??= step;
    if (!this.steps.has(step)) {
      this.steps.set(step, none());
    }
    if (before && at - before.at < GAP_MS) {
      const to = this.steps.get(step);
      for (const name of Object.keys(to)) to[name] += total[name] - before.total[name];
    }
    for (const old of this.steps.keys()) if (old <= step - STEPS) this.steps.delete(old);
    this.draw();
  }

  draw() {
    if (!this.before) return;
    const last = Math.floor(this.at / STEP_MS);
    const all = none();
    for (const step of this.steps.values()) for (const name of Object.keys(all)) all[name] += step[name];
    const shares = TIERS.filter(([tier]) => all[tier]).map(([tier, name]) => `${name} ${counts.format(all[tier])}`);
    const said = all.keys
      ? `In the last two minutes ${counts.format(all.keys)} keys were looked up: ${shares.join(", ")}; ${counts.format(all.loads)} loads`
      : "No keys in the last two minutes";
    this.drawShare(last, all, said);
    this.drawRate(last, said);
  }

  // An empty drawing, with lines at some heights and the times below.
  frame(svg, said, lines) {
    const { width, height } = svg.getBoundingClientRect();
    const [right, bottom] = [width - RIGHT, height - 20];
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", said);
    for (const [share, text] of lines) {
      const y = Math.round(bottom - share * (bottom - 8)) + 0.5;
      svg.append(element("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }));
      svg.append(element("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, text));
    }
    const times = [[0, "2 min ago", "start"], [0.5, "1 min ago", "middle"], [1, "now", "end"]];
    for (const [share, text, anchor] of times) {
      svg.append(element("text", { x: LEFT + share * (right - LEFT), y: height - 4, "text-anchor": anchor }, text));
    }
    return { bottom, high: bottom - 8, wide: (right - LEFT) / STEPS };
  }

  drawShare(last, all, said) {
    const svg = this.share;
    const { bottom, high, wide } = this.frame(svg, said, [[0, "0%"], [0.5, "50%"], [1, "100%"]]);
    const gap = Math.min(1.5, wide / 4);
    svg.setAttribute("data-at", this.at);
    for (const name of Object.keys(all)) svg.setAttribute(`data-${name}`, all[name]);
    for (const [at, step] of this.steps) {
      if (!step.keys) continue;
      const group = element("g", { "data-step": at });
      let y = bottom;
      for (const [tier] of TIERS) {
        group.setAttribute(`data-${tier}`, step[tier]);
        const height = (step[tier] / step.keys) * high;
        if (!height) continue;
        y -= height;
        const x = LEFT + (STEPS - 1 - (last - at)) * wide;
        group.append(element("rect", { class: `bar ${tier}`, x: x + gap / 2, y, width: wide - gap, height }));
      }
      const parts = TIERS.filter(([tier]) => step[tier]).map(([tier, name]) => `${name} ${step[tier]}`);
      group.append(element("title", {}, `${step.keys} keys: ${parts.join(", ")}`));
      svg.append(group);
    }
    if (!all.keys) {
      const x = LEFT + (STEPS * wide) / 2;
      svg.append(element("text", { x, y: bottom - high / 4, "text-anchor": "middle" }, "No keys in the last two minutes"));
    }
  }

  // Whole steps only: of the newest it isn't known yet how many keys it will have.
  drawRate(last, said) {
    const seconds = STEP_MS / 1000;
    const from = Math.max(this.first + 1, last - STEPS);
    const points = [];
    for (let at = from; at < last; at++) {
      const step = this.steps.get(at) ?? { keys: 0, loads: 0 };
      points.push({ at, keys: step.keys / seconds, loads: step.loads / seconds });
    }
    const top = ceiling(Math.max(1, ...points.map((point) => Math.max(point.keys, point.loads))));
    const svg = this.rate;
    const { bottom, high, wide } = this.frame(svg, said, [[0, "0/s"], [0.5, `${rates.format(top / 2)}/s`], [1, `${rates.format(top)}/s`]]);
    if (!points.length) return;
    const x = ({ at }) => LEFT + (STEPS - (last - at) + 0.5) * wide;
    const line = (name) => points.map((point, nth) => `${nth ? "L" : "M"}${x(point)},${bottom - (point[name] / top) * high}`).join("");
    const end = points.at(-1);
    svg.append(element("path", { class: "keys-area", d: `${line("keys")}L${x(end)},${bottom}L${x(points[0])},${bottom}Z` }));
    svg.append(element("path", { class: "keys", d: line("keys") }));
    svg.append(element("path", { class: "loads", d: line("loads") }));
    const y = bottom - (end.keys / top) * high;
    svg.append(element("circle", { class: "dot", cx: x(end), cy: y, r: 3 }));
    svg.append(element("text", { class: "now", x: x(end) + 8, y: y + 4 }, `${rates.format(end.keys)}/s`));
  }
}

// The next of 1, 2, 5, 10, 20, …
const ceiling = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((times) => times * power >= value) * power;
};
