-- GET /verify of one token, the same request every time. Its own argument: the token.
function prepare(token)
  wrk.path = "/verify"
  wrk.headers["Authorization"] = "Bearer " .. token
end
