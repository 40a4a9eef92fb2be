-- What `wrk` asks in `.ci/peers`: `wrk … -s walk.lua URL -- VERB PATH OBJECTS`, where `*` in the path is the object's number. Threads
-- walk over as many objects, apart from each other; if there are 0, each request has an object of its own.
-- In the end one line: requests/s, the microseconds that 50 and 99 of 100 requests stayed within, and how many failed.

local threads = 0
-- More than one thread can ask for in a run.
local APART = 100000000

function setup(thread)
  thread:set("nth", threads)
  threads = threads + 1
end

function init(args)
  local verb, path, objects = args[1], args[2], tonumber(args[3])
  local headers, body = {}, nil
  if verb == "POST" then
    headers["content-type"], body = "application/json", "{}"
  end
  local function made(object)
    return wrk.format(verb, (path:gsub("*", tostring(object))), headers, body)
  end
  if objects == 0 then
    local object = nth * APART
    function request()
      object = object + 1
      return made(object)
    end
    return
  end
  local all = {}
  for object = 0, objects - 1 do
    all[object] = made(object)
  end
  local object = math.floor(nth * objects / 2) % objects
  function request()
    object = (object + 1) % objects
    return all[object]
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local per_second = summary.requests * 1e6 / summary.duration
  io.write(string.format("result %.0f %d %d %d\n", per_second, latency:percentile(50), latency:percentile(99), failed))
end
