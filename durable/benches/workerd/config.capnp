# How `.ci/peers` has workerd serve `worker.js`. The socket's address and the directory of the disk are said on the command line.
using Workerd = import "/workerd/workerd.capnp";

# As it comes: an object leaves memory ten seconds after its last request.
const config :Workerd.Config = (
  services = [ (name = "counters", worker = .evicting), .disk ],
  sockets = [ .socket ],
);

# For the memory of objects, of which none may leave while the others come.
const pinned :Workerd.Config = (
  services = [ (name = "counters", worker = .pinning), .disk ],
  sockets = [ .socket ],
);

const disk :Workerd.Service = (name = "disk", disk = (path = "/nonexistent", writable = true));
const socket :Workerd.Socket = (name = "http", address = "127.0.0.1:0", http = (), service = "counters");

const evicting :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "worker.js") ],
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [ (className = "Counter", uniqueKey = "bench.Counter", enableSql = true) ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [ (name = "counters", durableObjectNamespace = "Counter") ],
);

const pinning :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "worker.js") ],
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [
    (className = "Counter", uniqueKey = "bench.Counter", enableSql = true, preventEviction = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [ (name = "counters", durableObjectNamespace = "Counter") ],
);
