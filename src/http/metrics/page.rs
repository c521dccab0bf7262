//! One page of metrics: what was measured, and how it is written.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::registry::Registry;

use super::families::{ALL, Family, Kind, Place};
use crate::text::clean;

/// The two ways in which a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// What every version of Prometheus reads.
    Classic,
    /// The standard that grew out of it.
    OpenMetrics,
}

impl Format {
    /// The format that a client likes best; without a word of its own, the classic one.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let (mut open, mut classic) = (0.0_f64, 0.0_f64);
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for one in accepted.flat_map(|value| value.split(',')) {
            let mut parts = one.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
            match kind.as_str() {
                "application/openmetrics-text" => open = open.max(quality),
                "text/plain" => classic = classic.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    /// Its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Classic => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What was measured of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// How many values there were up to each bound and above the one before, the last bound being infinite; and their sum.
    Histogram { sum: f64, buckets: Vec<(f64, u64)> },
}

/// What was measured, by series.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<Place, Vec<(Vec<String>, Value)>>);

impl Page {
    /// Adds a measurement. `labels` are in the order of the family. Names in them come from others, and the writer escapes only what
    /// would end a label.
    pub(super) fn add(&mut self, family: &Family, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        let labels = labels.iter().map(|label| clean::label(label).into_owned()).collect();
        self.0.entry(family.place).or_default().push((labels, value));
    }

    /// Adds a whole number.
    pub(super) fn count(&mut self, family: &Family, labels: &[&str], count: u64) {
        self.add(family, labels, Value::Count(count));
    }

    /// Adds 1 or 0.
    pub(super) fn flag(&mut self, family: &Family, labels: &[&str], is_so: bool) {
        self.count(family, labels, u64::from(is_so));
    }

    /// Adds any number.
    pub(super) fn number(&mut self, family: &Family, labels: &[&str], number: f64) {
        self.add(family, labels, Value::Number(number));
    }

    /// Its text.
    pub(super) fn write(self, format: Format) -> Result<String, fmt::Error> {
        let (mut registry, mut page) = (Registry::default(), String::new());
        registry.register_collector(Box::new(self));
        match format {
            Format::Classic => prometheus_text::encode(&mut page, &registry)?,
            Format::OpenMetrics => text::encode(&mut page, &registry)?,
        }
        // The standard has one word for it, and not this one. Nothing but a value stands before the end of a line.
        Ok(page.replace(" inf\n", " +Inf\n"))
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in ALL {
            let Some(measured) = self.0.get(&family.place) else { continue };
            // The writer adds the suffix.
            let name = match family.kind {
                Kind::Counter => family.name.trim_end_matches("_total"),
                Kind::Gauge | Kind::Histogram => family.name,
            };
            let mut family_encoder = encoder.encode_descriptor(name, family.help, None, family.kind.into())?;
            for (labels, value) in measured {
                let labels: Vec<(&str, &str)> =
                    family.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
                encode(family_encoder.encode_family(&labels)?, family.kind, value)?;
            }
        }
        Ok(())
    }
}

fn encode(mut encoder: MetricEncoder<'_>, kind: Kind, value: &Value) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
        (Kind::Counter, Value::Number(number)) => encoder.encode_counter::<NoLabelSet, _, f64>(number, None),
        (_, Value::Count(count)) => encoder.encode_gauge(count),
        (_, Value::Number(number)) => encoder.encode_gauge(number),
        (_, Value::Histogram { sum, buckets }) => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::families::{JOB_DURATION, JOBS, LEASE_REMAINING};
    use super::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.count(&JOBS, &["a \"b\"\n\\c", "q", "done"], 7);
        page.number(&LEASE_REMAINING, &[], 1.5);
        let buckets = vec![(0.005, 2), (1.0, 1), (f64::INFINITY, 1)];
        page.add(&JOB_DURATION, &["t"], Value::Histogram { sum: 3.25, buckets });
        page
    }

    #[test]
    fn a_page_is_written_in_both_formats() {
        let classic = page().write(Format::Classic).unwrap();
        let expected = "\
# HELP windlass_jobs_total Claims of jobs that ended here, by what became of the job
# TYPE windlass_jobs_total counter
windlass_jobs_total{task=\"a \\\"b\\\"\\n\\\\c\",queue=\"q\",outcome=\"done\"} 7
# HELP windlass_job_duration_seconds How long runs took, whatever their outcome
# TYPE windlass_job_duration_seconds histogram
windlass_job_duration_seconds_bucket{task=\"t\",le=\"0.005\"} 2
windlass_job_duration_seconds_bucket{task=\"t\",le=\"1\"} 3
windlass_job_duration_seconds_bucket{task=\"t\",le=\"+Inf\"} 4
windlass_job_duration_seconds_sum{task=\"t\"} 3.25
windlass_job_duration_seconds_count{task=\"t\"} 4
# HELP windlass_lease_remaining_seconds How long the lease of this instance lasts without another extension
# TYPE windlass_lease_remaining_seconds gauge
windlass_lease_remaining_seconds 1.5
";
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&classic), sorted(expected));
        let open = page().write(Format::OpenMetrics).unwrap();
        for format in [Format::Classic, Format::OpenMetrics] {
            let mut endless = Page::default();
            endless.number(&LEASE_REMAINING, &[], f64::INFINITY);
            let written = endless.write(format).unwrap();
            assert!(written.contains("windlass_lease_remaining_seconds +Inf\n"), "{written}");
        }
        assert!(open.contains("# TYPE windlass_jobs counter\nwindlass_jobs_total{"), "{open}");
        assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"), "{open}");
        assert!(open.contains("windlass_job_duration_seconds_bucket{le=\"+Inf\",task=\"t\"} 4\n"), "{open}");
    }

    #[test]
    fn names_of_strangers_reach_no_terminal_raw_and_stay_different() {
        let mut page = Page::default();
        for (count, name) in ["a\u{1b}[31m\u{7}", "a\\u001b[31m\\u0007", "b", "b\u{200b}"].into_iter().enumerate() {
            page.count(&JOBS, &[name, "q", "done"], count as u64);
        }
        let written = page.write(Format::Classic).unwrap();
        assert!(written.contains(r#"task="a\\u001b[31m\\u0007",queue="q",outcome="done"} 0"#), "{written}");
        assert!(written.contains(r#"task="a\\\\u001b[31m\\\\u0007",queue="q",outcome="done"} 1"#), "{written}");
        assert!(written.contains(r#"task="b\\u200b",queue="q",outcome="done"} 3"#), "{written}");
    }

    #[test]
    fn a_client_gets_the_format_that_it_likes_best() {
        let wanted = |accept: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            Format::wanted(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for open in
            [&[prometheus][..], &["application/OpenMetrics-text"], &["text/html", "application/openmetrics-text"]]
        {
            assert_eq!(wanted(open), Format::OpenMetrics, "{open:?}");
        }
        let rather = "application/openmetrics-text;q=0.2, text/plain;q=0.9";
        for classic in [&[][..], &["*/*"], &["text/plain"], &[rather], &["application/openmetrics-text;q=0"]] {
            assert_eq!(wanted(classic), Format::Classic, "{classic:?}");
        }
    }
}
