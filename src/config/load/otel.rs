//! `[otel]`: where spans are sent, and which; with the standard variables of OpenTelemetry, which come before the file.
//!
//! Variables may be meant for all programs of a machine. So what one says that cannot be followed is told and left out, as
//! their specification asks for, while a mistake in the file is an error as everywhere.

use std::time::Duration;

use hyper::http::{HeaderName, HeaderValue, header};

use super::ConfigLoader;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::error::{Place, Problem};
use crate::config::model::SecretText;
use crate::config::otel::OtelConfig;
use crate::config::reader::{Table, Value};
use crate::job::trace::Sampler;
use crate::text::percent;

/// Where a collector of this machine listens.
const LOCAL: &str = "http://localhost:4318";
/// What takes spans, below the address of a collector.
const PATH: &str = "/v1/traces";
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many headers, and how many attributes there may be.
const MOST: usize = 100;
/// The longest list in a variable, in bytes.
const LONGEST_LIST: usize = 16 * 1024;
const FORMS: &str = "a text, { file = \"PATH\" }, { env = \"NAME\" } or { credential = \"NAME\" }";

/// Headers that belong to the request itself.
const OWN: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// What stands in the file.
#[derive(Default)]
struct Written {
    endpoint: Option<(String, Place)>,
    headers: Vec<(HeaderName, SecretText)>,
    service_name: Option<String>,
    ratio: Option<f64>,
    timeout: Option<Duration>,
    secret_variables: Vec<String>,
}

impl ConfigLoader<'_> {
    /// What is sent where; `None`: nothing is traced.
    pub(super) fn otel(&mut self, table: Option<Table<'_>>) -> Option<OtelConfig> {
        let is_there = table.is_some();
        let place = Place::of(Problem::of_source("otel", ""));
        let written = table.map(|table| self.written(table)).unwrap_or_default();
        let is_off = self.sources.var("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let (url, place) = match self.endpoint_of_environment() {
            Some(found) => found,
            None => match written.endpoint {
                Some((endpoint, place)) => (below(&endpoint), place),
                None => (below(LOCAL), place),
            },
        };
        if is_off || (!is_there && self.endpoint_of_environment().is_none()) {
            return None;
        }
        let mut headers = written.headers;
        for (name, text) in self.list(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]) {
            match (HeaderName::try_from(&name), HeaderValue::try_from(&text)) {
                (Ok(name), Ok(_)) if !OWN.contains(&name) => {
                    headers.retain(|(known, _)| *known != name);
                    headers.push((name, SecretText::new(&text)));
                }
                _ => self
                    .notes
                    .push(format!("OTEL_EXPORTER_OTLP_HEADERS: {name:?} is no header with a value; it is left out")),
            }
        }
        let mut attributes = self.list(&["OTEL_RESOURCE_ATTRIBUTES"]);
        let at = attributes.iter().position(|(key, _)| key == "service.name");
        let of_attributes = at.map(|at| attributes.remove(at).1);
        let of_variable = self.sources.var("OTEL_SERVICE_NAME").map(str::to_owned);
        let service_name = of_variable.or(of_attributes).or(written.service_name);
        Some(OtelConfig {
            url,
            headers,
            service_name: service_name.unwrap_or_else(|| "windlass".to_owned()),
            attributes,
            sampler: self.sampler(written.ratio),
            timeout: self.limit().or(written.timeout).unwrap_or(TIMEOUT),
            secret_variables: written.secret_variables,
            place,
        })
    }

    fn written(&mut self, mut table: Table<'_>) -> Written {
        let endpoint = table.take("endpoint").and_then(|value| {
            let text = value.string_or("the address of a collector, such as \"http://localhost:4318\"")?;
            literal::warn(&value, "write the address, or set OTEL_EXPORTER_OTLP_ENDPOINT");
            Some((text.to_owned(), Place::of(value.problem(""))))
        });
        let mut written = Written { endpoint, ..Written::default() };
        if let Some(value) = table.take("headers")
            && let Some(mut headers) = value.table("a table of headers")
        {
            for (name, value) in headers.all() {
                self.header(name, &value, &mut written);
            }
        }
        written.service_name = table.take("service_name").and_then(|value| {
            let text = value.string()?;
            if text.trim().is_empty() {
                value.expected("a name");
                return None;
            }
            Some(text.to_owned())
        });
        written.ratio = table.take("sample").and_then(|value| {
            let ratio = value.raw().as_float().map(|float| float.as_str().to_owned());
            let ratio = ratio.or_else(|| Some(value.raw().as_integer()?.as_str().to_owned()));
            let ratio = ratio.and_then(|text| share(&text));
            if ratio.is_none() {
                value.expected("a share from 0 to 1, such as 0.1");
            }
            ratio
        });
        let limit = table.take("timeout");
        written.timeout = limit.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_millis(1)));
        table.finish();
        written
    }

    fn header(&mut self, name: &str, value: &Value<'_>, written: &mut Written) {
        let Some(name) = HeaderName::try_from(name).ok().filter(|name| !OWN.contains(name)) else {
            return value.report("expected the name of a header that a collector may ask for");
        };
        if written.headers.len() == MOST {
            return value.report(format!("expected at most {MOST} headers"));
        }
        let is_of_variable =
            value.raw().as_table().is_some() && value.table(FORMS).is_some_and(|table| table.has("env"));
        let text = if let Some(text) = value.raw().as_str() {
            literal::warn(value, "a variable of the daemon is { env = \"NAME\" }, alone and without a dollar");
            text.to_owned()
        } else if is_of_variable {
            let Some(mut table) = value.table(FORMS) else { return };
            let variable = table.take("env").and_then(|value| Some((value.string()?, value)));
            table.finish();
            let Some((variable, value)) = variable else { return };
            written.secret_variables.push(variable.to_owned());
            match self.sources.var(variable) {
                Some(text) => text.to_owned(),
                None => return value.report("expected an environment variable that is set (it is not)"),
            }
        } else {
            match self.secret_of_file(value, FORMS, "the value of a header") {
                Some(found) => found.text,
                None => return,
            }
        };
        if text.is_empty() || HeaderValue::try_from(&text).is_err() {
            return value.report("expected the value of a header: one line of text that is not empty");
        }
        written.headers.push((name, SecretText::new(&text)));
    }

    /// The address that variables name, if this program can send there.
    fn endpoint_of_environment(&mut self) -> Option<(String, Place)> {
        let variables = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ];
        let (variable, text) = variables.iter().find_map(|(name, _)| Some((*name, self.sources.var(name)?)))?;
        let protocol = variables.iter().find_map(|(_, name)| Some((*name, self.sources.var(name)?)));
        let why = match protocol {
            Some((name, protocol)) if protocol != "http/protobuf" => Some(format!(
                "{variable}: is left out, because {name} is {protocol:?}, and spans are sent by \"http/protobuf\""
            )),
            _ if !text.starts_with("http://") && !text.starts_with("https://") => {
                Some(format!("{variable}: is left out: expected an address that begins with http:// or https://"))
            }
            _ => None,
        };
        match why {
            Some(why) => {
                if !self.notes.contains(&why) {
                    self.notes.push(why);
                }
                None
            }
            None => {
                let url = if variable.contains("TRACES") { text.to_owned() } else { below(text) };
                Some((url, Place::of(Problem::of_source(variable, ""))))
            }
        }
    }

    fn sampler(&mut self, ratio: Option<f64>) -> Sampler {
        let written = Sampler::of_ratio(ratio.unwrap_or(1.0));
        let Some(name) = self.sources.var("OTEL_TRACES_SAMPLER") else { return written };
        let argument = self.sources.var("OTEL_TRACES_SAMPLER_ARG");
        let ratio = match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            // Without an argument it is 1.
            "traceidratio" => argument.map_or(Some(1.0), share),
            _ => None,
        };
        let Some(ratio) = ratio else {
            self.notes.push(format!(
                "OTEL_TRACES_SAMPLER: is left out: expected always_on, always_off or traceidratio with a share from 0 to 1 in \
                 OTEL_TRACES_SAMPLER_ARG, perhaps with parentbased_ before it (found {name:?})"
            ));
            return written;
        };
        let mut sampler = Sampler::of_ratio(ratio);
        sampler.is_parent_based = name.starts_with("parentbased_");
        sampler
    }

    fn limit(&mut self) -> Option<Duration> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let (name, text) = names.iter().find_map(|name| Some((*name, self.sources.var(name)?)))?;
        let limit = text.parse().ok().filter(|ms| (1..=3_600_000).contains(ms)).map(Duration::from_millis);
        if limit.is_none() {
            self.notes.push(format!("{name}: is left out: expected milliseconds from 1 to 3600000 (found {text:?})"));
        }
        limit
    }

    /// The `key=value` pairs of the first variable that is set. What is none is left out; values may be secret.
    fn list(&mut self, names: &[&str]) -> Vec<(String, String)> {
        let Some((name, text)) = names.iter().find_map(|name| Some((*name, self.sources.var(name)?))) else {
            return Vec::new();
        };
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            let key = percent::decoded(key.trim()).filter(|key| !key.is_empty())?;
            Some((key, percent::decoded(value.trim())?))
        };
        let is_short = text.len() <= LONGEST_LIST;
        let pairs: Vec<_> = text
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .take(if is_short { MOST } else { 0 })
            .map(pair)
            .collect();
        if !is_short || pairs.iter().any(Option::is_none) {
            self.notes.push(format!(
                "{name}: expected key=value pairs with commas between them, of at most 16 KiB; others are left out"
            ));
        }
        pairs.into_iter().flatten().collect()
    }
}

/// The address for spans of a collector.
fn below(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") }
}

/// A share from 0 to 1.
fn share(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use crate::config::load::{Loaded, Sources, load};
    use crate::config::otel::OtelConfig;
    use crate::job::trace::Sampler;

    fn loaded(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::write(dir.path().join("key"), "of-a-file\n").unwrap();
        let mut sources = Sources::new("/").file(file);
        sources.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&sources).map_err(|problems| problems.to_string())
    }

    fn otel(text: &str, env: &[(&str, &str)]) -> Option<OtelConfig> {
        loaded(text, env).unwrap().config.otel
    }

    #[test]
    fn nothing_is_traced_unless_somebody_says_where_to() {
        assert_eq!(otel("", &[]), None);
        assert_eq!(otel("[otel]", &[("OTEL_SDK_DISABLED", "TRUE")]), None);
        let found = otel("[otel]", &[]).unwrap();
        assert_eq!((found.url.as_str(), found.service_name.as_str()), ("http://localhost:4318/v1/traces", "windlass"));
        assert_eq!(found.sampler, Sampler::default());
        let found = otel("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://o:4318/x/")]).unwrap();
        assert_eq!(found.url, "https://o:4318/x/v1/traces");
        let env =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b/spans")];
        assert_eq!(otel("[otel]\nendpoint = \"http://c\"", &env).unwrap().url, "http://b/spans");
    }

    #[test]
    fn the_file_says_all_and_variables_come_before_it() {
        let text = "[otel]\nendpoint = \"http://c:4318/v1/traces\"\nservice_name = \"jobs\"\nsample = 0.25\ntimeout = \"3s\"\n\
                    [otel.headers]\nauthorization = { file = \"key\" }\nx-env = { env = \"KEY\" }\nx-text = \"t\"";
        let found = otel(text, &[("KEY", "of-a-variable")]).unwrap();
        let headers: Vec<_> = found.headers.iter().map(|(name, text)| (name.as_str(), text.reveal())).collect();
        assert_eq!(headers, [("authorization", "of-a-file"), ("x-env", "of-a-variable"), ("x-text", "t")]);
        assert_eq!((found.url.as_str(), found.service_name.as_str()), ("http://c:4318/v1/traces", "jobs"));
        assert_eq!((found.sampler, found.timeout.as_millis()), (Sampler::of_ratio(0.25), 3000));
        assert_eq!(found.secret_variables, ["KEY"]);
        assert!(!format!("{found:?}").contains("of-a-"), "{found:?}");

        let env = [
            ("KEY", "k"),
            ("OTEL_SERVICE_NAME", "other"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,deployment.environment=a%20b"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-text=u,api-key=7"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ];
        let found = otel(text, &env).unwrap();
        assert_eq!((found.service_name.as_str(), found.timeout.as_millis()), ("other", 1500));
        assert_eq!(found.attributes, [("deployment.environment".to_owned(), "a b".to_owned())]);
        assert_eq!(found.sampler, Sampler::of_ratio(0.5));
        let headers: Vec<_> = found.headers.iter().map(|(name, text)| (name.as_str(), text.reveal())).collect();
        assert_eq!(headers[2..], [("x-text", "u"), ("api-key", "7")]);
        let stubborn = otel("[otel]", &[("OTEL_TRACES_SAMPLER", "always_off")]).unwrap().sampler;
        assert!(!stubborn.is_parent_based && stubborn.ratio == 0.0, "{stubborn:?}");
    }

    #[test]
    fn mistakes_of_the_file_are_errors_and_those_of_variables_are_told() {
        for (text, expected) in [
            ("endpoint = 7", "otel.endpoint: expected the address of a collector"),
            ("sample = 2", "otel.sample: expected a share from 0 to 1"),
            ("sample = \"1\"", "otel.sample: expected a share from 0 to 1"),
            ("service_name = \" \"", "otel.service_name: expected a name"),
            ("timeout = \"0s\"", "otel.timeout: expected"),
            ("headers = { \"a b\" = \"x\" }", "expected the name of a header"),
            ("headers = { host = \"x\" }", "expected the name of a header"),
            ("headers = { a = \"x\\ny\" }", "expected the value of a header"),
            ("headers = { a = { env = \"NOT_THERE\" } }", "expected an environment variable that is set"),
            ("headers = { a = { file = \"none\" } }", "expected a readable file"),
            ("endpiont = \"x\"", "did you mean \"endpoint\""),
        ] {
            let problems = loaded(&format!("[otel]\n{text}"), &[]).unwrap_err();
            assert!(problems.contains(expected) && problems.contains("tasks.toml:"), "{text}: {problems}");
        }
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc.example:4317"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "host=x"),
        ] {
            let loaded = loaded("[otel]", &[(name, value)]).unwrap();
            assert!(loaded.notes.iter().any(|note| note.starts_with(name)), "{name}: {:?}", loaded.notes);
            assert_eq!(loaded.config.otel.unwrap().sampler, Sampler::default());
        }
        let grpc = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://o:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let loaded = loaded("", &grpc).unwrap();
        assert_eq!(loaded.config.otel, None, "nobody there would understand us");
        assert!(loaded.notes.iter().any(|note| note.contains("http/protobuf")), "{:?}", loaded.notes);
    }
}
