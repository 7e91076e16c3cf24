// The feed: the last requests that fit the filter, the newest first.
//
// It stands still while somebody points at it, has the focus in it or has paused it; what passes meanwhile waits. Rows,
// and those that wait, are bounded, so that a thousand requests a second do no harm.

import { el, number, requestRow, show } from "./panels.js";

/** Rows; older ones are a filter away. */
const ROWS_MAX = 200;

/** What passes is drawn in bundles, and told to screen readers in one sentence for all since the last. */
const DRAW_MS = 200;
const ANNOUNCE_MS = 20_000;

/** Clients and models that the filter suggests. */
const SUGGESTED_MAX = 200;

const $ = (id) => document.getElementById(id);

/** A finger stays where it was. */
const canHover = matchMedia("(hover: hover)");

export class Feed {
  #ask;
  #explain;
  #rows = new Map();
  /** Those that fit and wait to be drawn, and how many came since the last drawing. */
  #waiting = [];
  #waitingCount = 0;
  #filter = {};
  #missed = 0;
  #drawing = 0;
  #typing = 0;
  /** Lists that are asked for; the last one counts. */
  #asked = 0;
  #isListing = false;
  #announcing = 0;
  #untold = 0;
  #suggested = { clients: new Set(), models: new Set(), isNew: false };

  /** `ask(path, place)` gets JSON or tells in a place why not, `explain(id)` opens a request. */
  constructor(ask, explain) {
    this.#ask = ask;
    this.#explain = explain;
    $("filter").addEventListener("input", () => {
      this.#filter = read();
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.list(), DRAW_MS);
    });
    $("filter").addEventListener("submit", (event) => { event.preventDefault(); this.list(); });
    // The fields are empty after the event.
    $("filter").addEventListener("reset", () => setTimeout(() => this.list()));
    $("pause").addEventListener("click", () => {
      $("pause").setAttribute("aria-pressed", String(!this.#isPaused));
      this.#draw();
    });
    for (const left of ["mouseleave", "focusout"]) $("feed").addEventListener(left, () => setTimeout(() => this.#draw()));
  }

  get #isPaused() {
    return $("pause").getAttribute("aria-pressed") === "true";
  }

  get #isHeld() {
    return this.#isPaused || $("dialog").open || $("feed").contains(document.activeElement)
      || (canHover.matches && $("feed").matches(":hover"));
  }

  /** Forgets all. */
  clear() {
    for (const timer of [this.#drawing, this.#typing, this.#announcing]) clearTimeout(timer);
    this.#drawing = this.#typing = this.#announcing = this.#untold = this.#missed = this.#waitingCount = 0;
    this.#asked += 1;
    this.#isListing = false;
    this.#waiting = [];
    this.#filter = {};
    this.#rows.clear();
    this.#suggested = { clients: new Set(), models: new Set(), isNew: false };
    for (const id of ["feed", "known-clients", "known-models"]) $(id).replaceChildren();
    for (const id of ["announced", "feed-hint", "filter-fault"]) $(id).textContent = "";
    for (const field of $("filter").querySelectorAll("input")) field.value = "";
    $("pause").setAttribute("aria-pressed", "false");
  }

  /** A request has ended. */
  passed(request) {
    this.suggest(request);
    if (!this.#fits(request)) return;
    this.#waiting.push(request);
    this.#waitingCount += 1;
    if (this.#waiting.length > ROWS_MAX) this.#waiting.shift();
    this.#announce(request);
    this.#drawing ||= setTimeout(() => {
      this.#drawing = 0;
      this.#draw();
    }, DRAW_MS);
  }

  /** So many requests were too many for this page. */
  missed(count) {
    this.#missed += count;
    this.#hint();
  }

  /** The feed anew, from what the gateway keeps. What passes until that has come is drawn after it. */
  async list() {
    const asked = ++this.#asked;
    const missed = this.#missed;
    this.#isListing = true;
    this.#filter = read();
    this.#waiting = this.#waiting.filter((request) => this.#fits(request));
    const query = new URLSearchParams({ ...this.#filter, limit: String(ROWS_MAX) });
    const answer = await this.#ask(`admin/requests?${query}`, $("filter-fault"));
    if (asked !== this.#asked) return;
    this.#isListing = false;
    if (answer) {
      const focused = [...this.#rows].find(([, row]) => row.contains(document.activeElement))?.[0];
      this.#rows.clear();
      this.#missed -= missed;
      $("feed").replaceChildren();
      for (const request of answer.requests.reverse()) this.#put(request);
      if (focused) this.#rows.get(focused)?.querySelector("button").focus();
      for (const request of answer.requests) this.suggest(request);
    }
    this.#draw();
  }

  /** The same, unless somebody is just reading it. */
  async renew() {
    if (!this.#isHeld) await this.list();
  }

  /** As the gateway itself filters. */
  #fits(request) {
    const { client, model, status } = this.#filter;
    const isStatus = !status || (status.endsWith("xx") ? String(request.status)[0] === status[0] : String(request.status) === status);
    return isStatus && (!client || request.client === client)
      && (!model || request.model === model || request.upstream_model === model);
  }

  #draw() {
    if (!this.#isListing && !this.#isHeld) {
      for (const request of this.#waiting) this.#put(request);
      this.#waiting = [];
      this.#waitingCount = 0;
      this.#trim();
    }
    this.#drawSuggestions();
    this.#hint();
  }

  #put(request) {
    const row = requestRow(request, this.#explain);
    const known = this.#rows.get(request.id);
    if (known) known.replaceWith(row);
    else $("feed").prepend(row);
    this.#rows.set(request.id, row);
  }

  #trim() {
    for (const [id, row] of this.#rows) {
      if (this.#rows.size <= ROWS_MAX) return;
      this.#rows.delete(id);
      row.remove();
    }
  }

  #hint() {
    const waiting = `${number(this.#waitingCount)} newer ${this.#waitingCount === 1 ? "request waits" : "requests wait"}`;
    const said = [
      this.#waitingCount > 0 && this.#isHeld && `${waiting} ${this.#isPaused ? "until you go on" : "while you are in the list"}.`,
      this.#missed > 0 && `${number(this.#missed)} requests went by unseen: too many for this page.`,
      this.#rows.size === 0 && !this.#isListing && "No request fits, or none has come yet.",
    ];
    const words = said.filter(Boolean).join(" ");
    if ($("feed-hint").textContent !== words) $("feed-hint").textContent = words;
  }

  /** What the filter may be asked for. */
  suggest({ client, model }) {
    for (const [known, one] of [[this.#suggested.clients, client], [this.#suggested.models, model]]) {
      if (!one || known.size >= SUGGESTED_MAX || known.has(one)) continue;
      known.add(one);
      this.#suggested.isNew = true;
    }
  }

  #drawSuggestions() {
    if (!this.#suggested.isNew) return;
    this.#suggested.isNew = false;
    for (const name of ["clients", "models"]) {
      show($(`known-${name}`), [...this.#suggested[name]].sort().map((value) => el("option", { value })));
    }
  }

  #announce(request) {
    this.#untold += 1;
    if (this.#announcing || this.#isPaused) return;
    const more = this.#untold > 1 ? `${number(this.#untold)} requests, the last: ` : "";
    $("announced").textContent = `${more}${request.client ?? "nobody known"}, ${request.model ?? request.endpoint ?? ""}, status ${request.status}`;
    this.#untold = 0;
    this.#announcing = setTimeout(() => { this.#announcing = 0; }, ANNOUNCE_MS);
  }
}

/** What the filter says, without its empty fields. */
function read() {
  const fields = [...new FormData($("filter"))].map(([name, value]) => [name, value.trim()]);
  return Object.fromEntries(fields.filter(([, value]) => value));
}
