-- POST /login of a random user. Arguments: how many users there are, a seed.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local headers = { ["Content-Type"] = "application/json" }

function init(arguments)
  users = tonumber(arguments[1])
  math.randomseed(tonumber(arguments[2]) + number)
end

function request()
  local body = '{"username":"user' .. math.random(users) .. '","password":"testpassword"}'
  return wrk.format("POST", "/login", headers, body)
end
