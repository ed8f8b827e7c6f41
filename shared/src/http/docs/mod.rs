//! `/openapi.json`, made from the code, and `/docs`, which shows it.
//!
//! The page is made when the service starts: it needs neither scripts nor anything from elsewhere.

mod page;
mod schema;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use utoipa::openapi::OpenApi;

use super::html;
use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::openapi::complete;
use super::probes;
use super::problem::{Problem, ProblemKind};

/// The looks of all pages.
const STYLE: &str = include_str!("style.css");

/// What the paths answer with, for all workers: the document itself takes a megabyte.
#[derive(Clone)]
pub(super) struct Rendered {
    /// The text of `/openapi.json`.
    document: Bytes,
    /// The page of `/docs/`.
    page: Bytes,
}

/// Completes the document of a service, and makes both texts of it. Probes that have a port of their own
/// are not in it.
pub(super) fn rendered(mut document: OpenApi, has_probes: bool) -> Rendered {
    complete(&mut document);
    if !has_probes {
        document.paths.paths.retain(|path, _| !probes::PATHS.contains(&path.as_str()));
    }
    let document = serde_json::to_value(&document).unwrap_or_default();
    Rendered { document: document.to_string().into(), page: page::page(&document).into() }
}

/// Adds the paths.
pub(super) fn configure(rendered: Rendered, config: &mut web::ServiceConfig) {
    let get = || web::route().guard(get_or_head());
    let Rendered { document, page } = rendered;
    let openapi = resource("/openapi.json", GET_OR_HEAD).route(get().to(move || {
        let document = document.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(document) }
    }));
    let to_page = resource("/docs", GET_OR_HEAD).route(get().to(to_page));
    let files =
        resource("/docs/{file:.*}", GET_OR_HEAD).route(get().to(move |file: web::Path<String>| {
            let page = page.clone();
            async move { answer(&file, page) }
        }));
    for resource in [openapi, to_page, files] {
        config.service(resource);
    }
}

async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

fn answer(file: &str, page: Bytes) -> Result<HttpResponse, Problem> {
    match file {
        "" => Ok(html::answer(page)),
        "style.css" => Ok(HttpResponse::Ok()
            .content_type("text/css; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, html::CACHE_CONTROL))
            .body(STYLE)),
        _ => Err(Problem::new(ProblemKind::NoSuchPath, "/docs has no file of this name")),
    }
}

/// Read this document
///
/// The description of all paths in OpenAPI 3.1, made from the code. `/docs/` shows it.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "readDocument", tag = "operation",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
#[expect(dead_code, reason = "a place for the attribute: the path is answered by a closure")]
pub(super) fn read_document() {}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    async fn get(path: &str) -> (u16, Option<String>, String) {
        let rendered = rendered(OpenApi::default(), true);
        let app = App::new().configure(|app| configure(rendered, app));
        let app = init_service(app).await;
        let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let status = answer.status().as_u16();
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY);
        let policy = policy.map(|value| value.to_str().unwrap().to_owned());
        (status, policy, String::from_utf8_lossy(&read_body(answer).await).into_owned())
    }

    #[actix_web::test]
    async fn the_page_shows_the_document_and_has_all_its_parts_and_nothing_from_elsewhere() {
        let (status, policy, page) = get("/docs/").await;
        assert_eq!(status, 200);
        assert!(policy.unwrap().starts_with("default-src 'none'; style-src 'self'"));
        assert!(page.contains("/readyz"), "{page}");
        assert!(!page.contains("<script") && !page.contains("style=\""), "{page}");
        assert!(
            page.contains("href=\"../docs/style.css\"")
                && page.contains("href=\"../openapi.json\"")
        );
        for part in ["/docs/style.css", "/openapi.json"] {
            assert_eq!(get(part).await.0, 200, "{part}");
        }
        assert_eq!(get("/docs").await.0, 307);
    }

    #[actix_web::test]
    async fn what_is_not_there_is_a_problem() {
        let (status, _, body) = get("/docs/nothing.js").await;
        assert_eq!(status, 404);
        assert!(body.contains("/problems/no-such-path"), "{body}");
    }
}
