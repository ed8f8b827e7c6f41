//! TLS to PostgreSQL, whose certificate is verified for its name.

use std::path::Path;

use testkit::certificates::Authority;
use testkit::postgres::{PASSWORD, Postgres};

use super::*;

/// Makes the tables over TLS, with the authority that is trusted; returns the exit code and what it
/// told.
fn migrate(server: &Postgres, host: &str, trusted: &Path) -> (Option<i32>, String) {
    let url = server.url().replace("127.0.0.1", host) + "?sslmode=verify-full";
    let output = binary()
        .arg("migrate")
        .env("DATABASE_URL", url)
        .env("SSL_CERT_FILE", trusted)
        .output()
        .unwrap();
    let told = stderr(&output);
    assert!(!told.contains(PASSWORD), "{told}");
    (output.status.code(), stderr_without_trail(&output))
}

#[actix_web::test]
async fn the_certificate_of_postgresql_is_verified_for_its_name() {
    let server = Postgres::start().await;
    let (right, wrong) = (Authority::new(), Authority::new());
    let (code, told) = migrate(&server, "localhost", &right.certificate());
    assert_eq!(code, Some(78), "without TLS it is refused: {told}");
    assert!(told.contains("does not support TLS"), "{told}");

    server.offer_tls(&right.issue("localhost"));
    let (code, told) = migrate(&server, "localhost", &right.certificate());
    assert_eq!(code, Some(0), "{told}");
    let over_tls = server.sql("SELECT count(*) FROM users");
    assert_eq!(over_tls, "0");

    for (host, trusted, reason) in [
        ("localhost", wrong.certificate(), "UnknownIssuer"),
        ("127.0.0.1", right.certificate(), "not valid for name"),
    ] {
        let (code, told) = migrate(&server, host, &trusted);
        assert_eq!(code, Some(78), "{host}: {told}");
        assert!(told.contains(reason), "{host}: {told}");
        assert_eq!(told.trim().lines().count(), 1, "one line: {told}");
    }
}
