-- POST /users with a new name each time.
function request()
  return send("POST", "/users", '{"username":"' .. new_name() .. '","password":"testpassword"}')
end
