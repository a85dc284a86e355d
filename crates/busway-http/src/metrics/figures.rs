//! What this interface counts of itself. The counts belong to one server, so that several buses
//! in one process do not mix theirs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use busway_core::admin::{PublishOutcome, PublishResult};

use super::text::{head, sample};
use crate::routes::Route;

/// The statuses this interface answers with; any other is counted as `other`.
const STATUSES: [(u16, &str); 18] = [
    (200, "200"),
    (202, "202"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (415, "415"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (0, "other"),
];

/// Upper bounds of durations in microseconds, with their text in seconds: those that
/// OpenTelemetry's conventions name for `http.server.request.duration`.
const BOUNDS: [(u64, &str); 14] = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (75_000, "0.075"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (750_000, "0.75"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (7_500_000, "7.5"),
    (10_000_000, "10"),
];

const ROUTES: usize = Route::ALL.len();

/// Counts of requests and messages.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    routes: [PerRoute; ROUTES],
    stored: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
}

#[derive(Debug, Default)]
struct PerRoute {
    statuses: [AtomicU64; STATUSES.len()],
    /// Requests by duration; the last is that of all longer ones.
    durations: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Figures {
    /// Counts an answered request.
    pub(crate) fn count(&self, route: Route, status: StatusCode, time: Duration) {
        let figures = &self.routes[route as usize];
        let status = status.as_u16();
        let index = STATUSES.iter().position(|(code, _)| *code == status).unwrap_or(STATUSES.len() - 1);
        figures.statuses[index].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS.partition_point(|(bound, _)| *bound < micros);
        figures.durations[index].fetch_add(1, Ordering::Relaxed);
        figures.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts what became of messages.
    pub(crate) fn published(&self, results: &[PublishResult]) {
        for result in results {
            let counter = match result.outcome {
                PublishOutcome::Stored => &self.stored,
                PublishOutcome::Failed => &self.failed,
                PublishOutcome::Unknown => &self.unknown,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds all of them to `out`.
    pub(super) fn render(&self, out: &mut String, held: usize) {
        self.render_requests(out);
        self.render_durations(out);
        let name = "busway_http_messages_total";
        head(out, name, "counter", "Messages that came in over HTTP, by what became of them.");
        for (outcome, count) in
            [("stored", &self.stored), ("failed", &self.failed), ("unknown", &self.unknown)]
        {
            sample(out, name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
        let name = "busway_http_held_bytes";
        head(out, name, "gauge", "Bytes of bodies and results held for requests in hand.");
        sample(out, name, &[], held);
    }

    fn render_requests(&self, out: &mut String) {
        let name = "busway_http_requests_total";
        head(out, name, "counter", "Requests answered.");
        for route in Route::ALL {
            for (counter, (_, status)) in self.routes[route as usize].statuses.iter().zip(STATUSES) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    sample(out, name, &[("route", route.pattern()), ("status", status)], count);
                }
            }
        }
    }

    fn render_durations(&self, out: &mut String) {
        let name = "http_server_request_duration_seconds";
        head(out, name, "histogram", "Time from a request's head to its answer.");
        for route in Route::ALL {
            let figures = &self.routes[route as usize];
            let pattern = route.pattern();
            let counts: Vec<u64> = figures.durations.iter().map(|c| c.load(Ordering::Relaxed)).collect();
            let all: u64 = counts.iter().sum();
            if all == 0 {
                continue;
            }
            let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
            let mut sum = 0;
            for (bound, count) in bounds.zip(&counts) {
                sum += count;
                let labels = [("http_route", pattern), ("le", bound)];
                sample(out, "http_server_request_duration_seconds_bucket", &labels, sum);
            }
            let seconds = Duration::from_micros(figures.micros.load(Ordering::Relaxed)).as_secs_f64();
            let labels = [("http_route", pattern)];
            sample(out, "http_server_request_duration_seconds_sum", &labels, seconds);
            sample(out, "http_server_request_duration_seconds_count", &labels, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_status_and_time() {
        let figures = Figures::default();
        figures.count(Route::Publish, StatusCode::ACCEPTED, Duration::from_millis(5));
        figures.count(Route::Publish, StatusCode::ACCEPTED, Duration::from_secs(60));
        figures.count(Route::Livez, StatusCode::IM_A_TEAPOT, Duration::ZERO);
        let mut out = String::new();
        figures.render(&mut out, 7);
        for line in [
            r#"busway_http_requests_total{route="/v1/messages",status="202"} 2"#,
            r#"busway_http_requests_total{route="/livez",status="other"} 1"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/v1/messages",le="0.005"} 1"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/v1/messages",le="10"} 1"#,
            r#"http_server_request_duration_seconds_bucket{http_route="/v1/messages",le="+Inf"} 2"#,
            r#"http_server_request_duration_seconds_sum{http_route="/v1/messages"} 60.005"#,
            r#"http_server_request_duration_seconds_count{http_route="/v1/messages"} 2"#,
            "busway_http_held_bytes 7",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} is not in\n{out}");
        }
    }
}
