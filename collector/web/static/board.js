// The board: every link as it is known now, as list, tiles and map. Text is set as text, never as HTML.
import { Draw, el, svg, locale } from "./draw.js";

const data = JSON.parse(document.getElementById("data").textContent);
const t = (key) => data.texts[key] ?? key;
const fmt = locale(data.language, t);
const draw = new Draw(data.levels, data.steps);
const FIXED = ["id", "node", "name", "kind", "district", "provider", "pop", "medium", "zone"];
const NOW = ["state", "why", "provisional", "since", "rtt", "loss", "last", "length", "cause"];
const RANK = { down: 0, unknown: 1, up: 2 };
const named = (names, values) => Object.fromEntries(names.map((name, k) => [name, values[k]]));

const links = data.links.map((fixed, k) => ({
  k, ...named(FIXED, fixed), ...named(NOW, data.rows[k]), spark: data.sparks[k],
}));
for (const link of links) {
  link.text = [link.id, link.node, link.name, link.kind, t(`kind.${link.kind}`), link.district, link.provider, link.pop, link.medium]
    .join(" ").toLocaleLowerCase();
}

// --- what is asked for, kept in the address so that it can be sent to somebody ---------------

const asked = new URLSearchParams(location.search);
const wish = {
  view: asked.get("view") ?? "list", group: asked.get("group") ?? "district",
  state: asked.get("state") ?? "all", q: asked.get("q") ?? "", wall: asked.has("wall"),
};
if (!["list", "tiles", "map"].includes(wish.view)) wish.view = "list";
if (!["district", "kind", "provider", "pop", "none"].includes(wish.group)) wish.group = "district";
if (!["all", "down", "unknown", "up"].includes(wish.state)) wish.state = "all";
if (wish.wall && !asked.has("view")) wish.view = data.atlas ? "map" : "tiles";

function remember() {
  const told = new URLSearchParams();
  if (wish.view !== "list") told.set("view", wish.view);
  if (wish.group !== "district") told.set("group", wish.group);
  if (wish.state !== "all") told.set("state", wish.state);
  if (wish.q) told.set("q", wish.q);
  if (wish.wall) told.set("wall", "");
  history.replaceState(null, "", told.size ? `?${told}` : location.pathname);
}

const shows = (link) => (wish.state === "all" || link.state === wish.state)
  && wish.q.toLocaleLowerCase().split(/\s+/).every((word) => link.text.includes(word));
const groupOf = (link) => wish.group === "none" ? "" : wish.group === "kind" ? t(`kind.${link.kind}`) : link[wish.group];
const order = (a, b) => RANK[a.state] - RANK[b.state] || a.name.localeCompare(b.name, data.language) || a.k - b.k;
const href = (link) => `/links/${encodeURIComponent(link.id)}`;

function grouped() {
  const groups = new Map();
  for (const link of links) {
    if (!shows(link)) continue;
    const key = groupOf(link);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(link);
  }
  const sorted = [...groups].sort(([a], [b]) => a.localeCompare(b, data.language, { numeric: true }));
  for (const [, members] of sorted) members.sort(order);
  return sorted;
}

function counts(members) {
  const count = { down: 0, unknown: 0, up: 0 };
  for (const link of members) count[link.state] += 1;
  return count;
}

function tally(members) {
  const box = el("span", "tally"), count = counts(members);
  for (const state of ["down", "unknown", "up"]) {
    if (count[state]) box.append(el("span", `dot ${state}`, `${count[state]} ${t(`state.${state}`)}`));
  }
  return box;
}

// --- list -------------------------------------------------------------------------------------

const stage = document.getElementById("stage");
const rowOf = new Map();
const lazily = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    lazily.unobserve(target);
    const link = links[target.dataset.k];
    target.replaceChildren(draw.spark(link.spark, t("board.spark")));
  }
}, { rootMargin: "300px" });

function cell(row, name, label) {
  const made = el("td", name);
  made.dataset.label = label;
  row.append(made);
  return made;
}

function makeRow(link) {
  const row = el("tr");
  const head = el("th", "name");
  head.scope = "row";
  const a = el("a", "", link.name);
  a.href = href(link);
  head.append(a, el("span", "sub", `${link.id} · ${link.provider}`));
  row.append(head);
  for (const name of ["state", "since", "why", "rtt", "loss"]) cell(row, name, t(`board.col.${name}`));
  const picture = cell(row, "spark", t("board.col.spark"));
  picture.dataset.k = link.k;
  lazily.observe(picture);
  cell(row, "last", t("board.col.last"));
  fillRow(row, link);
  rowOf.set(link.k, row);
  return row;
}

function fillRow(row, link) {
  const [, state, since, why, rtt, loss, , last] = row.children;
  row.className = `link is-${link.state}`;
  state.replaceChildren(el("span", `badge ${link.state}`, t(`state.${link.state}`)));
  since.replaceChildren(fmt.moment(link.since, link.zone), el("span", "sub ago"));
  since.lastChild.dataset.since = link.since ?? "";
  why.replaceChildren();
  if (link.state !== "up") why.append(el("span", "", t(link.why)), el("span", "sub", t(link.provisional ? "board.provisional" : "board.settled")));
  rtt.textContent = fmt.number(link.rtt, 1, " ms");
  loss.textContent = fmt.number(link.loss, 1, " %");
  loss.classList.toggle("bad", link.loss > 0);
  last.replaceChildren();
  if (link.last !== null) {
    last.append(fmt.moment(link.last, link.zone), el("span", "sub", `${link.length === null ? t("board.lasts") : fmt.length(link.length)} · ${t(link.cause)}`));
  }
}

function list() {
  const table = el("table", "links");
  const caption = el("caption", "sr", t("board.caption"));
  const head = el("thead"), names = el("tr");
  for (const name of ["name", "state", "since", "why", "rtt", "loss", "spark", "last"]) {
    const th = el("th", name, t(`board.col.${name}`));
    th.scope = "col";
    names.append(th);
  }
  head.append(names);
  table.append(caption, head);
  for (const [key, members] of grouped()) {
    const body = el("tbody");
    if (wish.group !== "none") {
      const title = el("tr", "group"), th = el("th");
      th.colSpan = 8;
      th.scope = "rowgroup";
      th.append(el("span", "", key), tally(members));
      title.append(th);
      body.append(title);
    }
    for (const link of members) body.append(makeRow(link));
    table.append(body);
  }
  return table;
}

// --- tiles ------------------------------------------------------------------------------------

function tile(link) {
  const a = el("a", "");
  a.href = href(link);
  a.append(el("b", "", link.name), el("span", "word"), el("span", "figures num"));
  rowOf.set(link.k, a);
  fillTile(a, link);
  return a;
}

function fillTile(a, link) {
  a.className = `tile is-${link.state}`;
  a.children[1].textContent = t(`state.${link.state}`);
  a.children[2].textContent = link.state === "up" ? fmt.number(link.rtt, 1, " ms") : fmt.ago(link.since);
  if (link.state !== "up") a.children[2].dataset.since = link.since ?? "";
  else delete a.children[2].dataset.since;
  a.title = `${link.name} (${link.id}): ${t(`state.${link.state}`)}, ${t(link.why)}`;
}

function tiles() {
  const box = el("div", "groups");
  for (const [key, members] of grouped()) {
    const section = el("section", "tilegroup");
    const title = el("h2");
    title.append(el("span", "", key || t("board.all")), tally(members));
    const grid = el("div", "tiles");
    for (const link of members) grid.append(tile(link));
    section.append(title, grid);
    box.append(section);
  }
  return box;
}

// --- map --------------------------------------------------------------------------------------

const atNode = new Map();

function map() {
  const box = el("div", "mapbox");
  const atlas = data.atlas;
  if (!atlas) {
    box.append(el("p", "card muted", t("board.map.none")));
    return box;
  }
  const names = svg("g");
  const picture = svg("svg", { viewBox: `0 0 ${atlas.width} ${atlas.height}`, class: "map", role: "group", "aria-label": t("board.map.about") });
  for (const [name, outline, label] of atlas.regions) {
    const points = outline.map((p) => p.join(",")).join(" ");
    if (outline.length > 2) picture.append(svg("polygon", { points, class: "region" }));
    else if (outline.length === 2) picture.append(svg("polyline", { points, class: "region" }));
    else picture.append(svg("path", { d: `M${outline[0].join(" ")}h.1`, class: "region" }));
    names.append(svg("text", { x: label[0], y: label[1] - 30, class: "regionname" }, name));
  }
  const layer = svg("g");
  atNode.clear();
  const byNode = new Map();
  for (const link of links) {
    if (atlas.places[link.node] && shows(link)) byNode.set(link.node, [...(byNode.get(link.node) ?? []), link]);
  }
  for (const [node, members] of byNode) {
    const [x, y] = atlas.places[node];
    const a = svg("a", { href: href(members[0]), transform: `translate(${x} ${y})` });
    a.append(svg("title"), svg("path", { class: "mark" }), svg("text", { class: "marker", x: 12, y: 4 }, members[0].name));
    atNode.set(node, { a, members });
    fillMark(node);
    layer.append(a);
  }
  picture.append(names, layer, scaleBar(atlas));
  const missing = links.filter((link) => !atlas.places[link.node] && shows(link));
  box.append(picture, worst());
  if (missing.length) box.append(el("p", "muted", `${t("board.map.missing")}: ${missing.map((link) => link.name).join(", ")}`));
  raise(layer);
  return box;
}

const SHAPES = { up: "M0-6A6 6 0 1 1-.01-6Z", unknown: "M0-9 8.500 6h-17Z", down: "M0-10 10 0 0 10-10 0Z" };

function fillMark(node) {
  const { a, members } = atNode.get(node);
  const state = members.reduce((worstOf, link) => RANK[link.state] < RANK[worstOf] ? link.state : worstOf, "up");
  a.setAttribute("class", `node ${state}`);
  a.children[1].setAttribute("d", SHAPES[state]);
  a.children[0].textContent = members.map((link) => `${link.name} (${link.id}): ${t(`state.${link.state}`)}, ${t(link.why)}`).join("\n");
}

function raise(layer) {
  for (const state of ["unknown", "down"]) for (const mark of layer.querySelectorAll(`.${state}`)) layer.append(mark);
}

function scaleBar(atlas) {
  const y = atlas.height - 20, bar = svg("g", { class: "scalebar" });
  bar.append(svg("path", { d: `M20 ${y - 6}v6h${atlas.scale}v-6` }), svg("text", { x: 26 + atlas.scale, y: y + 2 }, `${fmt.number(atlas.scale_km, atlas.scale_km < 1 ? 1 : 0)} km`));
  return bar;
}

// Beside the map: what is not up, longest first.
function worst() {
  const box = el("aside", "worst");
  const bad = links.filter((link) => link.state !== "up" && shows(link))
    .sort((a, b) => RANK[a.state] - RANK[b.state] || (a.since ?? 0) - (b.since ?? 0));
  box.append(el("h2", "", bad.length ? `${t("board.worst")} (${bad.length})` : t("board.worst.none")));
  const items = el("ul");
  for (const link of bad.slice(0, 60)) {
    const item = el("li", link.state), a = el("a", "", link.name);
    a.href = href(link);
    const ago = el("span", "ago num", fmt.ago(link.since));
    ago.dataset.since = link.since ?? "";
    item.append(el("span", `badge ${link.state}`, t(`state.${link.state}`)), ago, a, el("span", "sub", `${link.district} · ${t(link.why)}`));
    items.append(item);
  }
  box.append(items);
  return box;
}

// --- all of it ----------------------------------------------------------------------------------

function render() {
  rowOf.clear();
  lazily.disconnect();
  const shown = links.filter(shows).length;
  stage.dataset.view = wish.view;
  stage.replaceChildren({ list, tiles, map }[wish.view]());
  document.getElementById("empty").hidden = shown > 0;
  for (const button of document.querySelectorAll("button[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === wish.view);
  for (const button of document.querySelectorAll("button[data-state]")) button.setAttribute("aria-pressed", button.dataset.state === wish.state);
  document.getElementById("wall").setAttribute("aria-pressed", wish.wall);
  document.body.classList.toggle("wall", wish.wall);
  total();
}

function total() {
  const count = counts(links);
  for (const place of document.querySelectorAll("[data-count]")) {
    const key = place.dataset.count;
    place.textContent = fmt.number(key === "all" ? links.length : count[key], 0);
  }
  document.title = `${count.down ? `(${count.down}) ` : ""}${t("board.title")} · Pantau`;
}

const said = document.getElementById("said");

function take(changes) {
  const turned = [];
  let moved = false;
  for (const [k, ...now] of changes) {
    const link = links[k], before = link.state;
    Object.assign(link, named(NOW, now));
    if (before !== link.state) { turned.push(link); moved = true; }
  }
  if (turned.length) said.textContent = turned.slice(0, 5).map((link) => `${link.name}: ${t(`state.${link.state}`)}`).join(". ");
  // What changed its state changes its place too; the rest is filled in where it stands.
  if (moved && !document.activeElement?.closest("#stage")) render();
  else {
    for (const [k] of changes) {
      const place = rowOf.get(k);
      if (place) (wish.view === "list" ? fillRow : fillTile)(place, links[k]);
    }
    if (wish.view === "map") for (const [k] of changes) if (atNode.has(links[k].node)) fillMark(links[k].node);
    total();
  }
  for (const link of turned) rowOf.get(link.k)?.classList.add("fresh");
  age();
}

function age() {
  for (const place of stage.querySelectorAll("[data-since]")) place.textContent = fmt.ago(place.dataset.since);
  document.getElementById("clock").textContent = fmt.clock(links[0]?.zone);
}

const live = document.getElementById("live");
const heard = (good) => {
  live.className = `live ${good ? "on" : "off"}`;
  live.textContent = t(good ? "board.live.on" : "board.live.off");
};

function connect() {
  const stream = new EventSource(`/board/events?after=${encodeURIComponent(data.mark)}`);
  stream.addEventListener("open", () => heard(true));
  stream.addEventListener("error", () => {
    heard(false);
    // Refused for good, by a login that has ended: the page itself says what to do.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
  stream.addEventListener("rows", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("sparks", (event) => {
    for (const [k, signs] of JSON.parse(event.data)) {
      links[k].spark = signs;
      const place = wish.view === "list" && rowOf.get(k)?.querySelector(".spark");
      if (place?.firstChild) place.replaceChildren(draw.spark(signs, t("board.spark")));
    }
  });
  stream.addEventListener("anew", () => location.reload());
}

document.getElementById("search").value = wish.q;
document.getElementById("group").value = wish.group;
document.getElementById("search").addEventListener("input", (event) => { wish.q = event.target.value.trim(); remember(); render(); });
document.getElementById("group").addEventListener("change", (event) => { wish.group = event.target.value; remember(); render(); });
for (const button of document.querySelectorAll("button[data-view]")) button.addEventListener("click", () => { wish.view = button.dataset.view; remember(); render(); });
for (const button of document.querySelectorAll("button[data-state]")) button.addEventListener("click", () => { wish.state = button.dataset.state; remember(); render(); });
document.getElementById("wall").addEventListener("click", () => {
  wish.wall = !wish.wall;
  if (wish.wall) document.documentElement.requestFullscreen?.().catch(() => {});
  else if (document.fullscreenElement) document.exitFullscreen();
  remember();
  render();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
  if (event.key === "Escape" && wish.wall) { wish.wall = false; remember(); render(); }
});
render();
age();
setInterval(age, 1000);
connect();
performance.mark("pantau-interactive");
