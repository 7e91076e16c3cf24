// The console's wiring: signing in, tabs, dialogs. What is shown is in panels.js and feed.js, how it is asked for in
// session.js.
//
// While the page is hidden, or nobody is signed in, nothing is asked and no timer runs.

import { Feed } from "./feed.js";
import * as panels from "./panels.js";
import { Refusal, Session } from "./session.js";

/** Client cards at once; others are found by name. */
const CARDS_MAX = 120;

/** States, a second each, between two looks at what they do not tell; the ledger is read less often. */
const LOOK_EVERY = 5;
const SPEND_EVERY = 60;

const GONE = "The token is not accepted any more.";

/** Days in the chart. */
const DAYS = 30;

const $ = (id) => document.getElementById(id);
const { el, show } = panels;

let session = null;
let watching = null;

const nothing = () => ({ state: {}, health: null, states: 0, clients: new Map(), link: "trying", heardAt: null, rate: null });

/** What was heard last, and when. */
let seen = nothing();

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
  select($("tab-requests"));
  $("tab-requests").focus();
  watch();
});

/** Ends the session and forgets all that it has shown. */
function leave(why = "") {
  watching?.abort();
  session?.end();
  session = watching = null;
  $("dialog").close();
  seen = nothing();
  feed.clear();
  cards.clear();
  for (const id of EMPTIED) $(id).replaceChildren();
  $("find").value = "";
  reveal(false);
  $("sign-in-fault").textContent = why;
  $("token").focus();
}

function reveal(isSignedIn) {
  $("sign-in").hidden = isSignedIn;
  $("signed-in").hidden = $("session").hidden = !isSignedIn;
}

$("leave").addEventListener("click", () => leave());

/** What has something of the gateway in it, the feed apart. */
const EMPTIED = ["version", "link", "alarm", "attention", "figures", "clients-hint", "client-cards", "provider-cards", "actors", "tree-hint",
  "spend-fault", "spend-chart", "spend-days", "health-report", "dialog-title"];

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
    if (fault.status === 401) leave(GONE);
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
    link,
    open: () => { link("live", "live"); renew(); },
    event: (name, data) => {
      if (signal.aborted) return;
      if (name === "state") heard(data);
      if (name === "request") feed.passed(data);
      if (name === "missed") feed.missed(data.requests);
    },
    look,
  };
  session.watch(signal, on).catch((fault) => leave(fault.status === 401 ? GONE : words(fault)));
}

/** How the gateway is reached: as a kind, and in words. */
function link(kind, said) {
  seen.link = kind;
  const since = kind === "lost" && seen.heardAt ? ` What is shown is of ${panels.clock(seen.heardAt)}.` : "";
  $("link").className = { live: "good", lost: "bad" }[kind] ?? "warn";
  $("link").textContent = said + (since && `.${since}`);
  draw();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) watching?.abort();
  else watch();
});

/** What a stream tells by itself, where there is none. Throws what `call` throws. */
async function look() {
  const asking = session;
  const paths = ["admin/tree", "admin/clients", "admin/providers"];
  const [tree, clients, providers] = await Promise.all(paths.map((path) => asking.call(path)));
  if (asking !== session) return;
  heard({ ...tree, ...clients, ...providers });
  await feed.renew();
}

/** What no event tells: what has been while nobody looked. */
function renew() {
  feed.list();
  opened();
}

function heard(state) {
  const before = seen.state.requests_ended;
  const now = Date.now();
  // After a restart of the gateway the count begins anew.
  const isNext = seen.heardAt !== null && state.requests_ended >= before;
  seen.rate = isNext ? (1000 * (state.requests_ended - before)) / Math.max(1, now - seen.heardAt) : null;
  seen.heardAt = now;
  seen.state = state;
  for (const client of (state.clients ?? []).filter(Boolean)) {
    seen.clients.set(client.id, client);
    feed.suggest({ client: client.id });
  }
  if (seen.states % LOOK_EVERY === 0) {
    health();
    // A state has the first fifty.
    if (state.clients_not_shown > 0 && !$("clients").hidden) allClients();
  }
  if (seen.states % SPEND_EVERY === 0 && !$("spend").hidden) spend();
  seen.states += 1;
  draw();
}

async function health() {
  const before = seen.health;
  const answer = await ask("admin/health");
  if (!answer) return;
  seen.health = answer;
  // Somebody else has changed clients.
  if (before && before.generation !== answer.generation && !$("clients").hidden) allClients();
  draw();
}

function draw() {
  $("version").textContent = seen.health?.version ?? "";
  show($("figures"), panels.figures(seen));
  const { alarm, lines } = panels.attention(seen.state, seen.health);
  show($("alarm"), alarm);
  show($("attention"), lines);
  if (!$("clients").hidden) drawClients();
  if (!$("providers").hidden && seen.state.providers) show($("provider-cards"), seen.state.providers.map(panels.providerCard));
  if (!$("tree").hidden && seen.state.tree) drawTree();
  if (!$("health").hidden && seen.health) show($("health-report"), panels.healthReport(seen.health));
}

function drawTree() {
  const { tree, actors_not_shown: more } = seen.state;
  show($("actors"), panels.actorRows(tree));
  $("tree-hint").textContent = more > 0 ? `${panels.number(more)} more actors run and are not shown; those in trouble are.` : "";
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
  if (!$("clients").hidden) allClients(true);
  if (!$("spend").hidden) spend();
  if (!$("health").hidden) health();
}

for (const tab of tabs) tab.addEventListener("click", () => select(tab));

// What needs attention leads to its panel.
$("attention").addEventListener("click", ({ target }) => {
  const tab = tabs.find((one) => one.getAttribute("aria-controls") === target.dataset.panel);
  if (!tab) return;
  select(tab);
  tab.focus();
});

$("tabs").addEventListener("keydown", (event) => {
  const at = tabs.indexOf(event.target);
  const last = tabs.length - 1;
  const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  select(tabs[next]);
  tabs[next].focus();
});

async function explain(id) {
  const request = await ask(`admin/requests/${encodeURIComponent(id)}`, $("filter-fault"));
  if (request) open({ title: "Why it was answered so", body: panels.journal(request) });
}

const feed = new Feed(ask, explain);

// Clients.

const cards = new Map();

/** Those at their limits stand first, then those that do something; when `isAnew` also those that stand already. */
async function allClients(isAnew = false) {
  const answer = await ask("admin/clients");
  if (!answer) return;
  const all = answer.clients.sort((one, other) => panels.urgency(one) - panels.urgency(other));
  seen.clients = new Map(all.map((client) => [client.id, client]));
  if (isAnew) arrange();
  drawClients();
}

/** Cards keep their places while they are looked at; here they are placed anew. */
function arrange() {
  cards.clear();
  $("client-cards").replaceChildren();
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
  const hint = fit.length > CARDS_MAX ? `${panels.number(fit.length - CARDS_MAX)} more are not shown; find them by name.`
    : fit.length ? "" : "No such client.";
  if ($("clients-hint").textContent !== hint) $("clients-hint").textContent = hint;
}

$("find").addEventListener("input", () => { arrange(); drawClients(); });
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
      const is = changed.in_force ? "is" : "is not yet";
      return { title: `${id} ${is} ${disabled ? "enabled" : "disabled"}`, body: notInForce(changed) };
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
        ...(report.settings.length ? [el("p", {}, `settings: ${report.settings.join(", ")}`)] : []),
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
    if (fault.status === 401) return leave(GONE);
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
