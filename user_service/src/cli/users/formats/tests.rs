use serde_json::json;

use super::*;

/// What was read: the place, the name, and the hash or the reason.
fn read(format: Format, text: impl AsRef<[u8]>) -> Result<Vec<(String, String, String)>, String> {
    let config = "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: a2V5,\n  \
                  base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 14,\n}\n";
    let config = config.parse().unwrap();
    let mut read = Vec::new();
    let mut sink = |place: Place, found| {
        read.push(match found {
            Found::User(user) => (place.to_string(), user.username, user.password_hash),
            Found::Refused { username, reason } => {
                (place.to_string(), username.unwrap_or_default(), format!("refused: {reason}"))
            }
        });
        Ok::<_, ReadError>(())
    };
    let outcome = read_users(format, Some(&config), &mut text.as_ref(), &mut sink);
    outcome.map(|()| read).map_err(|error| error.to_string())
}

fn expect(format: Format, text: impl AsRef<[u8]>, wanted: &[(&str, &str, &str)]) {
    let read = read(format, text).unwrap();
    let read: Vec<_> =
        read.iter().map(|(place, name, hash)| (&**place, &**name, &**hash)).collect();
    assert_eq!(read, wanted);
}

const NO_STRINGS: &str =
    "refused: must have the strings username and password_hash, and nothing else";
const CUT_OFF: &str = "refused: is no JSON object, or is cut off";

#[test]
fn json_lines_are_read_one_by_one_and_a_bad_one_costs_no_other() {
    let text = b"\xef\xbb\xbf{\"username\":\"anna\",\"password_hash\":\"h1\"}\r\n\
        \n\
        {\"id\":7,\"username\":\"bert\",\"password_hash\":\"h2\"}\n\
        {\"username\":\"\xff\"}\n\
        {\"username\":7,\"password_hash\":\"secret\"}\n\
        {\"username\":\"carl\",\"password_hash\":\"h3\",\"admin\":true}\n\
        {\"username\":\"dora\",\"password_ha";
    expect(
        Format::Jsonl,
        text,
        &[
            ("line 1", "anna", "h1"),
            ("line 3", "bert", "h2"),
            ("line 4", "", "refused: is not UTF-8"),
            ("line 5", "", NO_STRINGS),
            ("line 6", "", NO_STRINGS),
            ("line 7", "", CUT_OFF),
        ],
    );
}

#[test]
fn a_line_without_an_end_is_not_kept() {
    let line = |name: &str| format!("{{\"username\":\"{name}\",\"password_hash\":\"h\"}}\n");
    let text = format!("{}{}\n{}", line("anna"), "x".repeat(200_000), line("bert"));
    let long = ("line 2", "", "refused: has more than 64 KiB");
    expect(Format::Jsonl, text, &[("line 1", "anna", "h"), long, ("line 3", "bert", "h")]);
}

#[test]
fn csv_has_columns_in_any_order_and_quoted_fields() {
    let text = "email,password_hash,username\r\n\
        a@x,$2b$10$abc,anna\r\n\
        b@x,\"$argon2id$m=1,t=2\",\"be\"\"rt\"\r\n\
        c@x,h\r\n\
        d@x,\"h,dora\r\n\
        e@x,\"h\"x,erna\r\n";
    let open = "refused: has a quote that is not closed, or text behind one";
    expect(
        Format::Csv,
        text,
        &[
            ("line 2", "anna", "$2b$10$abc"),
            ("line 3", "be\"rt", "$argon2id$m=1,t=2"),
            ("line 4", "", "refused: has 2 fields, and the first line 3"),
            ("line 5", "", open),
            ("line 6", "", open),
        ],
    );
    let headless = read(Format::Csv, "anna,h\n").unwrap_err();
    assert!(headless.contains("username and password_hash"), "{headless}");
}

fn keycloak_user(name: &str, data: &str, secret: &str) -> Value {
    json!({"username": name, "enabled": true, "email": "x@example.com", "credentials": [
        {"type": "otp", "secretData": "{}", "credentialData": "{}"},
        {"id": "1", "type": "password", "userLabel": "My password", "createdDate": 1_700_000_000_000_i64,
         "secretData": secret, "credentialData": data},
    ], "realmRoles": ["default-roles-test"], "notBefore": 0, "groups": []})
}

#[test]
fn keycloaks_realm_has_credentials_that_are_json_in_strings() {
    let secret = r#"{"value":"aGFzaA==","salt":"c2FsdA==","additionalParameters":{}}"#;
    let pbkdf2 =
        r#"{"hashIterations":210000,"algorithm":"pbkdf2-sha512","additionalParameters":{}}"#;
    let sha1 = r#"{"hashIterations":20000,"algorithm":"pbkdf2","additionalParameters":{}}"#;
    let argon2 = r#"{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],
        "memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}"#;
    let mut disabled = keycloak_user("carl", pbkdf2, secret);
    disabled["enabled"] = false.into();
    let realm = json!({"realm": "test", "roles": {"realm": [{"name": "x"}]}, "users": [
        keycloak_user("anna", pbkdf2, secret),
        keycloak_user("bert", argon2, secret),
        disabled,
        {"username": "dora", "enabled": true, "credentials": []},
        keycloak_user("erna", r#"{"hashIterations":1,"algorithm":"md5"}"#, secret),
        keycloak_user("fred", "{", secret),
        keycloak_user("gert", sha1, secret),
        {"enabled": true},
    ], "clients": [{"users": [1]}]});
    expect(
        Format::Keycloak,
        realm.to_string(),
        &[
            ("entry 1", "anna", "$pbkdf2-sha512$i=210000$c2FsdA==$aGFzaA=="),
            ("entry 2", "bert", "$argon2id$v=19$m=7168,t=5,p=1$c2FsdA$aGFzaA"),
            ("entry 3", "carl", "refused: is disabled there, and could log in here"),
            ("entry 4", "dora", "refused: has no password"),
            (
                "entry 5",
                "erna",
                "refused: has a hash of the algorithm md5, which is not taken over",
            ),
            (
                "entry 6",
                "fred",
                "refused: has a password credential in another form than Keycloak's",
            ),
            ("entry 7", "gert", "$pbkdf2-sha1$i=20000$c2FsdA==$aGFzaA=="),
            ("entry 8", "", "refused: has no name"),
        ],
    );
    let alone = read(Format::Keycloak, r#"{"realm":"test","clients":[]}"#).unwrap_err();
    assert!(alone.contains("array users"), "a realm without its users: {alone}");
}

#[test]
fn a_document_that_is_cut_off_gives_what_was_before_and_the_place() {
    let mut text = r#"{"users":[{"username":"anna"},{"user"#.to_owned();
    assert_eq!(
        read(Format::Keycloak, &text).unwrap_err(),
        "it is cut off: the JSON ends in the middle, at line 1, column 36"
    );
    text.push_str("\":}");
    assert!(read(Format::Keycloak, &text).unwrap_err().contains("not JSON at line 1"));
}

#[test]
fn auth0_exports_lines_in_two_forms() {
    let text = r#"{"_id":{"$oid":"5ef"},"email":"anna@example.com","passwordHash":"$2b$10$abc","tenant":"t"}
{"email":"bert@example.com","username":"bert","password_hash":"$2a$10$abc"}
{"email":"carl@example.com","custom_password_hash":{"algorithm":"pbkdf2","hash":{"value":"$pbkdf2-sha256$i=1,l=32$a$b","encoding":"utf8"}}}
{"email":"dora@example.com","custom_password_hash":{"algorithm":"md5","hash":{"value":"abc"}}}
{"email":"erna@example.com"}
{"email":"fred@example.com","passwordHash":"$2b$10$abc","blocked":true}
{"email":"#;
    expect(
        Format::Auth0,
        text,
        &[
            ("line 1", "anna@example.com", "$2b$10$abc"),
            ("line 2", "bert", "$2a$10$abc"),
            ("line 3", "carl@example.com", "$pbkdf2-sha256$i=1,l=32$a$b"),
            (
                "line 4",
                "dora@example.com",
                "refused: has a hash of the algorithm md5, which is not taken over",
            ),
            ("line 5", "erna@example.com", "refused: has no password"),
            ("line 6", "fred@example.com", "refused: is disabled there, and could log in here"),
            ("line 7", "", CUT_OFF),
        ],
    );
}

#[test]
fn django_dumps_users_among_other_things() {
    let dump = json!([
        {"model": "auth.group", "pk": 1, "fields": {"name": "editors", "permissions": []}},
        {"model": "auth.user", "pk": 1, "fields": {"password": "pbkdf2_sha256$1$a$b", "username": "anna",
            "is_active": true, "is_superuser": false}},
        {"model": "accounts.user", "pk": 2, "fields": {"password": "argon2$argon2id$x", "email": "b@x"}},
        {"model": "auth.user", "pk": 3, "fields": {"password": "!Rvx3", "username": "carl"}},
        {"model": "auth.user", "pk": 4, "fields": {"password": "h", "username": "dora", "is_active": false}},
    ]);
    expect(
        Format::Django,
        dump.to_string(),
        &[
            ("entry 2", "anna", "pbkdf2_sha256$1$a$b"),
            ("entry 3", "b@x", "argon2$argon2id$x"),
            ("entry 4", "carl", "refused: has no password"),
            ("entry 5", "dora", "refused: is disabled there, and could log in here"),
        ],
    );
}

#[test]
fn firebases_users_get_the_parameters_of_the_project() {
    let export = json!({"users": [
        {"localId": "1", "email": "anna@example.com", "emailVerified": true, "passwordHash": "aGFzaA==",
         "salt": "c2FsdA==", "disabled": false, "providerUserInfo": []},
        {"localId": "2", "email": "bert@example.com", "providerUserInfo": [{"providerId": "google.com"}]},
        {"localId": "3", "phoneNumber": "+1"},
        {"localId": "4", "email": "d@x", "passwordHash": "a", "salt": "c", "disabled": true},
    ]});
    expect(
        Format::Firebase,
        export.to_string(),
        &[
            (
                "entry 1",
                "anna@example.com",
                "$firebase-scrypt$ln=14,r=8,p=1$c2FsdA==$Bw==$a2V5$aGFzaA==",
            ),
            ("entry 2", "bert@example.com", "refused: has no password"),
            ("entry 3", "", "refused: has no name"),
            ("entry 4", "d@x", "refused: is disabled there, and could log in here"),
        ],
    );
    for wrong in [
        "",
        "rounds: 8",
        "algorithm: BCRYPT,\nbase64_signer_key: a,\nbase64_salt_separator: b,\nrounds: 8,\nmem_cost: 14",
    ] {
        assert!(wrong.parse::<HashConfig>().is_err(), "{wrong}");
    }
    let needed =
        read_users::<ReadError>(Format::Firebase, None, &mut &b"{}"[..], &mut |_, _| Ok(()));
    assert!(needed.unwrap_err().to_string().contains("--firebase-hash-config"));
}
