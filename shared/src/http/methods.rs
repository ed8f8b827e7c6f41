//! Paths with the methods that they take.

use actix_web::guard::{self, Guard};
use actix_web::http::header;
use actix_web::{Resource, web};

use super::problem::{Problem, ProblemKind};

/// The pattern of the path that was asked for. Every resource carries it among its data: to match
/// the path against all patterns once more, as `HttpRequest::match_pattern` does, costs more than
/// to look the user up.
#[derive(Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The resource at `path`. Methods other than those of the routes that it is given are answered with
/// 405; `allow` names these.
#[must_use]
pub fn resource(path: &'static str, allow: &'static str) -> Resource {
    let refuse = move || async move {
        let detail = format!("this path takes {allow}");
        let problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
        Err::<&str, _>(problem.with_header(header::ALLOW, allow))
    };
    web::resource(path).app_data(Route(path)).default_service(web::to(refuse))
}

/// What a resource allows whose only route is that of [`get_or_head`].
pub const GET_OR_HEAD: &str = "GET, HEAD";

/// Passes GET, and HEAD, which is answered like it without the body.
pub fn get_or_head() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}
