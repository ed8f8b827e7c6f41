use super::*;
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    traces: TracesArgs,
}

/// The settings of these flags, each without its beginning `--otel-`.
fn parse(flags: &[&str]) -> Result<TracesArgs, String> {
    let flags = flags.iter().map(|flag| format!("--otel-{flag}"));
    let cli = Cli::try_parse_from(std::iter::once("test".to_owned()).chain(flags));
    cli.map(|cli| cli.traces).map_err(|error| error.to_string())
}

fn collector(flags: &[&str]) -> Option<String> {
    parse(flags).unwrap().collector().map(|url| url.to_string())
}

#[test]
fn spans_go_where_the_more_special_endpoint_says() {
    let base = "exporter-otlp-endpoint=http://collector:4318";
    assert_eq!(collector(&[]), None);
    assert_eq!(collector(&[base]).as_deref(), Some("http://collector:4318/v1/traces"));
    let below = "exporter-otlp-endpoint=http://[::1]:4318/otlp/";
    assert_eq!(collector(&[below]).as_deref(), Some("http://[::1]:4318/otlp/v1/traces"));
    let own = "exporter-otlp-traces-endpoint=http://other:1/x/traces";
    assert_eq!(collector(&[base, own]).as_deref(), Some("http://other:1/x/traces"));
    let root = "exporter-otlp-traces-endpoint=http://other:1";
    assert_eq!(collector(&[root]).as_deref(), Some("http://other:1/"));
    assert_eq!(collector(&[base, "sdk-disabled=true"]), None);
}

#[test]
fn wrong_values_are_refused() {
    for wrong in [
        "exporter-otlp-endpoint=https://collector:4318",
        "exporter-otlp-endpoint=collector:4318",
        "exporter-otlp-endpoint=http://user:secret@collector:4318",
        "exporter-otlp-traces-endpoint=http://collector:4318/?x",
        "exporter-otlp-timeout=0",
        "exporter-otlp-timeout=10s",
        "exporter-otlp-protocol=grpc",
        "resource-attributes=no pair",
        "resource-attributes==value",
        "resource-attributes=key=%ff",
        "traces-sampler=sometimes",
        "traces-sampler-arg=1.5",
        "traces-sampler-arg=NaN",
        "bsp-schedule-delay=0",
        "bsp-schedule-delay=5s",
        "bsp-max-queue-size=0",
        "bsp-max-queue-size=100001",
        "bsp-max-export-batch-size=many",
        "sdk-disabled=perhaps",
    ] {
        assert!(parse(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let args = parse(&["exporter-otlp-headers=authorization=Bearer%20s3cret, x-tenant=7"]).unwrap();
    assert!(args.problems().is_empty());
    let headers = args.headers();
    assert_eq!(headers["authorization"], "Bearer s3cret");
    assert_eq!(headers["x-tenant"], "7");
    assert!(!format!("{args:?} {headers:?}").contains("s3cret"));
    for wrong in ["s3cret", "a b=s3cret", "a=s3cret%0a"] {
        let problems = parse(&[&format!("exporter-otlp-headers={wrong}")]).unwrap().problems();
        assert_eq!(problems.len(), 1, "{wrong}");
        assert!(problems[0].starts_with("OTEL_EXPORTER_OTLP_HEADERS: "), "{problems:?}");
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
    }
}

#[test]
fn a_batch_fits_into_the_queue() {
    let args = parse(&["bsp-max-queue-size=512"]).unwrap();
    assert!(args.problems().is_empty());
    let problems = parse(&["bsp-max-queue-size=511"]).unwrap().problems();
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.starts_with("OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "), "{problem}");
}

#[test]
fn the_name_of_the_service_has_the_last_word() {
    let attributes = "resource-attributes=service.name=a,team=b%2Cc";
    let shown = |flags: &[&str]| {
        let attributes = parse(flags).unwrap().resource_attributes();
        attributes.iter().map(|KeyValue { key, value, .. }| format!("{key}={value}")).collect()
    };
    let given: Vec<String> = shown(&[attributes, "service-name=d"]);
    assert_eq!(given, ["service.name=a", "team=b,c", "service.name=d"]);
}

#[test]
fn samplers_have_their_standard_names() {
    for (name, expected) in [
        ("always_on", "AlwaysOn"),
        ("always_off", "AlwaysOff"),
        ("traceidratio", "TraceIdRatioBased(0.25)"),
        ("parentbased_always_on", "ParentBased(AlwaysOn)"),
        ("parentbased_always_off", "ParentBased(AlwaysOff)"),
        ("parentbased_traceidratio", "ParentBased(TraceIdRatioBased(0.25))"),
    ] {
        let sampler = format!("traces-sampler={name}");
        let args = parse(&[&sampler, "traces-sampler-arg=0.25"]).unwrap();
        assert_eq!(format!("{:?}", args.sampler()), expected);
    }
}
