-- Arguments after `--`: hit or miss, a seed of the run. The body comes in the environment variable WRK_BODY; in a miss
-- its placeholder is replaced by a number that no other request has. The summary is one line of JSON.
local PLACEHOLDER = "0000000000000000"
local before, after, count

function init(args)
  wrk.method = "POST"
  wrk.body = os.getenv("WRK_BODY")
  wrk.headers["Content-Type"] = "application/json"
  if args[1] == "miss" then
    local template = wrk.format()
    local at = template:find(PLACEHOLDER, 1, true)
    before, after = template:sub(1, at - 1), template:sub(at + #PLACEHOLDER)
    count = tonumber(args[2]) * 10000000
    request = function()
      count = count + 1
      return before .. string.format("%016d", count) .. after
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "connect": %d, "read": %d, "write": %d, ' ..
    '"status": %d, "timeout": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
