//! `GET /console/events`: a sample of all figures each second, as server-sent events.

use std::convert::Infallible;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{StreamExt, iter, unfold};
use shared::actors::ask;
use shared::http::{Bearer, NoBearer, Problem, ProblemKind, resource};

use super::Console;
use crate::actors::console_feed::{NoMoreWatchers, SampleId, Watch, Watching};
use crate::http::Api;

const LAST_EVENT_ID: &str = "last-event-id";

/// Adds the path.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.service(resource("/console/events", "GET").route(web::get().to(events)));
}

/// Whoever may list users may see the figures: they tell when somebody logs in.
async fn events(
    bearer: Result<Bearer, NoBearer>,
    api: Data<Api>,
    console: Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    api.access.may_list(bearer).await?;
    let last = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    // One that cannot be read is none of ours: then everything is news.
    let after = last.and_then(SampleId::parse);
    let Watching { missed, coming } = ask(&console.feed, Watch(after)).await??;
    // A watcher that was too slow has lost some: its stream ends, and it asks for them again.
    let coming = unfold(coming, async |mut coming| Some((coming.recv().await.ok()?, coming)));
    let samples = iter(missed).chain(coming);
    let events = samples.map(|sample| Ok::<_, Infallible>(Bytes::from(sample.to_event())));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would collect them.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(events))
}

impl From<NoMoreWatchers> for Problem {
    fn from(error: NoMoreWatchers) -> Self {
        Self::new(ProblemKind::Overloaded, error.to_string())
    }
}
