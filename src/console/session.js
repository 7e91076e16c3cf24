// A session of an operator: the admin token, calls with it, and the stream of what happens.
//
// The token lives in a private field and in the header `authorization` of each call, nowhere else. Paths are relative to
// the page, so that it also works below a prefix of a reverse proxy.

/** Between two looks where there is no stream, and before a lost connection is tried again. */
const PAUSE_MS = 2000;

/** Looks before the stream is tried again: half a minute. */
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

  /** Reads an event stream to its end. `EventSource` cannot send the token. */
  async #events(path, signal, onOpen, onEvent) {
    const answer = await this.#fetch(path, { signal });
    onOpen();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const members = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        onEvent(members.event, JSON.parse(members.data));
      }
    }
  }

  /**
   * Follows the gateway until `signal`: by its stream, and where there is none, or no place at it, by looking every two
   * seconds. `on` has `link(words)`, `open()`, `event(name, data)` and `look()`. Throws when the token is not
   * accepted any more.
   */
  async watch(signal, on) {
    while (!signal.aborted) {
      try {
        on.link("connecting…");
        await this.#events("admin/live", signal, on.open, on.event);
        on.link("the gateway has ended the connection; trying again");
      } catch (fault) {
        if (signal.aborted || this.isOver) return;
        if (fault.status === 401) throw fault;
        if (fault instanceof Refusal) {
          on.link(`no live view (${fault.message}); looking every 2 s`);
          await this.#look(signal, on).catch(() => {});
        } else {
          on.link("no connection to the gateway; trying again");
        }
      }
      await pause(PAUSE_MS, signal);
    }
  }

  async #look(signal, on) {
    for (let look = 0; look < LOOKS && !signal.aborted; look += 1) {
      await on.look();
      await pause(PAUSE_MS, signal);
    }
  }
}

/** Ends early with the signal. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
