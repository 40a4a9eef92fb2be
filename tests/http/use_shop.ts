// What a program does with the client of the shop: `use_shop.js ADDRESS`. Run by `.ci/typescript`.

import { Client, Problem, rejection } from "./shop.js";
import type { Line, Page, Subscription } from "./shop.js";

declare const process: { argv: string[] };

function equal(given: unknown, expected: unknown): void {
  const [one, other] = [given, expected].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${one}, not ${other}`);
}

async function fails(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  if (error instanceof Problem) return error;
  throw new Error(`no problem: ${error}`);
}

const asked: string[] = [];
const client = new Client(`${process.argv[2]}/`, {
  headers: async () => ({ "x-who": "ada" }),
  fetch: (url, request) => {
    asked.push((request.headers as Record<string, string>)["x-who"] ?? "");
    return fetch(url, request);
  },
});
const shop = client.object("edge.Shop", "s");

const count: number = await shop.put({ line: { article: "pen", count: 7 } });
equal(count, 7);
const again = { idempotencyKey: "order-17", timeout: "5s" };
equal(await shop.put({ line: { article: "pen", count: 1 } }, again), 8);
equal(await shop.put({ line: { article: "pen", count: 1 } }, again), 8);
const taken: Line = await shop.take({ article: "pen", count: 3, pay: { Card: { number: "4" } } });
equal(taken, { article: "pen", count: 5, size: "large" });
const page: Page = await shop.lines({ from: 0, type: "small" });
equal(page, { items: [{ article: "pen", count: 8, size: "small" }], more: false });
equal(await shop.find({ text: "a & ü+%?", among: [], pay: "Cash", wide: true }), "a & ü+%?");
equal(await shop.find({ text: "5", among: [1, 2], pay: { Card: { number: "4" } }, wide: false }), null);
const tree = { name: "a", below: [{ name: "b", below: [] }] };
equal(await shop.grow({ tree }), tree);
const [id, at] = await shop["when it was"]({ at: 5 });
equal([id.length, at], [64, 5]);

const refused = await fails(shop.take({ article: "pen", count: 200 }));
equal([refused.status, refused.code, refused.outcome], [422, "call.rejected", "rolled_back"]);
equal(refused.object, "edge.Shop(s)");
const left: number | undefined = rejection("edge.Shop", "take", refused)?.left;
equal(left, 8);
const wrong = await fails(shop.put({ line: { article: "pen" } }, { timeout: "soon" }));
equal([wrong.status, wrong.code, rejection("edge.Shop", "take", wrong)], [400, "request.malformed", undefined]);

const items: string[] = [];
for await (const line of shop.each({ times: 200 })) items.push(line.article);
equal([items.length, items[199]], [200, "pen"]);
for await (const line of shop.each({ times: 200 })) {
  equal(line.count, 1);
  break;
}
const badly = shop.each({ times: 5 }, { timeout: "soon" })[Symbol.asyncIterator]();
equal((await fails(badly.next())).code, "request.malformed");

type Price = { article: string; cents: number };
const [seen, others, opens]: [number[], unknown[], boolean[]] = [[], [], []];
const until = async (isSo: () => boolean): Promise<void> => {
  for (let tries = 0; !isSo(); tries += 1) {
    if (tries > 2_000) throw new Error(`it never is: ${isSo}, ${JSON.stringify([seen, others, opens])}`);
    await new Promise((over) => setTimeout(over, 10));
  }
};
await shop.price({ article: "pen", cents: 1 });
await shop.price({ article: "pen", cents: 2 });
const feed: Subscription = client.subscribe<Price>("edge.Shop", "s", {
  tag: "prices",
  after: 1,
  query: async () => ({ who: "a & b" }),
  event: ({ cents }, seq) => seen.push(cents === seq ? seq : -1),
  other: (data) => others.push(data),
  open: (isOpen) => opens.push(isOpen),
});
await until(() => seen.length === 1 && others.length === 1);
equal([seen, others, opens, feed.seq], [[2], ["a & b 2 false"], [true], 2]);
equal(feed.send("hello"), true);
await until(() => others[1] === "hello");
equal(await shop.close(), 1);
await shop.price({ article: "pen", cents: 3 });
await shop.price({ article: "pen", cents: 4 });
await until(() => seen.length === 3);
equal([seen, opens, feed.seq], [[2, 3, 4], [true, false, true], 4]);
for (let cents = 5; cents < 30; cents += 1) {
  if (cents % 7 === 0) await shop.close();
  await shop.price({ article: "pen", cents });
}
await until(() => feed.seq === 29);
equal(seen, Array.from({ length: 28 }, (_, place) => place + 2));
feed.close();
await until(() => opens[opens.length - 1] === false);
equal([feed.send("gone"), await shop.close()], [false, 0]);

for (const name of ["", ".", "..", "id:5", "name:x", "a/b?c#d%", "名🐙", "a b+c"]) {
  equal(await client.object("edge.Shop", name).called(), name);
}
equal(await client.object("edge.Shop", { id }).called({}, {}), "s");
const foreign = await fails(client.object("edge.Shop", { id: "5" }).called());
equal([foreign.status, foreign.code], [400, "id.malformed"]);
const elsewhere = new Client(`${process.argv[2]}/nowhere/`).object("edge.Shop", "s");
equal((await fails(elsewhere.called())).code, "request.unknown_path");
const back = new AbortController();
back.abort();
const aborted = await shop.called({}, { signal: back.signal }).then(() => "", (error) => error.name);
equal(aborted, "AbortError");
equal(asked.every((who) => who === "ada") && asked.length > 20, true);

// What the types refuse. It is never run.
export function refusedByTypes() {
  // @ts-expect-error
  client.object("edge.Vault", "v");
  // @ts-expect-error
  shop.hidden();
  // @ts-expect-error
  shop.put({});
  // @ts-expect-error
  shop.put({ line: { article: 5 } });
  // @ts-expect-error
  shop.lines({ from: 0, type: "huge" });
  // @ts-expect-error
  shop.called({ more: 1 });
  // @ts-expect-error
  rejection("edge.Shop", "put", undefined);
  // @ts-expect-error
  client.subscribe<Price>("edge.Shop", "s", { tag: "prices", event: ({ euros }) => euros });
}

console.log("the client has met its server");
