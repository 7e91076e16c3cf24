// The console's wiring: signing in, tabs, the feed, dialogs. What is shown is in panels.js, how it is asked for in
// session.js.
//
// While the page is hidden, or nobody is signed in, nothing is asked and no timer runs.

import * as panels from "./panels.js";
import { Refusal, Session } from "./session.js";

/** Rows of the feed; older ones are a filter away. */
const FEED_MAX = 200;

/** Client cards at once; others are found by name. */
const CARDS_MAX = 120;

/** Events are drawn in bundles, and told to screen readers in sentences, so that a thousand a second do no harm. */
const DRAW_MS = 200;
const ANNOUNCE_MS = 3000;

/** States, a second each, between two looks at what they do not tell. */
const LOOK_EVERY = 5;

/** Days in the chart. */
const DAYS = 30;

const $ = (id) => document.getElementById(id);
const { el, show } = panels;

let session = null;
let watching = null;

/** What was heard last. */
const seen = { state: {}, health: null, states: 0, clients: new Map(), models: new Set() };

// Signing in and out.

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  $("sign-in-fault").textContent = "";
  if (!/^[\x21-\x7e]+$/.test(token)) {
    $("sign-in-fault").textContent = "That is no token: it is one word of letters, digits and signs.";
    return;
  }
  const asked = new Session(token);
  try {
    seen.health = await asked.call("admin/health");
  } catch (fault) {
    $("sign-in-fault").textContent = fault.status === 401 ? "The gateway does not accept this token." : words(fault);
    return;
  }
  session = asked;
  $("token").value = "";
  reveal(true);
  $("version").textContent = seen.health.version;
  select($("tab-requests"));
  $("tab-requests").focus();
  watch();
});

function leave(why = "") {
  watching?.abort();
  session?.end();
  session = watching = null;
  $("dialog").close();
  for (const id of ["figures", "client-cards", "provider-cards", "actors", "spend-chart", "spend-days", "health-report", "feed"]) {
    $(id).replaceChildren();
  }
  for (const id of ["version", "link", "announced", "feed-hint", "filter-fault", "spend-fault"]) $(id).textContent = "";
  Object.assign(seen, { state: {}, health: null, states: 0, clients: new Map(), models: new Set() });
  rows.clear();
  cards.clear();
  fresh = [];
  $("filter").reset();
  reveal(false);
  $("sign-in-fault").textContent = why;
  $("token").focus();
}

function reveal(isSignedIn) {
  $("sign-in").hidden = isSignedIn;
  $("signed-in").hidden = $("session").hidden = !isSignedIn;
}

$("leave").addEventListener("click", () => leave());

const words = (fault) => (fault instanceof Refusal ? fault.message : "The gateway cannot be reached.");

/** Asks, and says what went wrong in `place`; `undefined` then, and when the session has ended meanwhile. */
async function ask(path, place) {
  const asking = session;
  try {
    const answer = await asking.call(path);
    if (place) place.textContent = "";
    return asking === session ? answer : undefined;
  } catch (fault) {
    if (asking !== session || asking === null) return undefined;
    if (fault.status === 401) leave("The token is not accepted any more.");
    else if (place) place.textContent = words(fault);
    return undefined;
  }
}

// Watching, while somebody looks.

function watch() {
  watching?.abort();
  if (!session || document.hidden) return;
  watching = new AbortController();
  const { signal } = watching;
  const on = {
    link: (said) => { $("link").textContent = said; },
    open: () => { $("link").textContent = "live"; renew(); },
    event: (name, data) => {
      if (signal.aborted) return;
      if (name === "state") heard(data);
      if (name === "request") passed(data);
      if (name === "missed") $("feed-hint").textContent = `${panels.number(data.requests)} requests went by unseen: too many for this page.`;
    },
    look,
  };
  session.watch(signal, on).catch((fault) => leave(words(fault)));
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) watching?.abort();
  else watch();
});

/** What a stream tells by itself, where there is none. */
async function look() {
  const [tree, clients, providers] = await Promise.all(["admin/tree", "admin/clients", "admin/providers"].map((path) => ask(path)));
  if (tree && clients && providers) heard({ ...tree, ...clients, ...providers });
  await list();
}

/** What no event tells: what has been while nobody looked. */
function renew() {
  list();
  opened();
}

function heard(state) {
  seen.state = state;
  for (const client of state.clients ?? []) if (client) seen.clients.set(client.id, client);
  if (seen.states % LOOK_EVERY === 0) {
    health();
    // A state has the first fifty.
    if (state.clients_not_shown > 0 && !$("clients").hidden) allClients();
  }
  seen.states += 1;
  draw();
}

async function health() {
  seen.health = (await ask("admin/health")) ?? seen.health;
  if (session) draw();
}

function draw() {
  show($("figures"), panels.figures(seen.state, seen.health));
  if (!$("clients").hidden) drawClients();
  if (!$("providers").hidden && seen.state.providers) show($("provider-cards"), seen.state.providers.map(panels.providerCard));
  if (!$("tree").hidden && seen.state.tree) show($("actors"), panels.actorRows(seen.state.tree));
  if (!$("health").hidden && seen.health) show($("health-report"), panels.healthReport(seen.health));
}

// Tabs: one in the order of the Tab key, the others by the arrows.

const tabs = [...$("tabs").children];

function select(tab) {
  for (const other of tabs) {
    const isThis = other === tab;
    other.setAttribute("aria-selected", String(isThis));
    other.tabIndex = isThis ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !isThis;
  }
  draw();
  opened();
}

/** Asks for what only the open panel needs. */
function opened() {
  if (!$("clients").hidden) allClients();
  if (!$("spend").hidden) spend();
  if (!$("health").hidden) health();
}

for (const tab of tabs) tab.addEventListener("click", () => select(tab));

$("tabs").addEventListener("keydown", (event) => {
  const at = tabs.indexOf(event.target);
  const last = tabs.length - 1;
  const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  select(tabs[next]);
  tabs[next].focus();
});

// The feed: the last requests that fit the filter, the newest first.

const rows = new Map();
let fresh = [];
let drawing = 0;
let announcing = 0;
let listing = 0;

const filter = () => Object.fromEntries([...new FormData($("filter"))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));

/** As the gateway itself filters. */
function fits(request, { client, model, status }) {
  const isStatus = !status || (status.endsWith("xx") ? String(request.status)[0] === status[0] : String(request.status) === status);
  return isStatus && (!client || request.client === client) && (!model || request.model === model || request.upstream_model === model);
}

/** A request has ended. */
function passed(request) {
  fresh.push(request);
  if (fresh.length > FEED_MAX) fresh.shift();
  drawing ||= setTimeout(() => {
    drawing = 0;
    const [ended, wanted] = [fresh.filter((one) => fits(one, filter())), fresh];
    fresh = [];
    if (!session || wanted.length === 0) return;
    for (const one of ended) put(one);
    trim();
    suggest(wanted);
    announce(ended);
  }, DRAW_MS);
}

function put(request) {
  const row = panels.requestRow(request, explain);
  const known = rows.get(request.id);
  if (known) known.replaceWith(row);
  else $("feed").prepend(row);
  rows.set(request.id, row);
}

function trim() {
  for (const [id, row] of rows) {
    if (rows.size <= FEED_MAX) return;
    rows.delete(id);
    row.remove();
  }
}

/** The feed anew. */
async function list() {
  const asked = ++listing;
  const query = new URLSearchParams({ ...filter(), limit: String(FEED_MAX) });
  const answer = await ask(`admin/requests?${query}`, $("filter-fault"));
  if (!answer || asked !== listing) return;
  const focused = [...rows].find(([, row]) => row.contains(document.activeElement))?.[0];
  rows.clear();
  $("feed").replaceChildren();
  for (const request of answer.requests.reverse()) put(request);
  if (focused) rows.get(focused)?.querySelector("button").focus();
  $("feed-hint").textContent = rows.size ? "" : "No request fits, or none has come yet.";
  suggest(answer.requests);
}

function suggest(requests) {
  if (rows.size) $("feed-hint").textContent = "";
  for (const { model } of requests) if (model && seen.models.size < FEED_MAX) seen.models.add(model);
  const options = (values) => [...values].sort().map((value) => el("option", { value }));
  const clients = new Set([...requests.map((request) => request.client).filter(Boolean), ...seen.clients.keys()]);
  show($("known-clients"), options([...clients].slice(0, FEED_MAX)));
  show($("known-models"), options(seen.models));
}

function announce(ended) {
  if (announcing || ended.length === 0) return;
  const last = ended[ended.length - 1];
  const more = ended.length > 1 ? `${ended.length} requests, the last: ` : "";
  $("announced").textContent = `${more}${last.client ?? "nobody known"}, ${last.model ?? last.endpoint ?? ""}, status ${last.status}`;
  announcing = setTimeout(() => { announcing = 0; }, ANNOUNCE_MS);
}

let typing = 0;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(list, DRAW_MS);
});
$("filter").addEventListener("reset", () => setTimeout(() => session && list()));
$("filter").addEventListener("submit", (event) => { event.preventDefault(); list(); });

async function explain(id) {
  const request = await ask(`admin/requests/${encodeURIComponent(id)}`, $("filter-fault"));
  if (request) open({ title: "Why it was answered so", body: panels.journal(request) });
}

// Clients.

const cards = new Map();

async function allClients() {
  const answer = await ask("admin/clients");
  if (!answer) return;
  // Those that do something stand first. The others are in the order of their ids.
  const isIdle = (client) => Number(client.in_flight === 0 && client.tokens_today === 0);
  const all = answer.clients.sort((one, other) => isIdle(one) - isIdle(other));
  seen.clients = new Map(all.map((client) => [client.id, client]));
  drawClients();
}

function drawClients() {
  const wanted = $("find").value.trim().toLowerCase();
  const fit = [...seen.clients.values()].filter(({ id, name }) => `${id} ${name ?? ""}`.toLowerCase().includes(wanted));
  const shown = new Set(fit.slice(0, CARDS_MAX).map((client) => client.id));
  for (const [id, card] of cards) {
    if (shown.has(id)) continue;
    card.root.remove();
    cards.delete(id);
  }
  for (const id of shown) {
    const client = seen.clients.get(id);
    const card = cards.get(id);
    if (card) {
      panels.renewClient(card, client);
      continue;
    }
    cards.set(id, panels.clientCard(client, rotate, access));
    $("client-cards").append(cards.get(id).root);
  }
  $("clients-hint").textContent = fit.length > CARDS_MAX ? `${panels.number(fit.length - CARDS_MAX)} more are not shown; find them by name.`
    : fit.length ? "" : "No such client.";
}

$("find").addEventListener("input", drawClients);
$("find-form").addEventListener("submit", (event) => event.preventDefault());

function rotate({ id }) {
  const grace = el("input", { name: "grace", value: "24h", spellcheck: "false", autocomplete: "off" });
  open({
    title: `Rotate the credentials of ${id}?`,
    body: [
      el("p", {}, "Makes a new secret and a new API key. The old ones go on for the grace, then they end."),
      el("label", {}, "Grace, such as 24h, 30m or 0s", grace),
    ],
    verb: "Rotate",
    act: async (asking) => {
      const written = grace.value.trim();
      const body = written ? { grace: written } : undefined;
      const issued = await asking.call(`admin/clients/${encodeURIComponent(id)}/rotate`, { method: "POST", body });
      return { title: `New credentials of ${id}`, body: credentials(issued) };
    },
  });
}

function credentials(issued) {
  const secret = (name, value) => [el("dt", {}, name), el("dd", {}, el("span", { class: "code secret" }, value))];
  const { end } = issued.old_credentials;
  return [
    el("p", {}, "They are shown this once. Copy them now."),
    el("dl", { class: "facts" }, secret("Client id", issued.client_id), secret("Secret", issued.client_secret), secret("API key", issued.api_key)),
    el("p", { class: "hint" }, end ? `The old ones end at ${end}.` : "There are no old ones that go on."),
    ...notInForce(issued),
  ];
}

/** A change that stays, and waits for another file to be mended. */
function notInForce(changed) {
  if (changed.in_force) return [];
  return [
    el("p", { class: "fault" }, "Written, and not in force yet: the configuration has faults."),
    el("ul", {}, changed.faults.map((fault) => el("li", { class: "fault" }, fault.msg))),
  ];
}

function access({ id, disabled }) {
  const verb = disabled ? "Enable" : "Disable";
  open({
    title: `${verb} ${id}?`,
    body: [el("p", {}, disabled
      ? "Its credentials open the gateway again."
      : "Its requests are refused from now on. Those that have begun go on to their end.")],
    verb,
    act: async (asking) => {
      const segment = encodeURIComponent(id);
      const path = disabled ? `admin/clients/${segment}/enable` : `admin/clients/${segment}/disable`;
      const changed = await asking.call(path, { method: "POST" });
      return { title: `${id} is ${disabled ? "enabled" : "disabled"}`, body: notInForce(changed) };
    },
  });
}

// Spend.

async function spend() {
  const from = new Date(Date.now() - (DAYS - 1) * 86_400_000).toISOString().slice(0, 10);
  const answer = await ask(`admin/usage?by=day&from=${from}`, $("spend-fault"));
  if (!answer) return;
  const all = panels.days(answer.usage, DAYS);
  show($("spend-chart"), panels.spendChart(all, $("spend").clientWidth));
  show($("spend-days"), all.filter((day) => day.requests > 0).reverse().map(panels.dayRow));
}

$("spend-again").addEventListener("click", spend);

// The reload.

$("reload").addEventListener("click", () => open({
  title: "Reload the configuration?",
  body: [el("p", {}, "Reads all files again. If one has a fault, all stays as it is, and the faults are told here.")],
  verb: "Reload",
  act: async (asking) => {
    const report = await asking.call("admin/reload", { method: "POST" });
    const names = ["added", "changed", "removed"].filter((kind) => report[kind].length > 0);
    return {
      title: "Reloaded",
      body: [
        el("p", {}, `${panels.number(report.count)} clients, generation ${panels.number(report.generation)}.`),
        ...names.map((kind) => el("p", {}, `${kind}: ${report[kind].join(", ")}`)),
        ...report.warnings.map((warning) => el("p", { class: "hint" }, `warning: ${warning}`)),
        ...report.needs_restart.map((section) => el("p", { class: "hint" }, `needs a restart: ${section}`)),
      ],
    };
  },
}));

// The one dialog. What it showed is gone when it is closed.

let action = null;

function open({ title, body, verb, act }) {
  action = act ?? null;
  fill(title, body);
  $("dialog-do").hidden = !act;
  $("dialog-do").disabled = false;
  $("dialog-do").textContent = verb ?? "";
  $("dialog-close").textContent = act ? "Cancel" : "Close";
  if (!$("dialog").open) $("dialog").showModal();
  // A decision begins at its harmless end, a long text at its top.
  $(act ? "dialog-close" : "dialog-title").focus();
}

function fill(title, body) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...body);
  $("dialog-fault").textContent = "";
}

$("dialog-do").addEventListener("click", async () => {
  const [asking, doing] = [session, action];
  $("dialog-do").disabled = true;
  $("dialog-fault").textContent = "";
  try {
    const next = await doing(asking);
    if (asking !== session) return;
    // Also when it was closed meanwhile: a new secret is shown now or never.
    open(next);
  } catch (fault) {
    if (asking !== session) return;
    if (fault.status === 401) return leave("The token is not accepted any more.");
    if (action === doing) {
      $("dialog-fault").textContent = fault instanceof Refusal ? fault.lines.join("\n") : words(fault);
      $("dialog-do").disabled = false;
    }
  }
  health();
  if (!$("clients").hidden) allClients();
});

$("dialog-close").addEventListener("click", () => $("dialog").close());
$("dialog").addEventListener("close", () => {
  action = null;
  $("dialog-body").replaceChildren();
});
