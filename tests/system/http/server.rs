//! A server of the test's own: it notes every request, and answers as the test says.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The request line.
    pub(crate) line: String,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The job in the body.
    pub(crate) fn job(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body must be JSON")
    }
}

/// What is sent back.
pub(crate) struct Answer {
    pub(crate) bytes: String,
    /// Hang up without a word of it.
    pub(crate) close: bool,
}

/// An answer with a body, on a connection that stays.
pub(crate) fn answer(head: &str, body: &str) -> Answer {
    let bytes = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Answer { bytes, close: false }
}

/// Everything that came so far.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Request>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A server, until the test's process ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) seen: Seen,
}

impl Server {
    /// Answers by this function, which gets each request and how many came before it.
    pub(crate) fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(None, answer)
    }

    pub(crate) fn encrypted(tls: Tls, answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(Some(tls.0), answer)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/jobs", self.port)
    }

    fn listen(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port must be free");
        let port = listener.local_addr().expect("a listener must have an address").port();
        let server = Self { port, seen: Seen::default() };
        let (seen, answer) = (server.seen.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer, tls) = (seen.clone(), Arc::clone(&answer), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &seen, &*answer),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).expect("the configuration must be right");
                        serve(StreamOwned::new(connection, stream), &seen, &*answer)
                    }
                });
            }
        });
        server
    }
}

/// One connection, until either side has enough of it.
fn serve(wire: impl Read + Write, seen: &Seen, answer: &dyn Fn(&Request, usize) -> Answer) -> Option<()> {
    let mut wire = BufReader::new(wire);
    loop {
        let request = read(&mut wire)?;
        let before = {
            let mut seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(request.clone());
            seen.len() - 1
        };
        let Answer { bytes, close } = answer(&request, before);
        wire.get_mut().write_all(bytes.as_bytes()).ok()?;
        wire.get_mut().flush().ok()?;
        if close {
            return None;
        }
    }
}

fn read(wire: &mut BufReader<impl Read>) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        (wire.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let mut request = Request { line: line()?, headers: Vec::new(), body: Vec::new() };
    while let Some((name, value)) = line()?.split_once(": ") {
        request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = request.headers.iter().find(|(name, _)| name == "content-length");
    request.body.resize(length.map_or(0, |(_, length)| length.parse().expect("a length must be a number")), 0);
    wire.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// What a server needs to speak TLS.
pub(crate) struct Tls(Arc<ServerConfig>);

/// A certificate for `localhost`, and the PEM of the authority that signed it.
pub(crate) fn certified() -> (Tls, String) {
    let authority_key = KeyPair::generate().expect("a key must be made");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).expect("it must be signed").pem();
    let key = KeyPair::generate().expect("a key must be made");
    let issuer = Issuer::new(authority, authority_key);
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("the name must be one");
    let certificate = params.signed_by(&key, &issuer).expect("it must be signed");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it must be a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there must be versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("key and certificate must fit");
    (Tls(Arc::new(config)), pem)
}
