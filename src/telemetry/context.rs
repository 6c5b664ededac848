use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde_json::{Map, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Where a request's trace comes from (W3C Trace Context, level 1), as the client says.
///
/// It steers which trace our spans join, and nothing else.
pub struct RemoteContext(opentelemetry::Context);

impl RemoteContext {
    /// From the headers `traceparent` and `tracestate`.
    #[must_use]
    pub fn of_headers(headers: &http::HeaderMap) -> Option<Self> {
        Self::extract(&Headers(headers))
    }

    /// From the keys of the same names in a request's `_meta` (MCP, Trace Context in `_meta`).
    #[must_use]
    pub fn of_meta(meta: &Map<String, Value>) -> Option<Self> {
        Self::extract(&Meta(meta))
    }

    fn extract(carrier: &dyn Extractor) -> Option<Self> {
        // From nothing, for otherwise where there is none the span that is just open would be taken for the client's.
        let context = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), carrier);
        let is_valid = context.span().span_context().is_valid();
        is_valid.then_some(Self(context))
    }

    /// Makes it the span's parent.
    pub fn adopt(self, span: &Span) {
        // It fails where spans are not collected, or this one is not: then nobody asks for its parent.
        drop(span.set_parent(self.0));
    }
}

/// The span of an HTTP request, among its extensions: who works on it elsewhere than in its own task enters it.
#[derive(Clone)]
pub struct RequestSpan(pub Span);

struct Headers<'a>(&'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct Meta<'a>(&'a Map<String, Value>);

impl Extractor for Meta<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn trace_of(traceparent: Value) -> Option<String> {
        let meta = Map::from_iter([("traceparent".to_owned(), traceparent)]);
        RemoteContext::of_meta(&meta).map(|context| context.0.span().span_context().trace_id().to_string())
    }

    #[test]
    fn a_context_is_taken_from_headers_and_from_meta() {
        assert_eq!(trace_of(PARENT.into()).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let headers =
            http::HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), PARENT.parse().unwrap())]);
        assert!(RemoteContext::of_headers(&headers).is_some());
    }

    #[test]
    fn what_is_no_context_is_passed_over() {
        for wrong in [
            Value::Null,
            7.into(),
            "".into(),
            "rubbish".into(),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01".into(),
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            "00-0af7651916cd43dd8448eb211c80319c".into(),
        ] {
            assert_eq!(trace_of(wrong.clone()), None, "{wrong}");
        }
    }
}
