-- GET /users/{id} of any user.
function request()
  return wrk.format("GET", "/users/" .. any_user())
end
