//! An actix-web handler that answers with one row of PostgreSQL: the same statement, over the same
//! driver and with the same bytes of the answer as user_service.

use std::net::SocketAddr;

use actix_web::http::header::{CACHE_CONTROL, ETAG, X_CONTENT_TYPE_OPTIONS};
use actix_web::{App, HttpResponse, HttpServer, web};
use contract::{Position, UserId, UserRepresentation};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::handler_process::HandlerProcess;
use crate::figures::cores;

const SQL: &str = "SELECT id, username, username_key, version, password_version, changed,
     greatest(stamp, (SELECT rewound FROM log_state)) AS stamp, is_admin FROM users WHERE id = $1";

/// The connection of one worker.
struct Database {
    client: Client,
    /// Absent: the server parses the statement each time, as it does for user_service.
    prepared: Option<Statement>,
}

impl Database {
    async fn connect(url: String, is_prepared: bool) -> Self {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        actix_web::rt::spawn(connection);
        let prepared = if is_prepared { Some(client.prepare(SQL).await.unwrap()) } else { None };
        Self { client, prepared }
    }

    async fn find(&self, id: i64) -> Row {
        match &self.prepared {
            Some(statement) => self.client.query_one(statement, &[&id]).await.unwrap(),
            None => self.client.query_typed_one(SQL, &[(&id, Type::INT8)]).await.unwrap(),
        }
    }
}

/// Serves until it is killed; runs in a separate process.
pub(crate) async fn serve(listen: SocketAddr, url: String, is_prepared: bool) {
    HttpServer::new(move || {
        let url = url.clone();
        App::new()
            .data_factory(move || {
                let connecting = Database::connect(url.clone(), is_prepared);
                async { Ok::<_, ()>(connecting.await) }
            })
            .route("/users/{id}", web::get().to(read_user))
    })
    .workers(cores())
    .bind(listen)
    .unwrap()
    .run()
    .await
    .unwrap();
}

async fn read_user(database: web::Data<Database>, id: web::Path<i64>) -> HttpResponse {
    let row = database.find(*id).await;
    let changed = Position::from_bytes(row.get::<_, &[u8]>("changed").try_into().unwrap());
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{}\"", changed.encode())))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("x-request-id", "f3713bfcfa2542a50000000000000001"))
        .json(UserRepresentation { id: UserId(row.get("id")), username: row.get("username") })
}

/// Starts it with these options, on the database of this URL.
pub(crate) fn start(url: &str, options: &[&str]) -> HandlerProcess {
    HandlerProcess::start("select-handler", |command| {
        command.args(options).env("DATABASE_URL", url);
    })
}
