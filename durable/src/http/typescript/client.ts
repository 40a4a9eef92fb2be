/** What became of a call. */
export type Outcome = "not_started" | "rolled_back" | "committed" | "unknown";

/** Why nothing is returned, as the server has said it (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  /** What programs tell it by, such as `call.expired`. `http.502` and the like: whatever answered was not the server. */
  readonly code: string;
  readonly outcome: Outcome;
  /** The object that it is about. */
  readonly object: string | undefined;
  /** What the method has returned as its error, where `code` is `call.rejected`. */
  readonly error: unknown;
  /** In how many seconds to come again, where that is known. */
  readonly retryAfter: number | undefined;

  constructor(said: Said, retryAfter?: number) {
    super(said.detail ?? said.title);
    this.name = "Problem";
    this.status = said.status;
    this.code = said.code;
    this.outcome = said.outcome;
    this.object = said.object;
    this.error = said.error;
    this.retryAfter = retryAfter;
  }
}

interface Said {
  title: string;
  status: number;
  detail?: string;
  code: string;
  outcome: Outcome;
  object?: string;
  error?: unknown;
}

/** How a client asks. */
export interface Settings {
  /** Go with every request, such as `{ authorization: "Bearer …" }`. */
  headers?: Headers | (() => Headers | Promise<Headers>);
  /** What carries requests; `fetch` unless it is said. */
  fetch?: (url: string, request: RequestInit) => Promise<Response>;
}

type Headers = Record<string, string>;

/** How a call is made. */
export interface Options {
  /** How much time it has: `500ms`, `10s`, `5m`, `1h`. */
  timeout?: string;
  /** What it is known again by, for methods that may change their object: made again, it takes effect once. */
  idempotencyKey?: string;
  /** Takes the call back. A turn that has begun goes on. */
  signal?: AbortSignal;
}

type Args = Record<string, unknown>;

interface Way {
  verb: "GET" | "POST";
  streams?: true;
}

/** The objects at an address. */
export class Client {
  readonly #base: string;
  readonly #settings: Settings;

  /** `base`: where the objects' paths begin, such as `https://bank.example/objects`. */
  constructor(base: string, settings: Settings = {}) {
    this.#base = base.replace(/\/+$/, "");
    this.#settings = settings;
  }

  /** The object of this class and name, or of this id. Nothing is asked yet. */
  object<C extends keyof Classes>(of: C, name: string | { id: string }): Classes[C] {
    const path = `${this.#base}/${encodeURIComponent(of)}/${segment(name)}`;
    const ways: Record<string, Way> = WAYS[of];
    const methods = Object.entries(ways).map(([method, way]) => {
      const url = `${path}/${encodeURIComponent(method)}`;
      const call = (args: Args = {}, options: Options = {}) =>
        way.streams ? this.#stream(way, url, args, options) : this.#call(way, url, args, options);
      return [method, call] as const;
    });
    // `WAYS` has the methods of the class, and no others.
    return Object.fromEntries(methods) as unknown as Classes[C];
  }

  /**
   * Follows the events of a tag that an object tells of, in order, each once: it opens a socket to the object, and again whenever it has
   * broken, and says in `?after=` which event it has seen last. The object lets it follow in `#[on_connect]`.
   */
  subscribe<Event>(of: string, name: string | { id: string }, wishes: Wishes<Event>): Subscription {
    const path = `${this.#base}/${encodeURIComponent(of)}/${segment(name)}/`;
    return new Subscription(path, wishes as Wishes<unknown>);
  }

  async #call(way: Way, url: string, args: Args, options: Options): Promise<unknown> {
    const response = await this.#ask(way, url, args, options);
    return response.json();
  }

  async *#stream(way: Way, url: string, args: Args, options: Options): AsyncGenerator<unknown, void> {
    const response = await this.#ask(way, url, args, options);
    for await (const { event, data } of events(response)) {
      if (event === "done") return;
      if (event === "failed") throw new Problem(JSON.parse(data));
      yield JSON.parse(data);
    }
    throw new Error("the stream was cut off on its way");
  }

  async #ask(way: Way, url: string, args: Args, options: Options): Promise<Response> {
    const { headers: given, fetch: carry = fetch } = this.#settings;
    const headers: Headers = { ...(typeof given === "function" ? await given() : given) };
    if (options.timeout !== undefined) headers["durable-timeout"] = options.timeout;
    if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
    const request: RequestInit = { method: way.verb, headers };
    if (options.signal) request.signal = options.signal;
    if (way.verb === "POST") {
      headers["content-type"] = "application/json";
      request.body = JSON.stringify(args);
    } else {
      url += query(args);
    }
    const response = await carry(url, request);
    if (!response.ok) throw await problem(response);
    return response;
  }
}

/** What of an object is followed, and how. */
export interface Wishes<Event> {
  tag: string;
  /** The number of the event that was seen last; 0 unless it is said. */
  after?: number;
  /** Stands in the query beside `after`, whenever the socket is opened: a ticket, say. */
  query?: Args | (() => Args | Promise<Args>);
  /** Something has happened. */
  event: (event: Event, seq: number) => void;
  /** Something else was sent, a text or bytes: how things are now, say, if events that were missed are not kept any more. */
  other?: (data: unknown) => void;
  /** The socket is open, or is not. */
  open?: (isOpen: boolean) => void;
  /** What opens sockets; `WebSocket` unless it is said. */
  socket?: (url: string) => WebSocket;
}

/** How long it is waited before a socket is opened again, at first and at most. */
const PAUSE_MS = [250, 15_000] as const;

/** Follows events until it is closed. */
export class Subscription {
  readonly #url: string;
  readonly #wishes: Wishes<unknown>;
  #seq: number;
  #socket: WebSocket | undefined;
  #pause: number = PAUSE_MS[0];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(url: string, wishes: Wishes<unknown>) {
    this.#url = url.replace(/^http/, "ws");
    this.#wishes = wishes;
    this.#seq = wishes.after ?? 0;
    void this.#open();
  }

  /** The number of the event that was seen last. */
  get seq(): number {
    return this.#seq;
  }

  /** Sends the object a message, if the socket is open. */
  send(message: string | ArrayBuffer): boolean {
    const isOpen = this.#socket?.readyState === 1;
    if (isOpen) this.#socket?.send(message);
    return isOpen;
  }

  /** Follows no more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  async #open(): Promise<void> {
    const { query: given, socket: make = (url: string) => new WebSocket(url) } = this.#wishes;
    let socket: WebSocket;
    try {
      const said = typeof given === "function" ? await given() : given;
      if (this.#isClosed) return;
      socket = make(this.#url + query({ ...said, after: this.#seq }));
    } catch {
      return this.#again();
    }
    this.#socket = socket;
    let wasOpen = false;
    socket.onopen = () => {
      wasOpen = true;
      this.#pause = PAUSE_MS[0];
      this.#wishes.open?.(true);
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => {
      if (wasOpen) this.#wishes.open?.(false);
      this.#again();
    };
  }

  #hear(data: unknown): void {
    const said = typeof data === "string" ? happened(data) : undefined;
    if (said?.tag !== this.#wishes.tag) return this.#wishes.other?.(data);
    // One that was seen already comes only if nobody is to see it again.
    if (said.seq <= this.#seq) return;
    this.#seq = said.seq;
    this.#wishes.event(said.event, said.seq);
  }

  #again(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#open(), this.#pause * (0.5 + Math.random()));
    this.#pause = Math.min(2 * this.#pause, PAUSE_MS[1]);
  }
}

/** The event that a text is. `undefined`: it is something else. */
function happened(text: string): { tag: string; seq: number; event: unknown } | undefined {
  try {
    const said = JSON.parse(text);
    const isEvent = typeof said?.tag === "string" && typeof said.seq === "number" && "event" in said;
    return isEvent ? said : undefined;
  } catch {
    return undefined;
  }
}

/** What the method has returned as its error. `undefined`: it was something else. */
export function rejection<C extends keyof Rejections, M extends keyof Rejections[C]>(
  _of: C,
  _method: M,
  error: unknown,
): Rejections[C][M] | undefined {
  const isRejection = error instanceof Problem && error.code === "call.rejected";
  return isRejection ? (error.error as Rejections[C][M]) : undefined;
}

function segment(name: string | { id: string }): string {
  if (typeof name !== "string") return `id:${encodeURIComponent(name.id)}`;
  const isMistakable = /^(id:|name:|\.{0,2}$)/.test(name);
  return (isMistakable ? "name:" : "") + encodeURIComponent(name);
}

/** Texts as they are, everything else as JSON; what is not there is left out. */
function query(args: Args): string {
  const isThere = ([, value]: [string, unknown]) => value !== undefined && value !== null;
  const pairs = Object.entries(args).filter(isThere).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return `${encodeURIComponent(name)}=${encodeURIComponent(text)}`;
  });
  return pairs.length > 0 ? `?${pairs.join("&")}` : "";
}

async function problem(response: Response): Promise<Problem> {
  const { status, statusText, headers } = response;
  const text = await response.text();
  if (!headers.get("content-type")?.startsWith("application/problem+json")) {
    const title = statusText || `status ${status}`;
    return new Problem({ title, status, code: `http.${status}`, outcome: "unknown" });
  }
  const wait = headers.get("retry-after");
  return new Problem(JSON.parse(text), wait === null ? undefined : Number(wait));
}

/** The events of a response. Whoever stops early closes it. */
async function* events(response: Response): AsyncGenerator<{ event: string; data: string }, void> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const lines = part.split("\n");
        const said = (field: string) =>
          lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2);
        const data = said("data");
        if (data !== undefined) yield { event: said("event") ?? "message", data };
      }
    }
  } finally {
    await reader.cancel();
  }
}
