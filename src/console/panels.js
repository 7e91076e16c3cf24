// What each panel shows: from the gateway's JSON to elements. Keeps nothing, asks nothing.
//
// Whatever the gateway says becomes text (`textContent`) or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text. */
export function el(name, attributes = {}, ...children) {
  return built(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return built(document.createElementNS(SVG, name), attributes, children);
}

function built(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

/** What a list of lists has, without its gaps. */
const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined);

/**
 * Makes this what a container has, unless somebody is just selecting text there. What is equal stays: a screen reader
 * keeps its place, the focus is kept, and a live region tells only what is new.
 */
export function show(container, ...children) {
  const selection = getSelection();
  if (!selection.isCollapsed && container.contains(selection.anchorNode)) return;
  const wanted = present(children).map((child) => (child instanceof Node ? child : new Text(child)));
  for (const [at, child] of wanted.entries()) {
    const old = container.childNodes[at];
    if (!old) container.append(child);
    else if (!old.isEqualNode(child)) old.replaceWith(child);
  }
  while (container.childNodes.length > wanted.length) container.lastChild.remove();
}

const whole = new Intl.NumberFormat("en");
const cents = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const parts = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 2, maximumFractionDigits: 12 });

export const number = (value) => (typeof value === "number" ? whole.format(value) : "–");

export function usd(value) {
  if (typeof value !== "number") return "–";
  if (value === 0 || value >= 1) return cents.format(value);
  return (value >= 0.01 ? parts : digits).format(value);
}

export function duration(ms) {
  if (typeof ms !== "number") return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1000) % 60} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor(ms / 60_000) % 60} min`;
}

/** A time of day, the reader's own. */
export const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

/** A moment in the reader's own time, with the exact one at hand. */
function moment(iso, withDay) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return el("span", {}, "–");
  const words = withDay ? at.toLocaleString("en-GB") : clock(at);
  return el("time", { datetime: iso, title: iso }, words);
}

const tone = { running: "good", ok: "good", closed: "good", half_open: "warn", degraded: "bad", open: "bad", off: "bad", stopped: "bad" };

/** A word in its colour. */
const word = (state, fallback = "warn") =>
  el("span", { class: tone[state] ?? fallback }, String(state).replaceAll("_", " "));

const facts = (pairs) =>
  el("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

// Above the panels.

/** The numbers of now; `rate` is what ends in a second. */
export function figures({ state, health, link, rate }) {
  const status = link === "lost" ? word("not reached", "bad") : health ? word(health.status) : "–";
  const shown = [
    ["Status", status],
    ["Requests in flight", number(state.in_flight?.requests ?? health?.requests_in_flight)],
    ["Calls upstream", number(state.calls_in_flight)],
    ["Ended per second", rate === null ? "–" : number(Math.round(rate))],
    ["Ended since the start", number(state.requests_ended)],
    ["Ledger behind", number(state.ledger_behind)],
  ];
  return shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

/** Lines of one kind that are shown. */
const ALIKE_MAX = 3;

/**
 * What waits for a person, or may soon: a line each, which leads to its panel. Without numbers that change by the second.
 * `alarm` is what is worth interrupting somebody.
 */
export function attention(state, health) {
  const lines = [...troubles(state, health)];
  return {
    alarm: lines.filter(([, kind]) => kind === "bad").map(([, , words]) => words).join(". "),
    lines: lines.map(([panel, kind, words]) =>
      el("li", {}, el("span", { class: kind }, kind === "bad" ? "Trouble" : "Note"), " ",
        el("button", { type: "button", class: "link", "data-panel": panel }, words))),
  };
}

function* troubles(state, health) {
  const reload = health?.last_reload;
  if (health?.draining) yield ["health", "bad", "The gateway is about to end and takes no more requests"];
  if (reload?.faults.length) {
    yield ["health", "bad", `The configuration has ${counted(reload.faults.length, "fault")}, so what was in force still is: ${reload.faults[0].msg}`];
  }
  if (health?.ledger.trouble) yield ["health", "bad", `The ledger: ${health.ledger.trouble}`];
  yield* some("tree", "bad", actorsInTrouble(state.tree ?? []), "actors are in trouble");
  yield* some("providers", "warn", resters(state.providers ?? []), "keys or models rest");
  const full = (state.clients ?? []).filter((client) => client && fullness(client) >= 1);
  const limits = full.map((client) => `${client.id} is at a limit${isInShadow(client) ? ", in shadow" : ""}`);
  yield* some("clients", "warn", limits, "clients are at a limit");
  if (reload?.needs_restart.length) yield ["health", "warn", `Waits for a restart: ${reload.needs_restart.map(said).join(", ")}`];
}

/** Lines one by one while they are few, one for all where they are many. */
const some = (panel, kind, lines, all) =>
  (lines.length > ALIKE_MAX ? [`${number(lines.length)} ${all}`] : lines).map((line) => [panel, kind, line]);

const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

const actorsInTrouble = (nodes) => nodes.flatMap((node) => [
  ...(["resting", "off"].includes(node.state) || node.reason ? [`${node.name} is ${node.state}${node.reason ? `: ${node.reason}` : ""}`] : []),
  ...actorsInTrouble(node.children),
]);

const resters = (providers) => providers.flatMap((provider) => provider.keys.flatMap((key) => [
  ...(key.breaker === "closed" ? [] : [`${provider.name}, key ${key.name}, rests after failures`]),
  ...key.models.filter((model) => model.breaker !== "closed").map((model) =>
    `${provider.name}, key ${key.name}, ${model.model}: rests ${model.limited ? "by its own limit" : "after failures"}`),
]));

// Requests.

function status(request) {
  const code = request.status ?? "–";
  const kind = request.ending === "running" ? "warn" : code < 400 ? "good" : code < 500 ? "warn" : "bad";
  const more = request.refused ?? (request.ending === "answered" ? null : request.ending);
  return [el("span", { class: kind }, String(code)), more && el("small", {}, more.replaceAll("_", " "))];
}

const tokens = (usage) => usage && Object.values(usage).reduce((sum, part) => sum + part, 0);

/** A row; `open` shows why the request was answered so. */
export function requestRow(request, open) {
  const named = request.model ?? request.upstream_model;
  const elsewhere = request.upstream_model && request.upstream_model !== named ? request.upstream_model : null;
  const button = el("button", { type: "button", class: "link time", click: () => open(request.id) });
  button.append(moment(request.arrived_at));
  button.setAttribute("aria-label", `${button.textContent}: explain`);
  return el("tr", {},
    el("td", {}, button),
    el("td", {}, request.client ?? "–"),
    el("td", {}, named ?? request.endpoint ?? "–", elsewhere && el("small", {}, elsewhere)),
    el("td", { class: "wide" }, request.provider ?? "–",
      request.attempts > 1 ? el("small", {}, `${request.attempts} attempts`) : null),
    el("td", {}, status(request)),
    el("td", { class: "wide number" }, number(tokens(request.usage))),
    el("td", { class: "wide number" }, usd(request.cost_usd)),
    el("td", { class: "wide number" }, duration(request.duration_ms)));
}

/** One value of a step, in words. */
function said(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (value && typeof value === "object") return Object.entries(value).map(([name, part]) => `${name.replaceAll("_", " ")} ${said(part)}`).join(", ");
  return String(value ?? "–");
}

/** Each decision about one request, with its time. */
export function journal(request) {
  const steps = request.steps.map(({ at_ms: at, step, ...members }) =>
    el("li", {},
      el("span", { class: "at" }, `${at.toFixed(2)} ms`),
      el("strong", {}, step.replaceAll("_", " ")),
      el("span", { class: "said" },
        Object.entries(members).map(([name, value]) => `${name.replaceAll("_", " ")}: ${said(value)}`).join(" · "))));
  return [
    facts([
      ["Request", el("code", {}, request.id)],
      request.client_request_id && ["The caller's id", el("code", {}, request.client_request_id)],
      ["Arrived", moment(request.arrived_at, true)],
      ["Client", request.client ?? "–"],
      ["Status", el("span", {}, status(request))],
      ["Served by", [request.provider, request.key, request.upstream_model].filter(Boolean).join(" / ") || "–"],
      ["First content", duration(request.first_token_ms)],
      ["Took", duration(request.duration_ms)],
      ["Gateway's own time", duration(request.overhead_ms)],
      ["USD", usd(request.cost_usd)],
    ]),
    el("ol", { class: "journal", "aria-label": "Decisions" }, steps),
    request.steps_left_out ? el("p", { class: "hint" }, `${request.steps_left_out} more steps were not kept.`) : null,
  ].filter(Boolean);
}

// Clients.

/** A bar of what is used and what is reserved, beside it in words. */
function meter(name, used, reserved, max) {
  const isMoney = name.startsWith("usd");
  const amount = isMoney ? usd : number;
  const part = (value) => (max > 0 ? Math.min(100, (100 * value) / max) : 100);
  const [first, both] = [part(used), part(used + reserved)];
  const words = `${amount(used)}${reserved ? ` + ${amount(reserved)} reserved` : ""} of ${amount(max)}`;
  return el("div", { class: "meter" },
    el("div", { class: "words" }, el("span", {}, name.replaceAll("_", " ")), el("span", {}, words)),
    svg("svg", {
      class: both >= 100 ? "bar full" : "bar",
      viewBox: "0 0 100 1",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { class: "track", width: 100, height: 1 }),
    svg("rect", { class: "reserved", width: both, height: 1 }),
    svg("rect", { class: "used", width: first, height: 1 })));
}

/** The largest part that is taken of a limit: 1 is all of it. */
const fullness = (client) => Math.max(0, ...Object.entries(client.limits ?? {}).map(([name, max]) => {
  const taken = (client.used?.[name] ?? 0) + (client.reserved?.[name] ?? 0);
  return max > 0 ? taken / max : 1;
}));

const isInShadow = (client) => client.settings?.rate_limit.mode === "shadow";

/** The part of a limit from which it is worth a word. */
const NEAR = 0.8;

/** A client's place among others: those at a limit, those near it, those that do something, the idle, the disabled. */
export function urgency(client) {
  if (client.disabled) return 4;
  if (fullness(client) >= 1) return 0;
  if (fullness(client) >= NEAR) return 1;
  return client.in_flight > 0 || client.tokens_today > 0 ? 2 : 3;
}

function clientState(client) {
  const share = fullness(client);
  return [
    client.disabled && el("span", { class: "tag bad" }, "disabled"),
    !client.disabled && share >= 1 && el("span", { class: "tag bad" }, "at its limit"),
    !client.disabled && share >= NEAR && share < 1 && el("span", { class: "tag warn" }, "near its limit"),
    isInShadow(client) && el("span", { class: "tag", title: "What is above a limit is counted and not refused." }, "in shadow"),
  ].filter(Boolean);
}

/** The part of a client's card that changes with each call. */
export function clientMeters(client) {
  const limits = Object.entries(client.limits ?? {}).map(([name, max]) =>
    meter(name, client.used?.[name] ?? 0, client.reserved?.[name] ?? 0, max));
  return [
    limits.length ? limits : el("p", { class: "hint" }, "No limits."),
    facts([
      ["In flight", number(client.in_flight)],
      ["Tokens today", number(client.tokens_today)],
      ["USD today", usd(client.usd_today)],
      ["USD this month", usd(client.usd_this_month)],
      (client.debt > 0 || client.usd_debt > 0)
        && ["Debt", el("span", { class: "warn" }, `${number(client.debt)} tokens, ${usd(client.usd_debt)} USD`)],
    ]),
  ].flat();
}

/** A client with its actions, whose parts are named so that they can be renewed without losing the focus. */
export function clientCard(client, rotate, access) {
  const card = {
    state: el("p", { class: "tags" }),
    meters: el("div", {}),
    access: el("button", { type: "button", click: () => access(card.client) }),
  };
  card.root = el("article", { class: "card" },
    el("h2", {}, client.id, client.name && client.name !== client.id ? el("small", {}, client.name) : null),
    card.state,
    card.meters,
    el("div", { class: "actions" },
      el("button", { type: "button", "aria-label": `Rotate credentials of ${client.id}`, click: () => rotate(card.client) },
        "Rotate credentials"),
      card.access));
  renewClient(card, client);
  return card;
}

export function renewClient(card, client) {
  card.client = client;
  show(card.state, clientState(client));
  show(card.meters, clientMeters(client));
  const verb = client.disabled ? "Enable" : "Disable";
  card.access.textContent = verb;
  card.access.setAttribute("aria-label", `${verb} ${client.id}`);
}

// Providers.

function quota(name, meters) {
  if (!meters) return null;
  const left = meters.limit === null ? number(meters.remaining) : `${number(meters.remaining)} of ${number(meters.limit)}`;
  return [`${name} left`, meters.resets_ms > 0 ? `${left}, whole again in ${duration(meters.resets_ms)}` : `${left}, whole by now`];
}

const resting = (breaker, restsMs, limited) =>
  [word(breaker), typeof restsMs === "number" ? ` for ${duration(restsMs)}${limited ? ", by its limit" : ""}` : ""];

export function providerCard(provider) {
  const keys = provider.keys.map((key) =>
    el("div", { class: "part" },
      el("h3", {}, `Key ${key.name}`),
      facts([
        ["Breaker", el("span", {}, resting(key.breaker, key.rests_ms))],
        ["In flight", number(key.in_flight)],
        ["Answered, failed, left", `${number(key.answered)}, ${number(key.failed)}, ${number(key.abandoned)}`],
        ["First byte", duration(key.first_byte_ms)],
        key.last_failure
          && ["Last failure", `${key.last_failure.what.replaceAll("_", " ")}, ${duration(key.last_failure.seconds_ago * 1000)} ago`],
      ]),
      key.models.map((model) =>
        el("div", { class: "part" },
          el("code", {}, model.model),
          facts([
            ["Breaker", el("span", {}, resting(model.breaker, model.rests_ms, model.limited))],
            ["Latency", duration(model.latency_ms)],
            quota("Requests", model.quota?.requests),
            quota("Tokens", model.quota?.tokens),
          ])))));
  const most = provider.max_concurrency ? `, at most ${number(provider.max_concurrency)} at once` : "";
  return el("article", { class: "card" },
    el("h2", {}, provider.name),
    el("p", { class: "hint" }, `${provider.kind}${most}`),
    provider.can_be_called ? null : el("p", { class: "bad" }, "cannot be called: it has no key"),
    keys);
}

// Actors.

export function actorRows(nodes, depth = 0) {
  return nodes.flatMap((node) => [
    el("tr", {},
      el("td", { class: `depth-${Math.min(depth, 3)}` }, node.name, node.reason ? el("small", {}, node.reason) : null),
      el("td", { class: "time" }, word(node.state)),
      el("td", { class: node.restarts ? "number warn" : "number" }, number(node.restarts)),
      el("td", { class: "number" }, number(node.mailbox.depth),
        el("span", { class: "wide" }, ` / ${number(node.mailbox.max)}`)),
      el("td", { class: "wide number" }, duration(node.age_ms))),
    ...actorRows(node.children, depth + 1),
  ]);
}

// Spend.

const DAY_MS = 86_400_000;

/** The last `count` days of UTC, the newest last, those without a call included. */
export function days(rows, count) {
  const known = new Map(rows.map((row) => [row.day, row]));
  const today = Math.floor(Date.now() / DAY_MS);
  return Array.from({ length: count }, (_, at) => {
    const day = new Date((today - count + 1 + at) * DAY_MS).toISOString().slice(0, 10);
    return known.get(day) ?? { day, requests: 0, failed_requests: 0, tokens: 0, usd: 0 };
  });
}

/** One bar a day, for a place that is so many pixels wide. */
export function spendChart(all, width) {
  const [height, left, bottom, top] = [220, 64, 24, 14];
  const most = Math.max(...all.map((day) => day.usd));
  const step = (width - left) / all.length;
  const tall = height - bottom - top;
  const bars = all.map((day, at) => {
    const high = most > 0 ? (tall * day.usd) / most : 0;
    return svg("rect", { x: left + at * step + step * 0.15, y: top + tall - high, width: step * 0.7, height: high, rx: 2 },
      svg("title", {}, `${day.day}: ${usd(day.usd)} USD, ${number(day.requests)} requests`));
  });
  const line = (y) => svg("line", { x1: left, x2: width, y1: y, y2: y });
  const text = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, words);
  const total = all.reduce((sum, day) => sum + day.usd, 0);
  return [
    svg("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Spend of the last ${all.length} days: ${usd(total)} USD in all, ${usd(most)} USD on the dearest day`,
    },
    line(top), line(top + tall), bars,
    text(left - 8, top + 5, "end", most > 0 ? usd(most) : ""),
    text(left - 8, top + tall + 4, "end", "0"),
    text(left, height - 6, "start", all[0].day),
    text(width, height - 6, "end", all[all.length - 1].day)),
    el("figcaption", { class: "hint" }, `${usd(total)} USD in the last ${all.length} days`),
  ];
}

export const dayRow = (day) =>
  el("tr", {},
    el("td", { class: "time" }, day.day),
    el("td", { class: "number" }, number(day.requests)),
    el("td", { class: "wide number" }, number(day.failed_requests)),
    el("td", { class: "number" }, number(day.tokens)),
    el("td", { class: "number" }, usd(day.usd)));

// Health.

const list = (title, lines, kind) =>
  lines.length ? el("div", { class: "part" }, el("h2", {}, title), el("ul", {}, lines.map((line) => el("li", { class: kind }, line)))) : null;

export function healthReport(health) {
  const reload = health.last_reload;
  return [
    el("article", { class: "card" },
      facts([
        ["Status", word(health.status)],
        ["Version", health.version],
        ["Clients", number(health.clients)],
        ["Configuration", el("span", {}, `generation ${number(health.generation)}, in force since `, moment(health.in_force_since, true))],
        ["Last reload", el("span", {}, reload.ok ? el("span", { class: "good" }, "worked") : el("span", { class: "bad" }, "failed"),
          ", ", moment(reload.at, true), `, by ${reload.by}`)],
        ["Ledger", el("span", {}, word(health.ledger.state), `, ${number(health.ledger.behind)} behind`)],
        health.ledger.trouble && ["Ledger's trouble", el("span", { class: "bad" }, health.ledger.trouble)],
        ["In flight", `${counted(health.requests_in_flight, "request")}, ${counted(health.calls_in_flight, "call")} upstream`],
      ]),
      list("Faults; what was in force still is", reload.faults.map((fault) => fault.msg), "fault"),
      list("Needs a restart", reload.needs_restart.map(said)),
      list("Warnings", reload.warnings.map(said))),
  ];
}
