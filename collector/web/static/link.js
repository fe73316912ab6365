// One link: smoke plot, losses each way, states, throughput by hour. Numbers come ready; here they are drawn.
import { el, svg, locale } from "./draw.js";

const data = JSON.parse(document.getElementById("data").textContent);
const t = (key) => data.texts[key] ?? key;
const fmt = locale(data.language, t);
const root = document.documentElement;
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const LOSS = ["--loss0", "--loss1", "--loss2", "--loss3", "--loss4"];
const place = (id) => document.getElementById(id);
const here = `/links/${encodeURIComponent(data.link)}`;
let span = "24h", told = null, plots = [];

const stamp = (options) => {
  const form = new Intl.DateTimeFormat(data.language, { timeZone: data.zone, hourCycle: "h23", ...options });
  return (seconds) => form.format(new Date(seconds * 1000));
};
const atHour = stamp({ hour: "2-digit", minute: "2-digit" });
const atDay = stamp({ day: "numeric", month: "short" });
const whole = stamp({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const ticks = (u, splits, axis, space, step) => splits.map((at) => (step >= 86400 ? atDay(at) : atHour(at)));

function frame(id, height, series, more) {
  const box = place(id);
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
  return {
    width: box.clientWidth, height, series: [{ value: (u, at) => (at === null ? "–" : `${whole(at)} ${data.zone_name}`), label: t("link.js.time") }, ...series],
    scales: { x: { time: true, range: [told.from_s, told.to_s] }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
    tzDate: (at) => new Date(at * 1000 + offset(at)),
    axes: [{ ...axis, values: ticks }, { ...axis, size: 62, values: (u, splits) => splits.map((v) => more.unit(v)) }],
    cursor: { sync: { key: "link" }, drag: { x: false, y: false }, points: { show: false } },
    legend: { live: true }, hooks: more.hooks ?? {}, bands: more.bands ?? [],
  };
}

// uPlot sets its ticks by a Date's own fields: it gets one that shows the link's zone.
const HOURS = { "Asia/Jakarta": 7, "Asia/Makassar": 8, "Asia/Jayapura": 9 };
const offset = () => HOURS[data.zone] * 3600000 + new Date().getTimezoneOffset() * 60000;

function smoke() {
  const middle = (data.shares.length - 1) / 2, stepped = uPlot.paths.stepped({ align: 1 });
  const rgb = colour("--smoke"), pairs = data.shares.map((_, k) => [data.shares.length - k, k + 1]).slice(0, middle);
  const alphas = [0.09, 0.16, 0.3];
  const series = data.shares.map((share, k) => ({
    label: k === middle ? t("link.js.median") : `${fmt.number(share * 100, 0)} %`, stroke: "transparent", width: 0, paths: stepped, points: { show: false },
    value: (u, v) => fmt.number(v, 1, " ms"),
  }));
  const median = (u) => {
    const c = u.ctx, wide = Math.max(2, u.valToPos(told.at[0] + told.bin_s, "x", true) - u.valToPos(told.at[0], "x", true));
    c.save();
    c.beginPath();
    c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    c.clip();
    told.at.forEach((at, k) => {
      const x = u.valToPos(at, "x", true), value = told.rtt_ms[middle][k];
      c.fillStyle = colour(LOSS[told.step[k]]);
      if (value !== null) c.fillRect(x, u.valToPos(value, "y", true) - 1.5 * devicePixelRatio, wide + 0.5, 3 * devicePixelRatio);
      else if (told.loss[k] !== null) c.fillRect(x, u.bbox.top, wide + 0.5, u.bbox.height);
    });
    c.restore();
  };
  const options = frame("smoke", 260, series, {
    unit: (v) => fmt.number(v, v < 10 && v % 1 ? 1 : 0, " ms"),
    bands: pairs.map((pair, k) => ({ series: pair, fill: `rgba(${rgb}, ${alphas[k]})` })),
    hooks: { draw: [median] },
  });
  return new uPlot(options, [told.at, ...told.rtt_ms], place("smoke"));
}

function loss() {
  const bars = (side) => uPlot.paths.bars({ size: [0.42, 60], align: side });
  const one = (key, name, side) => ({ label: t(`link.js.${key}`), stroke: colour(name), fill: colour(name), paths: bars(side), points: { show: false }, value: (u, v) => fmt.number(v, 2, " %") });
  const options = frame("loss", 130, [one("up", "--way-up", 1), one("down", "--way-down", -1)], { unit: (v) => fmt.number(v, v < 1 && v > 0 ? 2 : 0, " %") });
  return new uPlot(options, [told.at, told.up, told.down], place("loss"));
}

function states() {
  const long = told.to_s - told.from_s;
  const picture = svg("svg", { viewBox: "0 0 1000 30", preserveAspectRatio: "none" });
  for (const [from, to, state, cause, charge] of told.states) {
    const name = charge === "excluded" ? "excluded" : state;
    const box = svg("rect", { x: ((from - told.from_s) / long) * 1000, y: 0, width: Math.max(((to - from) / long) * 1000, 0.8), height: 30, class: `st-${name}` });
    box.append(svg("title", {}, `${whole(from)} – ${whole(to)} ${data.zone_name}: ${t(`state.${state}`)}${cause === "none" ? "" : `, ${t(`cause.${cause}`)}`}`));
    picture.append(box);
  }
  place("states").replaceChildren(picture);
}

function draw() {
  for (const plot of plots) plot.destroy();
  plots = [];
  if (!told) return;
  const empty = told.loss.every((value) => value === null);
  for (const id of ["smoke", "loss"]) place(id).replaceChildren();
  if (empty) place("smoke").replaceChildren(el("p", "muted", t("link.js.nothing")));
  else plots = [smoke(), loss()];
  states();
}

async function fetched() {
  const wanted = span;
  try {
    const answer = await fetch(`${here}/chart.json?span=${wanted}`);
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = await answer.json();
    if (wanted !== span) return;
    told = fresh;
    draw();
  } catch {
    if (!told) place("smoke").replaceChildren(el("p", "muted", t("link.js.failed")));
  }
}

// --- throughput by hour --------------------------------------------------------------------------

function hours(way) {
  const one = data.hours[way], box = el("figure");
  box.append(el("figcaption", "", t(`link.js.${way}.title`)));
  if (!one.points.length) { box.append(el("p", "muted", t("link.js.notests"))); return box; }
  const W = 480, H = 190, left = 52, bottom = 24, top = 10, most = one.most_mbps * 1.08;
  const x = (hour) => left + (hour / 24) * (W - left - 8), y = (mbps) => H - bottom - (mbps / most) * (H - bottom - top);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "hours", role: "img", "aria-label": `${t(`link.js.${way}.title`)}: ${one.medians.map(([hour, mbps]) => `${hour}:00 ${fmt.number(mbps, 1)} Mbit/s`).join(", ")}` });
  for (let hour = 0; hour <= 24; hour += 3) picture.append(svg("text", { x: x(hour), y: H - 6, "text-anchor": "middle" }, String(hour).padStart(2, "0")));
  for (const share of [0, 0.5, 1]) {
    const value = share * most;
    picture.append(svg("line", { x1: left, x2: W - 8, y1: y(value), y2: y(value), class: "rule" }), svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, fmt.number(value, value < 10 ? 1 : 0)));
  }
  for (const [hour, mbps, count] of one.medians) {
    const bar = svg("rect", { x: x(hour) + 1, y: y(mbps), width: x(1) - x(0) - 2, height: Math.max(0, H - bottom - y(mbps)), class: "median" });
    bar.append(svg("title", {}, `${String(hour).padStart(2, "0")}:00  ${fmt.number(mbps, 2)} Mbit/s (${count})`));
    picture.append(bar);
  }
  for (const [hour, mbps, counts] of one.points) picture.append(svg("circle", { cx: x(hour), cy: y(mbps), r: 2.6, class: counts ? "counts" : "not" }));
  if (one.expected_mbps !== null) picture.append(svg("line", { x1: left, x2: W - 8, y1: y(one.expected_mbps), y2: y(one.expected_mbps), class: "promise" }));
  picture.append(svg("text", { x: left, y: top, class: "unit" }, "Mbit/s"));
  box.append(picture);
  return box;
}

// --- now -----------------------------------------------------------------------------------------

function now([state, why, , since, rtt, lossNow]) {
  const badge = place("now-state");
  badge.className = `badge ${state}`;
  badge.textContent = t(`state.${state}`);
  place("now-why").textContent = state === "up" ? "" : t(why);
  place("now-figures").textContent = rtt === null ? "" : `${fmt.number(rtt, 1, " ms")} · ${t("link.js.loss")} ${fmt.number(lossNow, 1, " %")}`;
  place("now-since").replaceChildren();
  if (since !== null) place("now-since").append(`${t("link.js.since")} `, fmt.moment(since, data.zone), ` (${fmt.ago(since)})`);
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(`${here}/now.json`);
    if (answer.ok) now(await answer.json());
  } catch { /* the next look will tell */ }
}

// What is told in words is made by the collector: the same page again, of which only these parts are taken.
async function words() {
  if (document.hidden || document.activeElement?.closest("[data-live]")) return;
  try {
    const answer = await fetch(here, { redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (next && next.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(next));
    }
  } catch { /* the next time will tell */ }
}

for (const button of document.querySelectorAll("button[data-span]")) {
  button.addEventListener("click", () => {
    span = button.dataset.span;
    for (const other of document.querySelectorAll("button[data-span]")) other.setAttribute("aria-pressed", other === button);
    fetched();
  });
}
now(data.now);
place("hours").replaceChildren(hours("down"), hours("up"));
addEventListener("resize", () => { for (const plot of plots) plot.setSize({ width: place("smoke").clientWidth, height: plot.height }); });
document.addEventListener("themechange", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
fetched();
setInterval(look, 3000);
setInterval(fetched, 60000);
setInterval(words, 20000);
