// The counter of `serve.rs`, as a worker: the same calls at paths of its own. For `.ci/peers`.
import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
  visits = 0;
  count;

  // Changes memory only, which is no more work here than to read it.
  mem() {
    return ++this.visits;
  }

  // The answer waits for the disk whether or not this waits for `put`: output gates see to that.
  async put() {
    this.count ??= (await this.ctx.storage.get("count")) ?? 0;
    this.ctx.storage.put("count", ++this.count);
    return this.count;
  }

  // A socket: the one thing that has to be asked by a request.
  fetch() {
    const [here, there] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(there);
    return new Response(null, { status: 101, webSocket: here });
  }

  webSocketMessage(socket, message) {
    socket.send(message);
  }
}

export default {
  async fetch(request, env) {
    const [, what, name] = new URL(request.url).pathname.split("/");
    const counter = env.counters.getByName(name);
    if (what === "mem" && request.method === "GET") return new Response(await counter.mem());
    if (what === "put" && request.method === "POST") return new Response(await counter.put());
    if (what === "ws") return counter.fetch(request);
    return new Response("no such path", { status: 404 });
  },
};
