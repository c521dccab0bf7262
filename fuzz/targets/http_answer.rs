//! Answers of HTTP servers: a status, headers and, behind an empty line, a body.

use std::time::Duration;

use hyper::StatusCode;
use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use windlass::fuzzing::http_answer;
use windlass::task::handler_spec::RetryLater;

pub fn target(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Ok(status) = StatusCode::from_bytes(lines.next().unwrap_or_default().trim_ascii()) else { return };
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().map(<[u8]>::trim_ascii).take_while(|line| !line.is_empty()) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            // More headers than the connection takes do not come from it.
            let _ = headers.try_append(name, value);
        }
    }
    let body: Vec<u8> = lines.collect::<Vec<_>>().join(&b'\n');
    let later = RetryLater::default();
    let (wait, message, kept) = http_answer(status, &headers, &body, later, 1_795_490_778);
    if let Some(wait) = wait {
        assert!((Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&wait), "{wait:?}");
    }
    assert!(status.is_success() || message.len() < 1000 && (wait.is_some() || message.contains(status.as_str())));
    assert!(kept.len() <= 32 && !kept.iter().any(|line| line.contains('\n')));
}
