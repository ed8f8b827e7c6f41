//! One JSON object a line. tracing-subscriber's own form shows the outermost error alone; here an
//! error is shown with all its causes, as in the text form.

use std::error::Error;
use std::fmt::{self, Debug};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::error_chain::ErrorChain;

/// Writes the time, the level, the fields, the target and the spans of an event.
pub(super) struct JsonLines<T>(pub(super) T);

impl<S, N, T> FormatEvent<S, N> for JsonLines<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        self.0.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        write!(writer, "{{\"timestamp\":{}", json(&time)?)?;
        let target = metadata.target().to_owned();
        let mut line = Line { to: writer, target, outcome: Ok(()) };
        line.add("level", metadata.level().as_str());
        event.record(&mut line);
        let target = std::mem::take(&mut line.target);
        line.add("target", target);
        let spans: Vec<Value> = context
            .event_scope()
            .map(|scope| scope.from_root().map(|span| described::<N, _>(&span)).collect())
            .unwrap_or_default();
        if !spans.is_empty() {
            line.add("spans", spans);
        }
        line.outcome?;
        line.to.write_str("}\n")
    }
}

/// The name of the span and its fields.
fn described<N: 'static, S: for<'a> LookupSpan<'a>>(
    span: &tracing_subscriber::registry::SpanRef<'_, S>,
) -> Value {
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<N>>();
    let fields = fields.and_then(|fields| serde_json::from_str(fields).ok());
    let mut described: Map<String, Value> = fields.unwrap_or_default();
    described.insert("name".to_owned(), span.name().into());
    Value::Object(described)
}

fn json(value: &impl Serialize) -> Result<String, fmt::Error> {
    serde_json::to_string(value).map_err(|_| fmt::Error)
}

struct Line<'w> {
    to: Writer<'w>,
    target: String,
    outcome: fmt::Result,
}

impl Line<'_> {
    fn add(&mut self, name: &str, value: impl Serialize) {
        self.outcome =
            self.outcome.and_then(|()| write!(self.to, ",{}:{}", json(&name)?, json(&value)?));
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // Lines of libraries that use the crate `log` carry their origin in fields.
            "log.target" => value.clone_into(&mut self.target),
            "log.module_path" | "log.file" => {}
            name => self.add(name, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() != "log.line" {
            self.add(field.name(), value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field.name(), ErrorChain(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::test_log::json_logged_by;
    use std::error::Error;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("outside")]
    struct Outer(#[source] io::Error);

    #[tokio::test]
    async fn a_line_is_one_object_with_all_fields_and_all_causes_of_an_error() {
        let lines = json_logged_by(async {
            let error = Outer(io::Error::other("in\n\"side"));
            let error = &error as &dyn Error;
            let _span = tracing::info_span!("request", id = 7).entered();
            tracing::warn!(target: "t", n = 7_u64, is_so = true, part = 0.5, absent = None::<u64>, shown = %"a b", error, "it\nis");
        })
        .await;
        assert!(lines.ends_with("}\n") && lines.lines().count() == 1, "{lines}");
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        let expected = serde_json::json!({
            "timestamp": "", "level": "WARN", "message": "it\nis", "n": 7, "is_so": true,
            "part": 0.5, "shown": "a b", "error": "outside: in\n\"side", "target": "t",
            "spans": [{"name": "request", "id": 7}],
        });
        assert_eq!(line, expected);
    }
}
