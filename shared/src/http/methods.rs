//! Paths with the methods that they accept.

use actix_web::guard::{self, Guard};
use actix_web::http::header;
use actix_web::{HttpRequest, Resource, web};

use super::cors;
use super::problem::{Problem, ProblemKind};

/// The pattern of the requested path. Every resource carries it among its data, because matching
/// the path against all patterns again, as `HttpRequest::match_pattern` does, costs more than
/// looking the user up.
#[derive(Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The resource at `path`. Methods that have no route are answered with 405, except for the question of a browser
/// whether a page may send something; `allow` lists the
/// methods that have one.
#[must_use]
pub fn resource(path: &'static str, allow: &'static str) -> Resource {
    let refuse = move |request: HttpRequest| async move {
        if let Some(answer) = cors::preflight(&request, allow) {
            return Ok(answer);
        }
        let detail = format!("this path supports {allow}");
        let problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
        Err(problem.with_header(header::ALLOW, allow))
    };
    web::resource(path).app_data(Route(path)).default_service(web::to(refuse))
}

/// The `Allow` header of a resource whose only route is that of [`get_or_head`].
pub const GET_OR_HEAD: &str = "GET, HEAD";

/// Matches GET and HEAD. HEAD is answered like GET, without the body.
pub fn get_or_head() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}
