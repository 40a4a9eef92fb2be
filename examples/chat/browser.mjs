// What `.ci/browser` runs: pages of the chat in a real Chromium, whose server is killed while they talk.
//
//     node browser.mjs CHROMIUM CHAT FOLDER [PICTURE]
//
// CHAT is the program, FOLDER an empty one for its data and the browser's, PICTURE where to put a screenshot. No packages: the browser is
// spoken to through pipes, in its DevTools protocol.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";

const [chromium, chat, folder, picture] = process.argv.slice(2);
const PATIENCE_MS = 60_000;
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Tries again until something is so. */
async function until(what, holds) {
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(20)) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`it is never so that ${what}`);
  }
}

/** The program, while it runs. */
class Server {
  /** The one that was started last. */
  static newest;

  static async start(port) {
    const server = new Server();
    Server.newest = server;
    server.child = spawn(chat, ["--data", `${folder}/data`, "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface(server.child.stdout)) {
      server.url = line;
      return server;
    }
    throw new Error("it does not start");
  }

  async kill() {
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    if (this.child.kill("SIGKILL")) await gone;
    return Number(new URL(this.url).port);
  }
}

/** A browser that is spoken to in texts of JSON, each with a zero behind it. */
class Browser {
  #replies = new Map();
  #number = 0;

  constructor() {
    const flags = [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${folder}/browser`,
    ];
    this.child = spawn(chromium, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    let rest = "";
    this.child.stdio[4].setEncoding("utf8").on("data", (data) => {
      const texts = (rest + data).split("\0");
      rest = texts.pop();
      for (const text of texts) this.#hear(JSON.parse(text));
    });
  }

  #hear({ id, result, error, method, params }) {
    if (method === "Runtime.exceptionThrown") {
      console.error(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      process.exitCode = 1;
    }
    const reply = this.#replies.get(id);
    if (!reply) return;
    this.#replies.delete(id);
    if (error) reply.reject(new Error(error.message));
    else reply.resolve(result);
  }

  /** Ends it, with everything that it writes into its folder. */
  async close() {
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    if (this.child.kill()) await gone;
  }

  ask(method, params = {}, sessionId = undefined) {
    const id = (this.#number += 1);
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#replies.set(id, { resolve, reject }));
  }

  /** A page of its own person: it shares nothing with others. `size`: `{ width, height, isDark }`. */
  async page(url, { width, height, isDark = false }) {
    const { browserContextId } = await this.ask("Target.createBrowserContext");
    const { targetId } = await this.ask("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.ask("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await page.ask("Runtime.enable");
    await page.ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: width < 600 ? 2 : 1, mobile: width < 600 });
    const scheme = { name: "prefers-color-scheme", value: isDark ? "dark" : "light" };
    await page.ask("Emulation.setEmulatedMedia", { features: [scheme] });
    await page.ask("Emulation.setFocusEmulationEnabled", { enabled: true });
    await page.ask("Page.navigate", { url });
    return page;
  }
}

class Page {
  constructor(browser, session) { Object.assign(this, { browser, session }); }

  ask(method, params) { return this.browser.ask(method, params, this.session); }

  async run(expression) {
    const { result, exceptionDetails } = await this.ask("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async key(key) {
    const known = { Enter: ["\r", 13], "Shift+Enter": ["\r", 13] }[key];
    const [text, windowsVirtualKeyCode] = known;
    const what = { key: "Enter", code: "Enter", text, windowsVirtualKeyCode, modifiers: key.startsWith("Shift") ? 8 : 0 };
    await this.ask("Input.dispatchKeyEvent", { type: "keyDown", ...what });
    await this.ask("Input.dispatchKeyEvent", { type: "keyUp", ...what });
  }

  /** As at a keyboard, into what has the focus. */
  async type(text) {
    const [first, ...rest] = text.split("\n");
    await this.ask("Input.insertText", { text: first });
    for (const line of rest) {
      await this.key("Shift+Enter");
      await this.ask("Input.insertText", { text: line });
    }
  }

  async focus(selector) {
    await until(`${selector} is there`, () => this.run(`!!document.querySelector(${JSON.stringify(selector)})`).catch(() => false));
    await this.run(`document.querySelector(${JSON.stringify(selector)}).focus()`);
  }

  async say(text) {
    await this.focus("#text");
    await this.type(text);
    await this.key("Enter");
  }

  /** Goes through the door. */
  async enter(name, room) {
    await this.focus("#door input[name=room]");
    await this.run(`document.querySelector("#door input[name=room]").select()`);
    await this.type(room);
    await this.focus("#door input[name=name]");
    await this.type(name);
    await this.key("Enter");
    await this.isOnline();
  }

  isOnline() {
    const expression = `document.querySelector("#state")?.className === "is-online"`;
    return until("a page is online", () => this.run(expression).catch(() => false));
  }

  /** The messages that it shows as stored: `[number, name, id, text]` each, as they stand below each other. */
  shown() {
    return this.run(`[...document.querySelectorAll("#log .message[data-seq]")].map((item) =>
      [Number(item.dataset.seq), item.dataset.name, item.dataset.id, item.querySelector(".text").textContent])`);
  }

  /** The texts that it shows as not acknowledged. */
  pending() {
    return this.run(`[...document.querySelectorAll("#log .is-pending .text")].map((text) => text.textContent)`);
  }

  async shot(path) {
    const { data } = await this.ask("Page.captureScreenshot", { format: "png" });
    await writeFile(path, Buffer.from(data, "base64"));
  }
}

/** Two pages talk, and their server is killed again and again. */
async function survive(browser, first) {
  let server = first;
  const [ada, bob] = await Promise.all([
    browser.page(server.url, { width: 1280, height: 800 }),
    browser.page(server.url, { width: 390, height: 844, isDark: true }),
  ]);
  await Promise.all([ada.enter("ada", "hall"), bob.enter("bob", "hall")]);
  const said = [];
  const say = async (page, text) => { said.push(text); await page.say(text); };
  const html = "<img src=x onerror='document.title=1'>\n<b>not bold</b>";
  await say(ada, html);
  await until("bob sees what ada says", async () => (await bob.shown()).some(([, name, , text]) => name === "ada" && text === html));
  assert.equal(await bob.run(`document.querySelectorAll("#log img, #log b").length`), 0, "what people say is text");
  await ada.type("I am about to");
  await until("bob sees that ada writes", () => bob.run(`document.querySelector("#writers").textContent === "ada is typing"`));
  await say(ada, " say more");
  said[said.length - 1] = "I am about to say more";

  for (let round = 1; round <= 4; round += 1) {
    const before = (await bob.shown()).length;
    const talking = (async () => {
      for (let number = 1; number <= 4; number += 1) {
        await Promise.all([say(ada, `ada ${round}.${number}`), say(bob, `bob ${round}.${number}`)]);
      }
    })();
    // In the middle of it.
    await until("some are stored", async () => (await bob.shown()).length >= before + round);
    const port = await server.kill();
    const acknowledged = { ada: await ada.shown(), bob: await bob.shown() };
    await talking;
    await Promise.all([say(ada, `ada ${round}, offline`), say(bob, `bob ${round}, offline`)]);
    assert((await ada.pending()).includes(`ada ${round}, offline`) && (await bob.pending()).includes(`bob ${round}, offline`));
    // By now their next attempt is some time away, and nobody looks after them.
    server = await Server.start(port);
    await Promise.all([ada.isOnline(), bob.isOnline()]);
    for (const page of [ada, bob]) await until("all is sent", async () => (await page.pending()).length === 0);
    const stored = await (await fetch(`${server.url}/chat.Room/hall/messages?since=0`)).json();
    const all = stored.map(({ seq, name, id, text }) => [seq, name, id, text]);
    for (const [name, page] of Object.entries({ ada, bob })) {
      await until(`${name} sees everything`, async () => (await page.shown()).length >= all.length);
      assert.deepEqual(await page.shown(), all, `${name} shows what is stored, in its order`);
      for (const one of acknowledged[name]) assert.deepEqual(all[one[0] - 1], one, `${one} is as ${name} has seen it`);
    }
    assert.deepEqual(all.map(([, , , text]) => text).sort(), [...said].sort(), "everything is there, once");
    const own = (name) => all.filter(([, who]) => who === name).map(([, , , text]) => text);
    for (const name of ["ada", "bob"]) {
      assert.deepEqual(own(name), said.filter((text) => own(name).includes(text)), `${name}'s messages are in the order of saying`);
    }
    console.log(`killed ${round} times: ${all.length} messages, each once, on both pages`);
  }
  // What waits outlives its page, too.
  await ada.run(`drop("nobody answers")`);
  await say(ada, "said before a reload");
  await Promise.all([ada.ask("Page.reload"), bob.ask("Page.reload")]);
  for (const page of [ada, bob]) {
    await until("a page that was loaded again shows everything", async () => (await page.shown().catch(() => [])).length >= said.length);
    assert.deepEqual((await page.shown()).map(([, , , text]) => text).sort(), [...said].sort());
  }
  return server;
}

/** People who talk about something, for a picture. */
async function pose(browser, server, path) {
  const size = { width: 1280, height: 800 };
  const names = ["ada", "grace", "mary"];
  const pages = await Promise.all(names.map(() => browser.page(server.url, size)));
  for (const [index, name] of names.entries()) await pages[index].enter(name, "engine room");
  const [ada, grace, mary] = pages;
  const phone = await browser.page(server.url, { width: 390, height: 844, isDark: true });
  await phone.enter("edith", "engine room");
  const talk = [
    [ada, "Has anybody looked at the engine since the night?"],
    [grace, "I have. Somebody pulled the plug at half past three."],
    [grace, "It was back two seconds later, and went on with the very next card."],
    [ada, "Nothing lost?"],
    [grace, "Nothing lost, nothing twice. I counted:\n  4,096 cards in\n  4,096 cards out"],
    [mary, "And nobody had to press anything?"],
    [phone, "I was writing to you just then. My page said “sending” for a moment, that was all."],
    [ada, "Then let us pull it again this evening. The notes are at https://example.org/engine"],
    [mary, "I will bring the stopwatch."],
  ];
  for (const [page, text] of talk) {
    await page.say(text);
    await until("it is stored", async () => (await page.pending()).length === 0);
  }
  await grace.type("And I");
  await until("somebody writes", () => ada.run(`document.querySelector("#writers").textContent !== ""`));
  await sleep(300);
  await ada.shot(path);
  return { ada, mary, phone };
}

const browser = new Browser();
try {
  await mkdir(`${folder}/data`, { recursive: true });
  const server = await survive(browser, await Server.start(0));
  if (picture) await pose(browser, server, picture);
} finally {
  await browser.close();
  await Server.newest?.kill();
}
