-- One connection a thread, so that a channel's vouchers go out in the order of their sums.
-- Arguments: a request whose gaps are marked by a zero byte; where they are filled, the files of
-- what goes there, one for each thread and a line for each request; a file for the outcome.
local threads = {}

function setup(thread)
  thread:set("place", #threads)
  threads[#threads + 1] = thread
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local whole = file:read("*a")
  file:close()
  pieces = {}
  for piece in (whole .. "\0"):gmatch("(.-)%z") do pieces[#pieces + 1] = piece end
  if args[2] ~= "" then lines = io.lines(string.format(args[2], place)) end
  -- wrk asks the first thread for a request that it only looks at; it must not be lost.
  looked_at = place ~= 0
  short = 0
end

function request()
  if not lines then return pieces[1] end
  local line = kept or lines()
  kept = nil
  if not looked_at then
    looked_at, kept = true, line
  end
  if not line then
    -- Out of vouchers: say so, and end this thread rather than repeat one.
    short = short + 1
    lines = function() return nil end
    wrk.thread:stop()
    return pieces[1]
  end
  local parts, at = { pieces[1] }, 1
  for value in line:gmatch("[^\t]+") do
    at = at + 1
    parts[#parts + 1] = value
    parts[#parts + 1] = pieces[at]
  end
  return table.concat(parts)
end

function done(summary, latency)
  local short = 0
  for _, thread in ipairs(threads) do short = short + (thread:get("short") or 0) end
  local wrong = summary.errors
  io.stderr:write(string.format(
    '{"answered":%d,"seconds":%.6f,"refused":%d,"broken":%d,"short":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, wrong.status,
    wrong.connect + wrong.read + wrong.write + wrong.timeout, short,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
