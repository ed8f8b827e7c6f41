use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use crate::test_app::{Setup, TestApp};
use user_service::StartError;

#[actix_web::test]
async fn a_restart_keeps_users_and_passwords_and_never_uses_an_id_again() {
    let app = TestApp::start().await;
    app.create("anna").await;
    app.create("bert").await;
    app.delete(2).await;
    let directory = app.stop().await;
    let app = Setup { directory, ..Setup::default() }.start().await;
    assert_eq!(app.get("/users").await.text, r#"[{"id":1,"username":"anna"}]"#);
    assert_eq!(app.create("bert").await, 3);
    let change = serde_json::json!({"password": "otherpassword",
                                    "current_password": "testpassword"});
    assert_eq!(app.put(1, &change).await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn of_two_that_start_on_one_directory_at_the_same_moment_one_is_refused() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let setup = || Setup { directory: Arc::clone(&directory), ..Setup::default() };
    let (first, second) = tokio::join!(setup().try_start(), setup().try_start());
    let (app, refused) = match (first, second) {
        (Ok(app), Err(refused)) | (Err(refused), Ok(app)) => (app, refused),
        (first, second) => panic!("{:?}, {:?}", first.err(), second.err()),
    };
    assert!(matches!(refused, StartError::DataDir(_)), "{refused}");
    app.create("anna").await;
    app.stop().await;
    // The directory is free again.
    let app = setup().start().await;
    assert_eq!(app.get("/users/1").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_database_that_is_damaged_while_it_is_used_is_told_at_readyz() {
    let app = TestApp::start().await;
    for name in ["anna", "bert", "carl"] {
        app.create(name).await;
    }
    // Now all pages are in the main file.
    let app = Setup { directory: app.stop().await, ..Setup::default() }.start().await;
    assert_eq!(app.get("/readyz").await.status, 200);
    overwrite_all_but_first_page(&app.directory.path().join("users.db"));
    app.get("/users").await.assert_problem(500, "internal-error");
    let ready = app.get("/readyz").await;
    assert!(ready.status == 503 && ready.text.contains("restore a backup"), "{ready:?}");
    // It cannot be closed cleanly.
    let _ = app.stop().await;
}

fn overwrite_all_but_first_page(path: &std::path::Path) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    let rest = file.metadata().unwrap().len() - 4096;
    file.write_all(&vec![0x2a; rest.try_into().unwrap()]).unwrap();
}

#[actix_web::test]
async fn a_setting_that_cannot_be_is_told_at_start() {
    let start = |flags: Vec<&'static str>| Setup { flags, ..Setup::default() }.try_start();
    let limits = start(vec!["--password-min-chars", "200"]).await.err().unwrap();
    assert!(matches!(limits, StartError::Settings(_)), "{limits}");
}

#[actix_web::test]
async fn an_address_that_is_taken_is_told_at_start() {
    let app = TestApp::start().await;
    let taken: &'static str = app.address.to_string().leak();
    let flags = vec!["--user-service-listen", taken];
    let refused = Setup { flags, ..Setup::default() }.try_start().await.err().unwrap();
    assert!(matches!(refused, StartError::Serve(_)), "{refused}");
    app.stop().await;
}
