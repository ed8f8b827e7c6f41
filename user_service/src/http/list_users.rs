//! `GET /users`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use contract::UserRepresentation;
use shared::actors::ask;
use shared::http::{Bearer, NoBearer, Problem, ProblemKind};

use super::Api;
use super::bodies::representation;
use super::parsing::ListConditions;
use crate::actors::user_reader::{FindUserByName, ListUsers};

/// How many users are on a page by default.
const DEFAULT_LIMIT: u32 = 100;
/// The most users on a page.
const MAX_LIMIT: u32 = 1000;

/// The query parameters.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Page { after: i64, limit: u32 },
    Name(String),
}

/// List users
///
/// In order of their ids, one page at a time.
#[utoipa::path(
    get, path = "/users", operation_id = "listUsers", tag = "users",
    security((), ("token" = [])),
    params(
        ListConditions,
        ("limit" = Option<i32>, Query, description = "How many users are on the page",
         minimum = 1, maximum = 1000),
        ("after" = Option<i64>, Query, description = "Only users with ids above this one",
         minimum = 0),
        ("username" = Option<String>, Query, description = "Only the user with this name"),
    ),
    responses(
        (status = 200, description = "The users", body = Vec<UserRepresentation>, headers(
            ("Link" = Option<String>, description = "The next page, if there is one, as rel=next (RFC 8288)"),
        )),
        (status = 304, description = "If-None-Match is *"),
    ),
)]
pub(super) async fn list_users(
    bearer: Result<Bearer, NoBearer>,
    api: web::Data<Api>,
    request: HttpRequest,
    conditions: ListConditions,
) -> Result<HttpResponse, Problem> {
    api.access.may_list(bearer).await?;
    // Before the conditions: they count only where the answer without them is a good one (RFC 9110 section 13.2.1).
    let wanted = parse(request.query_string())?;
    if !conditions.wants()? {
        return Ok(HttpResponse::NotModified().finish());
    }
    match wanted {
        Wanted::Name(name) => find_by_name(&api, &name).await,
        Wanted::Page { after, limit } => page(&api, after, limit).await,
    }
}

async fn find_by_name(api: &Api, name: &str) -> Result<HttpResponse, Problem> {
    let found = ask(&api.reader, FindUserByName(name.to_owned())).await??;
    let users: Vec<UserRepresentation> = found.iter().map(representation).collect();
    Ok(HttpResponse::Ok().json(users))
}

async fn page(api: &Api, after: i64, limit: u32) -> Result<HttpResponse, Problem> {
    // Reads one user more than wanted, to learn whether there is a next page.
    let mut users = ask(&api.reader, ListUsers { after, limit: limit + 1 }).await??;
    let has_next = users.len() > limit as usize;
    users.truncate(limit as usize);
    let mut builder = HttpResponse::Ok();
    if has_next && let Some(last) = users.last() {
        let next = format!("</users?limit={limit}&after={}>; rel=\"next\"", last.id);
        builder.insert_header((header::LINK, next));
    }
    Ok(builder.json(users.iter().map(representation).collect::<Vec<_>>()))
}

fn parse(query: &str) -> Result<Wanted, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| malformed("the query cannot be read"))?;
    let one = |name: &str| {
        let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(malformed(format!("{name} occurs twice"))),
        }
    };
    let limit = one("limit")?.map_or(Ok(DEFAULT_LIMIT), |text| parse_limit(text))?;
    let after = one("after")?.map_or(Ok(0), |text| parse_after(text))?;
    Ok(match one("username")? {
        Some(name) => Wanted::Name(name.clone()),
        None => Wanted::Page { after, limit },
    })
}

fn parse_limit(text: &str) -> Result<u32, Problem> {
    let limit = digits(text).and_then(|text| text.parse().ok());
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| malformed("limit must be an integer from 1 to 1000"))
}

fn parse_after(text: &str) -> Result<i64, Problem> {
    let after = digits(text).and_then(|text| text.parse().ok());
    after.ok_or_else(|| malformed("after must be the id of a user, or 0"))
}

/// The text, if it consists of digits only: Rust's parser would also accept a sign.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_defaults_and_ignores_what_it_does_not_know() {
        let page = |after, limit| Wanted::Page { after, limit };
        assert_eq!(parse("").unwrap(), page(0, 100));
        assert_eq!(parse("limit=7&after=3&x=1&x=2").unwrap(), page(3, 7));
        assert_eq!(parse("username=a%20b").unwrap(), Wanted::Name("a b".into()));
    }

    #[test]
    fn wrong_values_and_doubles_are_malformed() {
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=x",
            "limit=%2B5",
            "limit=-1",
            "after=-1",
            "after=x",
            "after=9223372036854775808",
            "limit=1&limit=2",
            "username=a&username=a",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
