//! The files of the page. They are part of the binary.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::http::header::{self, EntityTag, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use shared::http::{EntityTags, GET_OR_HEAD, Problem, get_or_head, resource};

/// Code and styles come from here alone, and no other page may show this one in a frame. Nothing is
/// inline: a name that contains markup could at most be shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! asset {
    ($path:literal, $content_type:expr, $file:literal) => {
        Asset {
            path: $path,
            content_type: $content_type,
            content: include_str!(concat!("../../../console/", $file)),
        }
    };
}

const ASSETS: [Asset; 11] = [
    asset!("/console", HTML, "index.html"),
    asset!("/console/console.css", STYLE, "console.css"),
    asset!("/console/icon.svg", "image/svg+xml", "icon.svg"),
    asset!("/console/app.js", SCRIPT, "app.js"),
    asset!("/console/api.js", SCRIPT, "api.js"),
    asset!("/console/live.js", SCRIPT, "live.js"),
    asset!("/console/users.js", SCRIPT, "users.js"),
    asset!("/console/tokens.js", SCRIPT, "tokens.js"),
    asset!("/console/vendor/htm-preact-3.1.1.js", SCRIPT, "vendor/htm-preact-3.1.1.js"),
    asset!("/console/vendor/uPlot-1.6.32.js", SCRIPT, "vendor/uPlot-1.6.32.js"),
    asset!("/console/vendor/uPlot-1.6.32.css", STYLE, "vendor/uPlot-1.6.32.css"),
];

/// Adds a path for each file.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    for asset in ASSETS {
        let tag = tag_of(asset.content);
        let serve = move |request: HttpRequest| {
            let answer = serve(asset, &tag, &request);
            async move { answer }
        };
        let route = web::route().guard(get_or_head()).to(serve);
        config.service(resource(asset.path, GET_OR_HEAD).route(route));
    }
}

/// Browsers ask each time whether their copy is still right: after an update no old file meets a new one.
fn serve(asset: Asset, tag: &EntityTag, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let known = EntityTags::from_headers(request.headers(), &header::IF_NONE_MATCH)?;
    let is_known = match known {
        Some(EntityTags::Any) => true,
        Some(EntityTags::List(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        None => false,
    };
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((header::ETAG, tag.to_string()));
    answer.insert_header((header::CACHE_CONTROL, "no-cache"));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        answer.insert_header((name, HeaderValue::from_static(value)));
    }
    if is_known {
        return Ok(answer.finish());
    }
    Ok(answer.content_type(asset.content_type).body(asset.content))
}

/// Changes with the content. Nobody gains by making two contents with the same tag, so it need not
/// be a cryptographic hash.
fn tag_of(content: &str) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    EntityTag::new_strong(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_served_and_nothing_is_inline() {
        let [page, others @ ..] = ASSETS;
        let named = page.content.split('"').filter(|part| part.starts_with("/console/"));
        for name in named {
            assert!(others.iter().any(|asset| asset.path == name), "{name}");
        }
        for refused in ["style=", "onclick=", "<style", "javascript:"] {
            assert!(!page.content.contains(refused), "{refused}");
        }
    }
}
