//! `/problems/{slug}`: the page that a problem's `type` refers to.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::html::{self, escaped};
use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::problem::Problem;
use super::problem_kind::ProblemKind;

/// Adds one path for all kinds.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let pages = resource("/problems/{slug}", GET_OR_HEAD);
    config.service(pages.route(web::route().guard(get_or_head()).to(explain)));
}

/// Explain a problem
///
/// What the kind of problem means, and what a client does about it. A browser gets a page, all others plain
/// text.
#[utoipa::path(
    get, path = "/problems/{slug}", operation_id = "explainProblem", tag = "operation",
    params(("slug" = String, Path, description = "The last part of a problem's `type`",
        pattern = "^[a-z]+(-[a-z]+)*$", example = "username-taken")),
    responses((status = 200, description = "The explanation", content(
        (String = "text/plain"), (String = "text/html"),
    ), headers(("Vary" = String, description = "Accept")))),
)]
pub(super) async fn explain(
    request: HttpRequest,
    slug: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug.as_str());
    let kind = *kind
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchPath, "no kind of problem has this name"))?;
    let mut answer = if wants_html(&request) {
        html::answer(page(kind))
    } else {
        HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text(kind))
    };
    answer.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Accept"));
    Ok(answer)
}

/// Browsers name `text/html`; programs that take anything get text.
fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let mut ranges = accept.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|parameter| parameter.trim_end_matches(['0', '.']) == "q=")
    })
}

fn text(kind: ProblemKind) -> String {
    let (status, title) = (kind.status(), kind.title());
    format!("{title} ({status})\n\n{}\n\nWhat to do: {}\n", kind.meaning(), kind.remedy())
}

fn page(kind: ProblemKind) -> String {
    let (title, status) = (escaped(kind.title()), escaped(&kind.status().to_string()));
    let (meaning, remedy) = (escaped(kind.meaning()), escaped(kind.remedy()));
    let body = format!(
        "<main>\n<h1>{title}</h1>\n<p><code>{}</code>, HTTP status {status}</p>\n\
         <h2>What it means</h2>\n<p>{meaning}</p>\n<h2>What a client does</h2>\n<p>{remedy}</p>\n\
         <p><a href=\"../docs/\">All paths of this service</a></p>\n</main>\n",
        kind.type_uri()
    );
    html::page(kind.title(), "../", &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    async fn get(path: &str, accept: Option<&str>) -> (u16, String, String) {
        let app = init_service(App::new().configure(configure)).await;
        let mut request = TestRequest::get().uri(path);
        if let Some(accept) = accept {
            request = request.insert_header((header::ACCEPT, accept));
        }
        let answer = call_service(&app, request.to_request()).await;
        let status = answer.status().as_u16();
        let kind = answer.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
        (status, kind, String::from_utf8_lossy(&read_body(answer).await).into_owned())
    }

    #[actix_web::test]
    async fn every_type_leads_to_a_page_and_to_a_text_with_meaning_and_remedy() {
        for kind in ProblemKind::ALL {
            let (status, media_type, page) =
                get(&kind.type_uri(), Some("text/html,*/*;q=0.8")).await;
            assert_eq!((status, &*media_type), (200, "text/html; charset=utf-8"));
            let (status, media_type, text) = get(&kind.type_uri(), None).await;
            assert_eq!((status, &*media_type), (200, "text/plain; charset=utf-8"));
            for part in [kind.title(), kind.meaning(), kind.remedy()] {
                assert!(page.contains(&escaped(part)), "{kind:?}: {part}");
                assert!(text.contains(part), "{kind:?}: {part}");
            }
        }
    }

    #[actix_web::test]
    async fn who_does_not_ask_for_html_gets_text() {
        for accept in
            ["*/*", "text/plain", "text/html;q=0", "text/html; q=0.000", "application/json"]
        {
            let (_, media_type, _) = get("/problems/overloaded", Some(accept)).await;
            assert_eq!(media_type, "text/plain; charset=utf-8", "{accept}");
        }
    }

    #[actix_web::test]
    async fn another_name_is_a_problem() {
        let (status, media_type, _) = get("/problems/nothing", Some("text/html")).await;
        assert_eq!((status, &*media_type), (404, "application/problem+json"));
    }
}
