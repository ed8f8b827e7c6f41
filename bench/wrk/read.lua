-- GET /users/{id} of a random user. Arguments: how many users there are, a seed.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  users = tonumber(arguments[1])
  math.randomseed(tonumber(arguments[2]) + number)
end

function request()
  return wrk.format("GET", "/users/" .. math.random(users))
end
