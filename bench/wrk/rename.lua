-- PUT /users/{id} of a random user with a new name. Arguments: how many users there are, a seed that
-- no other run has.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local headers = { ["Content-Type"] = "application/json" }
local count = 0

function init(arguments)
  users, seed = tonumber(arguments[1]), arguments[2]
  math.randomseed(tonumber(seed) + number)
end

function request()
  count = count + 1
  local name = "renamed" .. seed .. "x" .. number .. "x" .. count
  return wrk.format("PUT", "/users/" .. math.random(users), headers, '{"username":"' .. name .. '"}')
end
