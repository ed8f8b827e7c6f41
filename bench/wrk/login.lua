-- POST /login of any user.
function request()
  return send("POST", "/login", '{"username":"user' .. any_user() .. '","password":"testpassword"}')
end
