//! The settings of traces. Their names and their meaning are those of OpenTelemetry.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Uri};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{BatchConfig, BatchConfigBuilder, Sampler};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::names;
use crate::bus::direct::DirectUrl;

/// Where a collector takes traces, below its address.
const TRACES_PATH: &str = "/v1/traces";

/// Where traces go, and which.
#[derive(Args, Clone, Debug)]
pub struct TracesArgs {
    /// Collector of OpenTelemetry that traces are sent to: http://HOST:PORT[/PATH], OTLP over HTTP, to
    /// /v1/traces below it. Without it there are no traces
    #[arg(long, env, value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<OtlpUrl>,

    /// The same for traces alone; the path is used as it is
    #[arg(long, env, value_name = "URL")]
    pub otel_exporter_otlp_traces_endpoint: Option<OtlpUrl>,

    /// Headers for the collector: NAME=VALUE, separated by commas, values percent-encoded
    #[arg(long, env, value_name = "HEADERS", hide_env_values = true)]
    pub otel_exporter_otlp_headers: Option<SecretString>,

    /// How long a batch of spans may take to be sent, in milliseconds, from 1
    #[arg(long, env, default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub otel_exporter_otlp_timeout: u32,

    /// How spans are encoded; there is no other way
    #[arg(long, env, value_enum, default_value_t = OtlpProtocol::HttpProtobuf, value_name = "PROTOCOL")]
    pub otel_exporter_otlp_protocol: OtlpProtocol,

    /// `service.name` of all spans [default: user_service and auth_service]
    #[arg(long, env, value_name = "NAME")]
    pub otel_service_name: Option<String>,

    /// What all spans have in common: KEY=VALUE, separated by commas, values percent-encoded, such as
    /// deployment.environment.name=staging
    #[arg(long, env, value_name = "ATTRIBUTES")]
    pub otel_resource_attributes: Option<Pairs>,

    /// Which requests are recorded. parentbased: as the request's traceparent says, if it has one
    #[arg(long, env, value_enum, default_value_t = TracesSampler::ParentBasedAlwaysOn,
          value_name = "SAMPLER")]
    pub otel_traces_sampler: TracesSampler,

    /// The part of all requests that a sampler with traceidratio records, from 0 to 1
    #[arg(long, env, default_value_t = 1.0, value_name = "RATIO", value_parser = parse_ratio)]
    pub otel_traces_sampler_arg: f64,

    /// How long spans wait for others before they are sent, in milliseconds, from 1
    #[arg(long, env, default_value_t = 5_000, value_name = "MS",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub otel_bsp_schedule_delay: u32,

    /// The most spans that wait to be sent, from 1 to 100000: more are dropped
    #[arg(long, env, default_value_t = 2_048, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub otel_bsp_max_queue_size: u32,

    /// The most spans that are sent at once, from 1 to OTEL_BSP_MAX_QUEUE_SIZE
    #[arg(long, env, default_value_t = 512, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub otel_bsp_max_export_batch_size: u32,

    /// true: no traces, whatever the other settings say
    #[arg(long, env, action = ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub otel_sdk_disabled: bool,
}

/// How spans are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[value(name = "http/protobuf")]
    HttpProtobuf,
}

/// Which requests are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TracesSampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A part of all.
    #[value(name = "traceidratio")]
    TraceIdRatio,
    /// As the caller says, or else all.
    #[value(name = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// As the caller says, or else none.
    #[value(name = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As the caller says, or else a part.
    #[value(name = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// The address of a collector: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpUrl {
    pub(super) host: DirectUrl,
    /// Without a slash at its end.
    pub(super) path: String,
}

/// `KEY=VALUE` pairs, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl TracesArgs {
    /// What is wrong beside single values: one line each.
    pub fn problems(&self) -> Vec<String> {
        let headers = self.try_headers().err();
        let headers = headers.map(|reason| format!("OTEL_EXPORTER_OTLP_HEADERS: {reason}"));
        let is_batch_too_large = self.otel_bsp_max_export_batch_size > self.otel_bsp_max_queue_size;
        let batch = is_batch_too_large.then(|| {
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: must not be above OTEL_BSP_MAX_QUEUE_SIZE".to_owned()
        });
        headers.into_iter().chain(batch).collect()
    }

    /// Where spans go, if they go anywhere.
    pub(super) fn collector(&self) -> Option<OtlpUrl> {
        if self.otel_sdk_disabled {
            return None;
        }
        let below = |base: &OtlpUrl| {
            let path = format!("{}{TRACES_PATH}", base.path);
            OtlpUrl { path, ..base.clone() }
        };
        let exact = |url: &OtlpUrl| {
            let path = if url.path.is_empty() { "/" } else { &url.path };
            OtlpUrl { path: path.to_owned(), ..url.clone() }
        };
        let own = self.otel_exporter_otlp_traces_endpoint.as_ref().map(exact);
        own.or_else(|| self.otel_exporter_otlp_endpoint.as_ref().map(below))
    }

    /// How spans are gathered before they are sent.
    pub(super) fn batches(&self) -> BatchConfig {
        BatchConfigBuilder::default()
            .with_scheduled_delay(Duration::from_millis(self.otel_bsp_schedule_delay.into()))
            .with_max_queue_size(self.otel_bsp_max_queue_size as usize)
            .with_max_export_batch_size(self.otel_bsp_max_export_batch_size as usize)
            .build()
    }

    pub(super) fn limit(&self) -> Duration {
        Duration::from_millis(self.otel_exporter_otlp_timeout.into())
    }

    /// Wrong ones are told by [`Self::problems`].
    pub(super) fn headers(&self) -> HeaderMap {
        self.try_headers().unwrap_or_default()
    }

    /// The reason names no value: it may be a secret.
    fn try_headers(&self) -> Result<HeaderMap, &'static str> {
        let Some(text) = &self.otel_exporter_otlp_headers else { return Ok(HeaderMap::new()) };
        let Pairs(pairs) = text.expose_secret().parse()?;
        let header = |(name, value): (String, String)| {
            let name = HeaderName::from_str(&name).map_err(|_| "not the name of a header")?;
            let value = HeaderValue::from_str(&value);
            let mut value = value.map_err(|_| "not the value of a header")?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        pairs.into_iter().map(header).collect()
    }

    pub(super) fn sampler(&self) -> Sampler {
        let ratio = Sampler::TraceIdRatioBased(self.otel_traces_sampler_arg);
        match self.otel_traces_sampler {
            TracesSampler::AlwaysOn => Sampler::AlwaysOn,
            TracesSampler::AlwaysOff => Sampler::AlwaysOff,
            TracesSampler::TraceIdRatio => ratio,
            TracesSampler::ParentBasedAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            TracesSampler::ParentBasedAlwaysOff => {
                Sampler::ParentBased(Box::new(Sampler::AlwaysOff))
            }
            TracesSampler::ParentBasedTraceIdRatio => Sampler::ParentBased(Box::new(ratio)),
        }
    }

    /// The later ones count.
    pub(super) fn resource_attributes(&self) -> Vec<KeyValue> {
        let given = self.otel_resource_attributes.iter().flat_map(|Pairs(pairs)| pairs);
        let given = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let name = self.otel_service_name.iter();
        let name = name.map(|name| KeyValue::new(names::SERVICE_NAME, name.clone()));
        given.chain(name).collect()
    }
}

impl fmt::Display for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.path)
    }
}

impl FromStr for OtlpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be http://HOST:PORT/PATH, without a user and a query".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = format!("{scheme}://{authority}").parse::<DirectUrl>();
        let host = host.map_err(|error| error.to_string())?;
        Ok(Self { host, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl FromStr for Pairs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be KEY=VALUE, separated by commas, with percent-encoded values";
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').ok_or(WRONG)?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| WRONG)?;
            let key = key.trim();
            if key.is_empty() { Err(WRONG) } else { Ok((key.to_owned(), value.into_owned())) }
        };
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_ratio(text: &str) -> Result<f64, &'static str> {
    let ratio: Option<f64> = text.parse().ok();
    ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or("must be a number from 0 to 1")
}

#[cfg(test)]
mod tests;
