-- PUT /users/{id} of any user with a new name.
function request()
  return send("PUT", "/users/" .. any_user(), '{"username":"' .. new_name() .. '"}')
end
