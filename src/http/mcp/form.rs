use headers_accept::Accept;
use http::HeaderMap;
use http::header::ACCEPT;
use mediatype::MediaType;
use mediatype::names::{APPLICATION, JSON};

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Events,
}

/// The form that the client prefers of those that it takes; `None` if it takes neither.
pub(super) fn form(headers: &HeaderMap) -> Option<Form> {
    let available = [
        MediaType::new(APPLICATION, JSON),
        MediaType::new(mediatype::names::TEXT, mediatype::Name::new_unchecked("event-stream")),
    ];
    let values: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() {
        // RFC 9110, section 12.5.1: whoever says nothing takes anything.
        return Some(Form::Json);
    }
    let accept = values.join(", ").parse::<Accept>().ok()?;
    let chosen = accept.negotiate(&available)?;
    Some(if *chosen == available[0] { Form::Json } else { Form::Events })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &[&str]) -> Option<Form> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        form(&headers)
    }

    #[test]
    fn the_client_chooses_the_form() {
        for json in [
            &[][..],
            &["*/*"],
            &["application/json"],
            &["application/json, text/event-stream"],
            &["application/json", "text/event-stream"],
            &["application/*, text/event-stream;q=0.5"],
        ] {
            assert_eq!(of(json), Some(Form::Json), "{json:?}");
        }
        for events in [
            &["text/event-stream"][..],
            &["text/event-stream, application/json"],
            &["application/json;q=0.5, text/event-stream"],
            &["application/json;q=0, */*"],
            &["text/*"],
        ] {
            assert_eq!(of(events), Some(Form::Events), "{events:?}");
        }
        for neither in [&["text/html"][..], &["application/json;q=0"], &[""]] {
            assert_eq!(of(neither), None, "{neither:?}");
        }
    }
}
