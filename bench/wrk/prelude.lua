-- Before every script. Arguments: how many users there are, a seed that no other run has, and what the
-- script says.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  users, seed = tonumber(arguments[1]), arguments[2]
  math.randomseed(tonumber(seed) + number)
  if prepare then prepare(arguments[3]) end
end

local json = { ["Content-Type"] = "application/json" }

function send(method, path, body)
  return wrk.format(method, path, json, body)
end

local count = 0

-- A name that nobody has.
function new_name()
  count = count + 1
  return "name" .. seed .. "x" .. number .. "x" .. count
end

function any_user()
  return math.random(users)
end

-- One line of JSON, in microseconds.
function done(summary, latency)
  io.write(string.format(
    '\n{"all":%d,"refused":%d,"broken":%d,"duration":%d,"median":%d}\n',
    summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.duration, latency:percentile(50)))
end
