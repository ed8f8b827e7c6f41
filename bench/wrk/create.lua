-- POST /users with a new name each time. Arguments: unused, a seed that no other run has.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local headers = { ["Content-Type"] = "application/json" }
local count = 0

function init(arguments)
  seed = arguments[2]
end

function request()
  count = count + 1
  local name = "new" .. seed .. "x" .. number .. "x" .. count
  return wrk.format("POST", "/users", headers, '{"username":"' .. name .. '","password":"testpassword"}')
end
