//! What pages load: styles and scripts, compiled in. Their names hold a hash of their bytes, so that browsers keep them for good
//! and no upgrade meets an old one.

use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use crate::http::problem::{Kind, Problem};

/// A file.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    hash: u64,
}

impl Asset {
    const fn new(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, kind, bytes, hash: hash(bytes) }
    }

    /// `/static/HASH/NAME`, below the base.
    pub(super) fn path(&self) -> String {
        format!("/static/{:016x}/{}", self.hash, self.name)
    }
}

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

const JS: &str = "text/javascript; charset=utf-8";
pub(super) static STYLE: Asset = Asset::new("style.css", "text/css; charset=utf-8", include_bytes!("static/style.css"));
pub(super) static SCRIPT: Asset = Asset::new("dashboard.js", JS, include_bytes!("static/dashboard.js"));
pub(super) static HTMX: Asset = Asset::new("htmx.js", JS, include_bytes!("static/vendor/htmx.min.js"));
pub(super) static SSE: Asset = Asset::new("hx-sse.js", JS, include_bytes!("static/vendor/hx-sse.min.js"));
pub(super) static ICON: Asset = Asset::new("icon.svg", "image/svg+xml", include_bytes!("static/icon.svg"));

/// All of them.
static ALL: [&Asset; 5] = [&STYLE, &SCRIPT, &HTMX, &SSE, &ICON];

/// `GET /static/{hash}/{name}`.
pub(super) async fn show(Path((hash, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let found = ALL.into_iter().find(|asset| asset.name == name && format!("{:016x}", asset.hash) == hash);
    let asset = found.ok_or_else(|| {
        Problem::new(Kind::UnknownRoute, "another version of this server had this file; load the page again")
    })?;
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    let kind = HeaderValue::from_static(asset.kind);
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use ring::digest::{SHA256, digest};

    use super::*;

    /// The files of others, as their authors published them: <https://www.npmjs.com/package/htmx.org/v/4.0.1>.
    const VENDORED: [(&str, &str); 2] = [
        ("htmx.js", "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"),
        ("hx-sse.js", "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103"),
    ];

    #[test]
    fn the_files_of_others_are_those_that_they_published() {
        for (name, expected) in VENDORED {
            let asset = ALL.into_iter().find(|asset| asset.name == name).expect("it is one of ours");
            let sum: String = digest(&SHA256, asset.bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, expected, "{name}");
        }
        let licence = include_str!("static/vendor/LICENSE");
        assert!(licence.starts_with("Zero-Clause BSD"));
    }

    #[test]
    fn all_of_it_together_is_small() {
        let sum: usize = ALL.iter().map(|asset| asset.bytes.len()).sum();
        assert!(sum < 96 * 1024, "{sum} bytes");
    }

    #[tokio::test]
    async fn a_file_has_one_address_and_stays_there() {
        let path = STYLE.path();
        let parts: Vec<String> = path.split('/').skip(2).map(str::to_owned).collect();
        let found = show(Path((parts[0].clone(), parts[1].clone()))).await.unwrap();
        assert!(found.headers()[CACHE_CONTROL].to_str().unwrap().ends_with("immutable"));
        assert!(show(Path(("0000000000000000".to_owned(), "style.css".to_owned()))).await.is_err());
    }
}
