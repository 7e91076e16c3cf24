// A session of an operator: the admin token, calls with it, and the stream of what happens.
//
// The token lives in a private field and in the header `authorization` of each call, nowhere else. Paths are relative to
// the page, so that it also works below a prefix of a reverse proxy.

/** Before a lost connection is tried again: at first, and after many attempts that failed. */
const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 30_000;

/** A stream that says nothing for so long is lost: the gateway tells its state each second. */
const SILENCE_MS = 10_000;

/** Between two looks where there is no place at the stream, and how many before that is tried again: half a minute. */
const LOOK_MS = 2_000;
const LOOKS = 15;

/** An answer that is no success: its status, and what it says, as lines for a person. */
export class Refusal extends Error {
  constructor(status, lines) {
    super(lines.join("\n"));
    this.status = status;
    this.lines = lines;
  }

  static async read(answer) {
    const said = await answer.json().catch(() => null);
    const detail = said?.detail ?? said?.error?.message;
    const lines = Array.isArray(detail) ? detail.map((fault) => fault.msg) : [detail];
    const known = lines.filter((line) => typeof line === "string");
    return new Refusal(answer.status, known.length ? known : [`the gateway answered with status ${answer.status}`]);
  }
}

export class Session {
  #token;
  #ended = new AbortController();

  constructor(token) {
    this.#token = token;
  }

  /** Forgets the token and drops all that is under way. */
  end() {
    this.#token = "";
    this.#ended.abort();
  }

  get isOver() {
    return this.#ended.signal.aborted;
  }

  async #fetch(path, { method = "GET", body, signal } = {}) {
    const headers = { authorization: `Bearer ${this.#token}` };
    if (body) headers["content-type"] = "application/json";
    const answer = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, this.#ended.signal]) : this.#ended.signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    if (!answer.ok) throw await Refusal.read(answer);
    return answer;
  }

  /** The JSON of an answer; throws a `Refusal`, or what `fetch` throws. */
  async call(path, options) {
    const answer = await this.#fetch(path, options);
    return answer.json();
  }

  /** Reads an event stream to its end, or until it falls silent. `EventSource` cannot send the token. */
  async #events(path, signal, onOpen, onEvent) {
    const silence = new AbortController();
    let timer = 0;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    wait();
    try {
      const answer = await this.#fetch(path, { signal: AbortSignal.any([signal, silence.signal]) });
      onOpen();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        wait();
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const members = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s, 2)));
          onEvent(members.event, JSON.parse(members.data));
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Follows the gateway until `signal`: by its stream, or by looking where that has no place. A lost connection is tried
   * again, later each time. `on` has `link(kind, words)`, `open()`, `event(name, data)` and `look()`. Throws when the
   * token is not accepted any more.
   */
  async watch(signal, on) {
    let wait = PAUSE_MIN_MS;
    const heard = () => { wait = PAUSE_MIN_MS; };
    on.link("trying", "connecting…");
    while (!signal.aborted) {
      let why = "the gateway has ended the connection";
      try {
        if (await this.#follow(signal, on, heard)) continue;
      } catch (fault) {
        if (signal.aborted || this.isOver) return;
        if (fault.status === 401) throw fault;
        why = fault instanceof Refusal ? fault.message : "no connection to the gateway";
      }
      on.link("lost", `${why}; trying again in ${wait / 1000} s`);
      await pause(wait, signal);
      wait = Math.min(2 * wait, PAUSE_MAX_MS);
    }
  }

  /** To the end of the stream, or of some looks: true then, and the stream is worth another attempt at once. */
  async #follow(signal, on, heard) {
    try {
      const onEvent = (name, data) => { heard(); on.event(name, data); };
      await this.#events("admin/live", signal, on.open, onEvent);
      return false;
    } catch (fault) {
      if (!(fault instanceof Refusal) || fault.status === 401) throw fault;
      on.link("looking", `no live view (${fault.message}); looking every ${LOOK_MS / 1000} s`);
    }
    for (let look = 0; look < LOOKS && !signal.aborted; look += 1) {
      await on.look();
      heard();
      await pause(LOOK_MS, signal);
    }
    return true;
  }
}

/** Ends early with the signal. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); resolve(); };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
