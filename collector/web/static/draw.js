// What several pages draw and write: elements, sparklines, numbers and times in local form.

export function el(name, className = "", text = null) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

export function svg(name, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const WIDE = 2.5, HIGH = 24;

export class Draw {
  constructor(levels, steps) { this.levels = levels; this.steps = steps; }

  // A line of levels; half hours with loss stand on a bar in the colour of their step.
  spark(signs, label) {
    const picture = svg("svg", { viewBox: `0 0 ${signs.length * WIDE} ${HIGH}`, class: "sparkline", role: "img", "aria-label": label });
    let path = "", pen = false;
    [...signs].forEach((sign, k) => {
      const value = SIGNS.indexOf(sign), x = k * WIDE;
      if (value < 0) { pen = false; return; }
      const level = value % this.levels, step = Math.floor(value / this.levels);
      const y = HIGH - 2 - (level / (this.levels - 1)) * (HIGH - 6);
      if (step > 0) picture.append(svg("rect", { x, y: HIGH - 3 - step * 4, width: WIDE, height: 3 + step * 4, class: `loss${step}` }));
      path += `${pen ? "L" : "M"}${(x + WIDE / 2).toFixed(1)} ${y.toFixed(1)}`;
      if (!pen) path += "h.01";
      pen = true;
    });
    picture.append(svg("path", { d: path || "M0 0" }));
    return picture;
  }
}

export function locale(language, t) {
  const kept = new Map();
  const form = (key, make) => kept.get(key) ?? kept.set(key, make()).get(key);
  const number = (value, digits = 0, unit = "") => value === null || value === undefined ? "–"
    : form(`n${digits}`, () => new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })).format(value) + unit;
  const length = (seconds) => {
    const units = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];
    for (const [unit, size, part, partSize] of units) {
      if (seconds < size) continue;
      const rest = Math.floor((seconds % size) / partSize);
      return `${Math.floor(seconds / size)} ${t(`unit.${unit}`)}${rest ? ` ${String(rest).padStart(2, "0")} ${t(`unit.${part}`)}` : ""}`;
    }
    return `${Math.max(0, Math.floor(seconds))} ${t("unit.s")}`;
  };
  const NAMES = { "Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT" };
  const moment = (seconds, zone) => {
    const made = document.createElement("time");
    if (seconds === null || seconds === undefined) { made.textContent = "–"; return made; }
    const at = new Date(seconds * 1000);
    made.dateTime = at.toISOString();
    made.textContent = `${form(`t${zone}`, () => new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })).format(at)} ${NAMES[zone]}`;
    return made;
  };
  const ago = (seconds) => seconds === null || seconds === undefined || seconds === "" ? "" : length(Date.now() / 1000 - Number(seconds));
  // By the links' own clock: a wall may hang behind a machine that thinks in UTC.
  const clock = (zone = "Asia/Jakarta") => `${form("clock", () => new Intl.DateTimeFormat(language, { timeZone: zone, weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })).format(new Date())} ${NAMES[zone]}`;
  return { number, length, moment, ago, clock };
}
