//! Browsers as guests: what a page of another site has a browser of this machine, or of somebody who may call, do.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

use super::problem::Problem;

/// A page of another site does not open a socket unless that was said.
pub(super) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let is_allowed = |one: &String| one == "*" || one.eq_ignore_ascii_case(origin);
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
    let site: Option<Uri> = origin.parse().ok();
    let is_own = site
        .as_ref()
        .and_then(|site| site.authority())
        .is_some_and(|site| asked.is_some_and(|asked| site.as_str().eq_ignore_ascii_case(asked)));
    if is_own || allowed.iter().any(is_allowed) {
        return Ok(());
    }
    Err(Problem::foreign_origin(origin))
}

/// A server for this machine alone is asked by one of the machine's own names. A page can have its own site's name lead to any address,
/// and is then for the browser of the same site as the server: what tells them apart is the name.
pub(super) fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    for host in uri.authority().map(|authority| authority.as_str()).into_iter().chain(said) {
        if !is_own(host) {
            return Err(Problem::foreign_host(host));
        }
    }
    Ok(())
}

/// Whether it can be nobody's on the internet: an address, a name without a dot, or one below `localhost`.
fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.')
        || last.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_else_may_have_are_not_own() {
        for own in [
            "localhost",
            "localhost:80",
            "LOCALHOST:8080",
            "a.localhost:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "10.0.0.7:80",
            "box",
            "box:80",
            "",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "box.",
            "127.0.0.1.",
            "evil.example:80x",
            "a.b:",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
