// The operators' page in a real browser, against the built program.
//
// With SCREENSHOTS=FOLDER in the environment, each panel is written there in both colour schemes and two widths, for a
// person to look at.

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { ADMIN_TOKEN_FILE, CHROMIUM, CLIENT_PREFIX, GATEWAY_URL, SCREENSHOTS } = process.env;
const TOKEN = readFileSync(ADMIN_TOKEN_FILE, "utf8").trim();
const CLIENTS = join(dirname(dirname(ADMIN_TOKEN_FILE)), "clients");
const PROMPT = "the prompt of this test";

// The gateway is on this machine, and its answers come at once; the browser may not, on a machine that is busy.
const PATIENCE_MS = 30_000;

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

let browser;
before(async () => { browser = await chromium.launch({ executablePath: CHROMIUM }); });
after(() => browser?.close());

/**
 * A page in a browser profile of its own, whose faults and requests are kept. A browser counts an answer that is no
 * success, or none, among the faults; `refusal` is the status of one that is meant, or the browser's word.
 */
async function opened(run, { viewport = DESKTOP, colorScheme = "light", isSignedIn = true, refusal } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  context.setDefaultTimeout(PATIENCE_MS);
  try {
    const page = await context.newPage();
    const faults = [];
    const asked = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => { if (message.type() === "error") faults.push(message.text()); });
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${GATEWAY_URL}/console`);
    if (isSignedIn) await signIn(page);
    await run(page, { context, asked });
    assert.deepEqual(faults.filter((fault) => !refusal || !fault.includes(refusal)), []);
    for (const url of asked) {
      assert.ok(url.startsWith(`${GATEWAY_URL}/`) || url.startsWith("data:"), `asked elsewhere: ${url}`);
      assert.ok(!url.includes(TOKEN), "the token is in no address");
    }
  } finally {
    await context.close();
  }
}

async function signIn(page, token = TOKEN) {
  await page.getByLabel("Admin token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("live", { exact: true }).waitFor();
}

/** As if the page were behind another tab, or in front again. */
const setHidden = (page, hidden) => page.evaluate((isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

/** A live view that says this, ends, and is not there again. */
async function liveSays(page, ...events) {
  let isFirst = true;
  await page.route("**/admin/live", (route) => {
    if (isFirst) route.fulfill({ contentType: "text/event-stream", body: events.join("") });
    isFirst = false;
  });
}

/** What a page shows follows what it heard a moment ago. */
async function eventually(holds) {
  for (const until = Date.now() + PATIENCE_MS; ;) {
    try {
      return await holds();
    } catch (fault) {
      if (Date.now() > until) throw fault;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function chat(role, model = "gpt-5.4-nano") {
  return fetch(`${GATEWAY_URL}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer key-${CLIENT_PREFIX}-${role}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: PROMPT }] }),
  });
}

const panel = (page, name) => page.getByRole("tab", { name }).click();

/** The card of a client. */
const card = (page, id) => page.locator("#client-cards article").filter({ hasText: id });

test("a wrong token is told, and the right one opens the page and is kept nowhere", async () => {
  await opened(async (page, { context }) => {
    await eventually(async () => assert.equal(await page.locator("#signed-in").isVisible(), false));
    await page.getByLabel("Admin token").fill("wörter");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("That is no token").waitFor();
    await signIn(page);
    await eventually(async () => assert.equal(await page.getByLabel("Admin token").inputValue(), ""));
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    const html = await page.content();
    assert.ok(!kept.includes(TOKEN) && !html.includes(TOKEN));
    assert.deepEqual(await context.cookies(), []);
    await page.getByRole("button", { name: "Sign out" }).click();
    await eventually(async () => assert.equal(await page.locator("#signed-in").isVisible(), false));
    await eventually(async () => assert.equal(await page.locator("#actors tr").count() + await page.locator("#feed tr").count(), 0));
  }, { isSignedIn: false });
});

test("a token that is refused is told", async () => {
  await opened(async (page) => {
    await page.getByLabel("Admin token").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The gateway does not accept this token.").waitFor();
  }, { isSignedIn: false, refusal: "status of 401" });
});

test("a request appears as it ends, and its decisions are shown", async () => {
  await opened(async (page) => {
    await page.getByLabel("Client", { exact: true }).fill(`${CLIENT_PREFIX}-openai-only`);
    await page.getByText("No request fits").waitFor();
    assert.equal((await chat("openai-only")).status, 200);
    assert.equal((await chat("mini-only")).status, 403);
    await page.locator("#feed tr").filter({ hasText: `${CLIENT_PREFIX}-openai-only` }).waitFor();
    await eventually(async () => assert.equal(await page.locator("#feed tr").count(), 1, "the filter holds for what comes"));
    await eventually(async () => assert.match(await page.locator("#announced").textContent(), /openai-only.*status 200/));
    await page.locator("#feed button").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("admitted").waitFor();
    await eventually(async () => assert.ok(await dialog.locator("li").count() > 5));
    assert.ok(!(await page.content()).includes(PROMPT));
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    await page.getByLabel("Client", { exact: true }).fill(`${CLIENT_PREFIX}-mini-only`);
    await page.locator("#feed tr").filter({ hasText: "403" }).waitFor();
  });
});

test("the tree, the providers and the clients are shown as they are", async () => {
  await opened(async (page) => {
    assert.equal((await chat("metered")).status, 200);
    await panel(page, "Actors");
    await page.locator("#actors tr").filter({ hasText: `RateLimiter ${CLIENT_PREFIX}-metered` }).waitFor();
    await panel(page, "Providers");
    const openai = page.locator("#provider-cards article").filter({ has: page.getByRole("heading", { name: "openai", exact: true }) });
    await openai.getByText("gpt-5.4-nano", { exact: true }).waitFor();
    await eventually(async () => assert.match(await openai.textContent(), /Breakerclosed/));
    await panel(page, "Clients");
    const metered = card(page, `${CLIENT_PREFIX}-metered`);
    await metered.getByText("1 of 600").waitFor();
    await eventually(async () => assert.ok(Number(await metered.locator("rect.used").first().getAttribute("width")) > 0));
    await page.getByLabel("Find a client").fill(`${CLIENT_PREFIX}-metered`);
    await page.waitForFunction(() => document.querySelectorAll("#client-cards article").length === 1);
  });
});

test("tabs are walked by arrows, and only one is in the order of the Tab key", async () => {
  await opened(async (page) => {
    const selected = () => page.locator("[role=tab][aria-selected=true]").textContent();
    await page.getByRole("tab", { name: "Requests" }).focus();
    await page.keyboard.press("ArrowRight");
    await eventually(async () => assert.equal(await selected(), "Clients"));
    await page.keyboard.press("End");
    await eventually(async () => assert.equal(await selected(), "Health"));
    await page.getByText("generation").waitFor();
    await page.keyboard.press("ArrowRight");
    await eventually(async () => assert.equal(await selected(), "Requests"));
    await eventually(async () => assert.equal(await page.locator("[role=tab][tabindex='-1']").count(), 5));
    await eventually(async () => assert.equal(await page.locator(":focus").getAttribute("id"), "tab-requests"));
    const unnamed = await page.evaluate(() => [...document.querySelectorAll("input")].filter((input) => !input.labels.length).length);
    assert.equal(unnamed, 0);
  });
});

test("credentials are rotated once that is confirmed, and shown once", async () => {
  await opened(async (page, { asked }) => {
    const id = `${CLIENT_PREFIX}-without-tokens`;
    await panel(page, "Clients");
    const rotations = () => asked.filter((url) => url.endsWith("/rotate")).length;
    const dialog = page.getByRole("dialog");
    await card(page, id).getByRole("button", { name: "Rotate" }).click();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "hidden" });
    assert.equal(rotations(), 0);
    await card(page, id).getByRole("button", { name: "Rotate" }).click();
    await dialog.getByLabel("Grace").fill("soon");
    await dialog.getByRole("button", { name: "Rotate" }).click();
    await dialog.locator("#dialog-fault:not(:empty)").waitFor();
    await dialog.getByLabel("Grace").fill("1h");
    await dialog.getByRole("button", { name: "Rotate" }).click();
    await dialog.getByText("They are shown this once").waitFor();
    assert.equal(rotations(), 2);
    const key = await dialog.locator(".secret").nth(2).textContent();
    const models = await fetch(`${GATEWAY_URL}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal(models.status, 200);
    await dialog.getByRole("button", { name: "Close" }).click();
    await eventually(async () => assert.ok(!(await page.content()).includes(key)));
  }, { refusal: "status of 422" });
});

test("a client is disabled and enabled again", async () => {
  await opened(async (page) => {
    const id = `${CLIENT_PREFIX}-capped`;
    const dialog = page.getByRole("dialog");
    await panel(page, "Clients");
    for (const [verb, status] of [["Disable", 401], ["Enable", 200]]) {
      await card(page, id).getByRole("button", { name: verb }).click();
      await dialog.getByRole("button", { name: verb }).click();
      await dialog.getByRole("button", { name: "Close" }).click();
      assert.equal((await chat("capped")).status, status);
      await eventually(async () => assert.equal(await card(page, id).getByText("disabled").count(), verb === "Disable" ? 1 : 0));
    }
  });
});

test("the configuration is reloaded once that is confirmed, and spend is drawn", async () => {
  await opened(async (page) => {
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Reload configuration" }).click();
    await dialog.getByRole("button", { name: "Reload" }).click();
    await dialog.getByText("generation").waitFor();
    await page.keyboard.press("Escape");
    await chat("everything");
    await panel(page, "Spend");
    await page.locator("#spend-chart rect").first().waitFor({ state: "attached" });
    await eventually(async () => assert.equal(await page.locator("#spend-chart rect").count(), 30));
  });
});

test("while nobody looks nothing is asked, and what was missed is there afterwards", async () => {
  await opened(async (page, { asked }) => {
    const ended = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/admin/live"));
    await setHidden(page, true);
    await ended;
    const before = asked.length;
    assert.equal((await chat("everything", "openai/gpt-5.4-mini")).status, 200);
    assert.equal(asked.length, before);
    await setHidden(page, false);
    await page.locator("#feed tr").filter({ hasText: "gpt-5.4-mini" }).first().waitFor();
  });
});

test("without a place at the live view the page looks every two seconds", async () => {
  await opened(async (page) => {
    await page.route("**/admin/live", (route) => route.fulfill({ status: 503, json: { detail: "all places are taken" } }));
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("looking every 2 s").waitFor();
    assert.equal((await chat("everything", "openai/gpt-5.4-mini")).status, 200);
    await page.locator("#feed tr").filter({ hasText: "gpt-5.4-mini" }).first().waitFor();
    await panel(page, "Actors");
    await page.locator("#actors tr").first().waitFor();
  }, { isSignedIn: false, refusal: "status of 503" });
});

test("a lost connection is told and tried again, later each time", async () => {
  await opened(async (page) => {
    await page.route("**/admin/live", (route) => route.abort());
    await setHidden(page, true);
    await setHidden(page, false);
    for (const wait of [1, 2]) await page.getByText(`no connection to the gateway; trying again in ${wait} s`).waitFor();
    await eventually(async () => assert.equal(await page.locator("#figures dd").first().textContent(), "not reached"));
    await page.unroute("**/admin/live");
    await page.getByText("live", { exact: true }).waitFor();
    await page.locator("#figures").getByText("not reached").waitFor({ state: "detached" });
  }, { refusal: "net::ERR_FAILED" });
});

test("a token that is not accepted any more is asked for again, and nothing that it opened is kept", async () => {
  await opened(async (page) => {
    assert.equal((await chat("metered")).status, 200);
    await page.locator("#feed tr").first().waitFor();
    await panel(page, "Clients");
    await page.getByLabel("Find a client").fill("metered");
    await card(page, `${CLIENT_PREFIX}-metered`).getByRole("button", { name: "Rotate" }).click();
    await page.route("**/admin/live", (route) => route.fulfill({ status: 401, json: { detail: "no" } }));
    await setHidden(page, true);
    await setHidden(page, false);
    await page.getByText("The token is not accepted any more.").waitFor();
    await eventually(async () => assert.equal(await page.getByRole("dialog").isVisible(), false));
    const left = await page.content();
    assert.ok(!left.includes(CLIENT_PREFIX + "-") && !left.includes("gpt-5.4-nano"));
    await eventually(async () => assert.deepEqual(await page.locator("input").evaluateAll((all) => all.map(({ value }) => value).join("")), ""));
    await eventually(async () => assert.equal(await page.locator(":focus").getAttribute("id"), "token"));
  }, { refusal: "status of 401" });
});

test("whatever the gateway says is text", async () => {
  await opened(async (page) => {
    const evil = "<img src=x onerror=alert(1)></td><script>alert(2)</script>\u202e";
    const amounts = { [evil]: 1 };
    const node = { name: evil, state: "off", reason: evil, restarts: 1, mailbox: { depth: 0, max: 1 }, age_ms: 1, children: [] };
    const breaker = { breaker: evil, rests_ms: 1, in_flight: 0, latency_ms: 1, quota: null, models: [] };
    await liveSays(page,
      event("state", {
        tree: [node], requests_ended: 1, calls_in_flight: 0, ledger_behind: 0, in_flight: { requests: 0, max: 1 }, clients_not_shown: 0,
        clients: [{ id: evil, name: evil + "2", limits: amounts, used: amounts, reserved: {}, in_flight: 0, tokens_today: 0, settings: { rate_limit: {} } }],
        providers: [{ name: evil, kind: evil, can_be_called: true, keys: [{ ...breaker, name: evil, models: [{ ...breaker, model: evil }] }] }],
      }),
      event("request", { id: "req_0", arrived_at: evil, client: evil, model: evil, upstream_model: evil + "2", provider: evil, status: 200, ending: evil, refused: evil }));
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    const told = page.locator("#attention button").filter({ hasText: "<img src=x" });
    await told.first().waitFor();
    await page.locator("#feed td").filter({ hasText: "<img src=x" }).first().waitFor();
    for (const name of ["Providers", "Actors"]) {
      await panel(page, name);
      await page.locator("[role=tabpanel]:visible").getByText("<img src=x").first().waitFor();
    }
    assert.equal(await page.locator("body img, body script").count(), 0);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= DESKTOP.width, `the page is ${wide} pixels wide`);
  }, { isSignedIn: false });
});

test("many requests leave the page small, and the list stands still while it is read", async () => {
  await opened(async (page) => {
    const passed = (at) => event("request", { id: `req_${at}`, arrived_at: new Date().toISOString(), client: `c${at}`, status: 200, ending: "answered" });
    await liveSays(page, ...Array.from({ length: 5000 }, (_, at) => passed(at)), event("missed", { requests: 77 }));
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("c4999", { exact: true }).waitFor();
    await page.getByText("77 requests went by unseen").waitFor();
    await page.waitForFunction(() => document.querySelectorAll("#feed tr").length === 200);
    await eventually(async () => assert.ok(await page.locator("#known-clients option").count() <= 200));
    await page.unroute("**/admin/live");
    await page.getByText("live", { exact: true }).waitFor();
    // What has no focus and no pointer in it, but is paused.
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByLabel("Client", { exact: true }).fill(`${CLIENT_PREFIX}-everything`);
    const rows = page.locator("#feed tr");
    const before = await page.waitForResponse((answer) => answer.url().includes("/admin/requests?client=")).then(() => rows.count());
    assert.equal((await chat("everything")).status, 200);
    await page.getByText("1 newer request waits until you go on.").waitFor();
    await eventually(async () => assert.equal(await rows.count(), before));
    await page.getByRole("button", { name: "Pause" }).click();
    await page.waitForFunction((count) => document.querySelectorAll("#feed tr").length === count, before + 1);
  }, { isSignedIn: false });
});

test("a client file with a fault stands on top until it is mended", async () => {
  const file = join(CLIENTS, "broken.json");
  const reload = async (page) => {
    await page.getByRole("button", { name: "Reload configuration" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
  };
  try {
    await opened(async (page) => {
      writeFileSync(file, "{");
      await reload(page);
      await page.locator("#dialog-fault").getByText("broken.json").waitFor();
      await page.keyboard.press("Escape");
      const told = page.locator("#attention button").filter({ hasText: "The configuration has 1 fault" });
      await told.click();
      await eventually(async () => assert.equal(await page.locator("[role=tab][aria-selected=true]").textContent(), "Health"));
      await page.locator("#health").getByText("broken.json").waitFor();
      await eventually(async () => assert.equal(await page.locator("#figures dd").first().textContent(), "degraded"));
      rmSync(file);
      await reload(page);
      await page.getByRole("dialog").getByText("generation").waitFor();
      await page.keyboard.press("Escape");
      await told.waitFor({ state: "detached" });
    }, { refusal: "status of 422" });
  } finally {
    rmSync(file, { force: true });
  }
});

for (const colorScheme of ["light", "dark"]) {
  for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`every panel fits a ${device}, in ${colorScheme}`, async () => {
      await opened(async (page) => {
        await chat("everything");
        await chat("one-a-minute");
        await chat("one-a-minute");
        await chat("metered", "faulty/error-500");
        const shot = async (name) => {
          if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${device}-${colorScheme}-${name}.png` });
        };
        await page.locator("#feed tr").filter({ hasText: "429" }).first().waitFor();
        const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const light = Number(background.match(/\d+/)[0]) > 128;
        assert.equal(light, colorScheme === "light", background);
        for (const name of ["Requests", "Clients", "Providers", "Actors", "Spend", "Health"]) {
          await panel(page, name);
          await page.locator("[role=tabpanel]:visible :is(td, article)").first().waitFor();
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= viewport.width, `${name} is ${wide} pixels wide`);
          await shot(name.toLowerCase());
        }
        await panel(page, "Requests");
        await page.locator("#feed button").first().click();
        await page.getByRole("dialog").getByText("answered").first().waitFor();
        await shot("journal");
        await page.keyboard.press("Escape");
        await panel(page, "Clients");
        await card(page, `${CLIENT_PREFIX}-metered`).getByRole("button", { name: "Rotate" }).click();
        await shot("rotate");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Sign out" }).click();
        await shot("sign-in");
      }, { viewport, colorScheme });
    });
  }
}
