// Tests on demand: ordered here, followed until they end.
import { el, locale } from "./draw.js";

const data = JSON.parse(document.getElementById("data").textContent);
const t = (key) => data.texts[key] ?? key;
const fmt = locale(data.language, t);
const place = (id) => document.getElementById(id);
const csrf = document.body.dataset.csrf ?? "";
const STEPS = ["queued", "accepted", "gate", "slot", "running"];
const SHOWN = 20;
const name = (link) => data.links.find((one) => one.link === link)?.name ?? link;

async function ask(method, path, body = null) {
  const answer = await fetch(path, {
    method, headers: { "Content-Type": "application/json", "X-Pantau-CSRF": csrf }, body: body && JSON.stringify(body),
  });
  const told = await answer.json().catch(() => ({ error: `${answer.status}` }));
  if (!answer.ok) throw new Error(told.error ?? `${answer.status}`);
  return told;
}

function problem(text) {
  place("orderproblem").hidden = !text;
  place("orderproblem").textContent = text;
}

const rate = (bits) => fmt.number(bits === null ? null : bits / 1e6, 2, " Mbit/s");

function figures(one) {
  const parts = [`${t(`direction.${one.direction}`)}: ${t(`end.${one.end}`)}`];
  if (one.bits_per_s !== null) parts.push(`${rate(one.bits_per_s)}${one.offered_bits_per_s === null ? "" : ` ${t("operate.js.of")} ${rate(one.offered_bits_per_s)}`}`);
  if (one.lost_ratio !== null) parts.push(`${t("operate.js.lost")} ${fmt.number(one.lost_ratio * 100, 2, " %")}`);
  if (one.rtt_s !== null) parts.push(`RTT ${fmt.number(one.rtt_s * 1000, 1, " ms")}`);
  if (one.detail) parts.push(one.detail);
  return el("p", "figures num", parts.join(" · "));
}

function row(order) {
  const box = el("article", `order ${order.final ? "final" : ""}`);
  const head = el("div", "orderhead");
  const kind = order.final ? (order.state === "done" ? "done" : "failed") : "unknown";
  head.append(el("b", "", name(order.link)), el("span", "sub", `${order.link} · ${order.directions.map((way) => t(`direction.${way}`)).join(", ")} · ${order.method} · ${fmt.number(order.duration_s, 0)} ${t("unit.s")}`), el("span", `badge ${kind}`, t(`order.${order.state}`)));
  box.append(head);
  if (!order.final) {
    const bar = el("progress");
    bar.max = STEPS.length;
    bar.value = STEPS.indexOf(order.state) + 1;
    bar.setAttribute("aria-label", `${name(order.link)}: ${t(`order.${order.state}`)}`);
    box.append(bar);
  }
  if (order.detail) box.append(el("p", "sub", order.detail));
  for (const one of order.figures) box.append(figures(one));
  if (!order.final && data.may) {
    const button = el("button", "danger", t("operate.js.withdraw"));
    button.type = "button";
    button.addEventListener("click", () => ask("DELETE", `/api/v1/orders/${order.order}`).then(look).catch((error) => problem(error.message)));
    box.append(button);
  }
  return box;
}

let shown = "";

async function look() {
  if (document.hidden) return;
  let orders;
  try { orders = await ask("GET", "/api/v1/orders"); } catch { return; }
  const told = JSON.stringify(orders);
  if (told === shown) return;
  shown = told;
  const newest = orders.filter((one) => one.experiment === null).slice(-SHOWN).reverse();
  place("orderlist").replaceChildren(...(newest.length ? newest.map(row) : [el("p", "muted", t("operate.js.none"))]));
}

const form = place("order");
if (form) {
  const option = (value, text) => { const made = el("option", "", text); made.value = value; return made; };
  form.elements.link.replaceChildren(...data.links.map((one) => option(one.link, `${one.name} (${one.link})`)));
  form.elements.method.replaceChildren(...data.methods.map((one) => option(one, one)));
  if (!data.links.length) {
    problem(t("operate.js.noplans"));
    form.querySelector("button").disabled = true;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem("");
    const wanted = form.elements, link = data.links.find((one) => one.link === wanted.link.value);
    try {
      await ask("POST", "/api/v1/orders", {
        node: link.node, link: link.link, method: wanted.method.value, gate: wanted.gate.checked, duration_s: Number(wanted.duration_s.value),
        directions: wanted.direction.value === "both" ? ["down", "up"] : [wanted.direction.value],
      });
    } catch (error) { problem(error.message); }
    await look();
  });
}
look();
setInterval(look, 2000);
