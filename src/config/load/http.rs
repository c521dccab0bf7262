//! `[http]`: where a daemon is reached over HTTP, and by whom.
//!
//! Anyone who reaches the server and is let in can read all arguments and enqueue every task. So an address that other machines
//! reach needs a token, and a token must be too long to be found by trying.

use std::net::IpAddr;

use super::ConfigLoader;
use crate::config::element::listen::{self, ListenAddress};
use crate::config::error::Problem;
use crate::config::http::{HttpConfig, HttpToken, LoopbackMode, MAX_QUEUES, MetricsMode, Role, base_path};
use crate::config::reader::{Table, Value};
use crate::file::bounded;

/// The shortest token.
const LEAST: usize = 16;
/// The longest one: it must fit into a header.
const MOST: usize = 512;
/// How many tokens, addresses, hosts and proxies there may be. Each request is compared with all of them.
const MOST_OF_A_KIND: usize = 100;

/// What `max_queues` is at most: looks at more names than this take seconds.
const MOST_QUEUES: u64 = 1_000_000;

const TOKEN: &str = "WINDLASS_HTTP_TOKEN";
const FORMS: &str = "a text, { file = \"PATH\" } or { credential = \"NAME\" }";
const ROLES: &str = "\"read\", \"enqueue\", \"operate\" or \"admin\"";
const GOOD: &str = "expected a token of 16 to 512 visible ASCII characters; openssl rand -hex 32 makes one";

impl ConfigLoader<'_> {
    pub(super) fn http(&mut self, mut table: Table<'_>) -> Option<HttpConfig> {
        table.refuse("user_header", "is not built yet in this version; it comes with the audit");
        let listen_value = table.required("listen", "where to listen, such as \"127.0.0.1:7480\"");
        let listen = listen_value.as_ref().map(|value| self.addresses(value)).unwrap_or_default();
        let tokens = self.tokens(&mut table);
        if tokens.is_empty()
            && let Some(open) = listen.iter().find(|address| !address.is_local())
            && let Some(value) = &listen_value
        {
            value.report(format!(
                "other machines reach {open}, and without a token anyone who does may run every task: set token = {{ file = \
                 \"PATH\" }} or {TOKEN}, or listen on 127.0.0.1"
            ));
        }
        let loopback = table.take("loopback").and_then(|value| {
            value
                .one_of("\"open\" or \"token\"", &[("open", LoopbackMode::Open), ("token", LoopbackMode::Token)])
                .filter(|mode| {
                    let has_none = *mode == LoopbackMode::Token && tokens.is_empty();
                    if has_none {
                        value.report("expected a token beside it, because nobody may come in without one");
                    }
                    !has_none
                })
        });
        let allowed_hosts = strings(&mut table, "allowed_hosts", "a list of host names", |item| host(&item));
        let trusted_proxies = strings(&mut table, "trusted_proxies", "a list of addresses", |item| address(&item));
        let base = table.take("base").and_then(|value| base(&value)).unwrap_or_default();
        let read_only = table.take("read_only").and_then(|value| value.boolean()).unwrap_or(false);
        let metrics = table.take("metrics").and_then(|value| {
            value.one_of("\"token\" or \"open\"", &[("token", MetricsMode::Token), ("open", MetricsMode::Open)])
        });
        let max_queues = table.take("max_queues").and_then(|value| value.whole_number(0..=MOST_QUEUES));
        table.finish();
        (!listen.is_empty()).then(|| HttpConfig {
            listen,
            tokens,
            token_files: std::mem::take(&mut self.token_files),
            loopback: loopback.unwrap_or_default(),
            allowed_hosts,
            trusted_proxies,
            base,
            read_only,
            metrics: metrics.unwrap_or_default(),
            max_queues: max_queues.unwrap_or(MAX_QUEUES),
        })
    }

    /// One address, or a list.
    fn addresses(&self, value: &Value<'_>) -> Vec<ListenAddress> {
        let items = match value.raw().as_array() {
            Some(_) => value.list("a list of addresses").unwrap_or_default(),
            None => vec![value.clone()],
        };
        if items.is_empty() || items.len() > MOST_OF_A_KIND {
            value.report(format!("expected 1 to {MOST_OF_A_KIND} addresses (found {})", items.len()));
        }
        let mut found = Vec::new();
        for item in items {
            let Some(address) = listen::read(&item, &self.defaults.folder) else { continue };
            if found.contains(&address) {
                item.report(format!("expected each address once (found {address} twice)"));
            }
            found.push(address);
        }
        found
    }

    /// `token`, for which the environment may stand, and `[[http.tokens]]`.
    fn tokens(&mut self, table: &mut Table<'_>) -> Vec<HttpToken> {
        let mut tokens = Vec::new();
        if let Some(text) = table.take("token").and_then(|value| self.token(&value)) {
            tokens.push(HttpToken::new("token", Role::Admin, &text));
        }
        if let Some(text) = self.sources.var(TOKEN) {
            if !is_good(text.trim()) {
                self.outside.push(Problem::of_source(TOKEN, GOOD));
            }
            tokens = vec![HttpToken::new(TOKEN, Role::Admin, text.trim())];
        }
        let Some(value) = table.take("tokens") else { return tokens };
        let items = value.list("a list of tables: [[http.tokens]]").unwrap_or_default();
        if items.len() > MOST_OF_A_KIND {
            value.report(format!("expected at most {MOST_OF_A_KIND} tokens (found {})", items.len()));
        }
        for item in items {
            let Some(token) = self.named_token(&item) else { continue };
            if let Some(same) = tokens.iter().find(|known| known.name == token.name || known.is_same_text(&token)) {
                item.report(format!("expected another name and another text than those of the token {:?}", same.name));
            }
            tokens.push(token);
        }
        tokens
    }

    fn named_token(&mut self, item: &Value<'_>) -> Option<HttpToken> {
        let mut table = item.table("a table with name, role and token")?;
        let name = table.required("name", "who holds it").and_then(|value| {
            let name = value.string()?;
            if name.is_empty() || name.chars().any(char::is_control) || name.len() > 100 {
                value.expected("a name of 1 to 100 characters");
                return None;
            }
            Some(name)
        });
        let role = table
            .required("role", ROLES)
            .and_then(|value| value.one_of(ROLES, &Role::ALL.map(|role| (role.name(), role))));
        let text = table.required("token", FORMS).and_then(|value| self.token(&value));
        table.finish();
        Some(HttpToken::new(name?, role?, &text?))
    }

    /// The text of a token. No message quotes it.
    fn token(&mut self, value: &Value<'_>) -> Option<String> {
        let text = match value.raw().as_str() {
            Some(text) => {
                let warning = self.source.as_deref().and_then(bounded::exposed_secret);
                self.notes.extend(warning.map(|warning| format!("{}: {warning}", value.location_and_key())));
                text.to_owned()
            }
            None => {
                let found = self.secret_of_file(value, FORMS, "the token")?;
                self.token_files.push(found.path);
                found.text
            }
        };
        let text = text.trim();
        if !is_good(text) {
            value.report(GOOD);
            return None;
        }
        Some(text.to_owned())
    }
}

fn is_good(token: &str) -> bool {
    (LEAST..=MOST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn strings<T>(table: &mut Table<'_>, key: &str, what: &str, read: impl FnMut(Value<'_>) -> Option<T>) -> Vec<T> {
    let Some(value) = table.take(key) else { return Vec::new() };
    let items = value.list(what).unwrap_or_default();
    if items.len() > MOST_OF_A_KIND {
        value.report(format!("expected at most {MOST_OF_A_KIND} (found {})", items.len()));
    }
    items.into_iter().filter_map(read).collect()
}

/// A name as it stands in the header `Host`, without a port: that is not compared.
fn host(value: &Value<'_>) -> Option<String> {
    let name = value.string()?.trim().to_ascii_lowercase();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let is_address = |text: &str| {
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if name.is_empty() || !(name.chars().all(is_plain) || is_address(&name)) {
        value.expected("a host name without scheme and port, such as \"jobs.example.org\"");
        return None;
    }
    Some(name)
}

/// A path, without the slash at its end.
fn base(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    let found = base_path(text);
    if found.is_none() {
        value.expected("a path such as \"/\" or \"/jobs\", of letters, digits, slashes and -._~");
    }
    found
}

fn address(value: &Value<'_>) -> Option<IpAddr> {
    let found = value.string()?.trim().parse::<IpAddr>().ok();
    if found.is_none() {
        value.expected("the address of a proxy, such as \"10.0.0.7\"");
    }
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Loaded, Sources, load};

    const TEXT: &str = "0123456789abcdef";

    fn read_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        std::fs::write(&file, format!("[http]\n{text}\n")).unwrap();
        std::fs::write(dir.path().join("secret"), format!("{TEXT}-of-a-file\n")).unwrap();
        let mut sources = Sources::new(dir.path()).file(file);
        sources.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sources.env.insert("CREDENTIALS_DIRECTORY".to_owned(), dir.path().display().to_string());
        load(&sources).map_err(|problems| problems.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    fn read(text: &str) -> Result<HttpConfig, String> {
        read_with(text, &[]).map(|loaded| loaded.config.http.expect("it was given"))
    }

    #[test]
    fn the_least_is_an_address_of_this_machine() {
        let http = read("listen = \"127.0.0.1:7480\"").unwrap();
        assert_eq!(http.listen, [ListenAddress::Tcp("127.0.0.1:7480".parse().unwrap())]);
        assert!(http.tokens.is_empty() && http.allowed_hosts.is_empty() && !http.read_only);
        assert_eq!((http.loopback, http.metrics), (LoopbackMode::Open, MetricsMode::Token));
        let open = read("listen = \"127.0.0.1:7480\"\nmetrics = \"open\"").unwrap();
        assert_eq!(open.metrics, MetricsMode::Open);
    }

    #[test]
    fn tokens_come_from_texts_files_and_the_environment() {
        let named = "{ name = \"ci\", role = \"enqueue\", token = { credential = \"secret\" } }";
        let text = format!(
            "listen = [\"0.0.0.0:80\", \"unix:x.sock\"]\ntoken = \"{TEXT}\"\ntokens = [{named}]\nloopback = \"token\""
        );
        let http = read(&text).unwrap();
        let held: Vec<_> = http.tokens.iter().map(|token| (token.name.as_str(), token.role)).collect();
        assert_eq!(held, [("token", Role::Admin), ("ci", Role::Enqueue)]);
        assert!(http.tokens[0].is(TEXT) && http.tokens[1].is(&format!("{TEXT}-of-a-file")));
        assert_eq!(http.loopback, LoopbackMode::Token);
        let http = read("listen = \"0.0.0.0:80\"\ntoken = { file = \"secret\" }").unwrap();
        assert!(http.tokens[0].is(&format!("{TEXT}-of-a-file")), "without the line end");
        let env = format!("{TEXT}-of-the-environment");
        let http = read_with(&text, &[("WINDLASS_HTTP_TOKEN", &env)]).unwrap().config.http.unwrap();
        assert!(!http.tokens[0].is(TEXT) && http.tokens[0].is(&env) && http.tokens.len() == 2);
    }

    #[test]
    fn a_base_is_a_path() {
        let base = |text: &str| read(&format!("listen = \"127.0.0.1:80\"\nbase = \"{text}\"")).map(|http| http.base);
        for (text, told) in [("/", ""), ("/jobs", "/jobs"), ("/a/b-c/", "/a/b-c")] {
            assert_eq!(base(text).unwrap(), told, "{text}");
        }
        for bad in ["", "jobs", "//evil.example", "/a//b", "/a?b", "/a b", "/../x", "/.", "/%41"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        for open in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
            let told = read(&format!("listen = [\"127.0.0.1:80\", \"{open}\"]")).unwrap_err();
            assert!(told.starts_with(&format!("tasks.toml:2:10: http.listen: other machines reach {open}")), "{told}");
            assert!(read_with(&format!("listen = \"{open}\""), &[("WINDLASS_HTTP_TOKEN", TEXT)]).is_ok());
        }
    }

    #[test]
    fn hosts_and_proxies_are_names_and_addresses() {
        let http = read("listen = \"unix:x\"\nallowed_hosts = [\"Jobs.Example.org\", \"[::7]\"]\ntrusted_proxies = [\"::ffff:10.0.0.7\"]").unwrap();
        assert_eq!(http.allowed_hosts, ["jobs.example.org", "[::7]"]);
        assert_eq!(http.trusted_proxies, ["10.0.0.7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn each_mistake_is_told_with_its_place_and_no_token_is_quoted() {
        let one = "listen = \"127.0.0.1:80\"\n";
        for (text, told) in [
            ("", "tasks.toml:1:1: http.listen: expected where to listen, such as \"127.0.0.1:7480\" (missing)"),
            ("listen = []", "tasks.toml:2:10: http.listen: expected 1 to 100 addresses (found 0)"),
            (
                "listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
                "tasks.toml:2:27: http.listen: expected each address once (found 127.0.0.1:80 twice)",
            ),
            (
                &format!("{one}token = \"short\""),
                "tasks.toml:3:9: http.token: expected a token of 16 to 512 visible ASCII characters; openssl rand -hex 32 makes one",
            ),
            (
                &format!("{one}token = {{ file = \"none\" }}"),
                "tasks.toml:3:18: http.token.file: expected a readable file that holds the token (No such file or directory (os error 2))",
            ),
            (
                &format!("{one}tokens = [{{ name = \"a\", role = \"reed\", token = \"{TEXT}\" }}]"),
                "tasks.toml:3:32: http.tokens.role: expected \"read\", \"enqueue\", \"operate\" or \"admin\" (found \"reed\"); did you mean \"read\"?",
            ),
            (
                &format!("{one}token = \"{TEXT}\"\ntokens = [{{ name = \"a\", role = \"read\", token = \"{TEXT}\" }}]"),
                "tasks.toml:4:11: http.tokens: expected another name and another text than those of the token \"token\"",
            ),
            (
                &format!("{one}loopback = \"token\""),
                "tasks.toml:3:12: http.loopback: expected a token beside it, because nobody may come in without one",
            ),
            (
                &format!("{one}allowed_hosts = [\"https://a.example\"]"),
                "tasks.toml:3:18: http.allowed_hosts: expected a host name without scheme and port, such as \"jobs.example.org\" (found \"https://a.example\")",
            ),
            (
                &format!("{one}trusted_proxies = [\"10.0.0.0/8\"]"),
                "tasks.toml:3:20: http.trusted_proxies: expected the address of a proxy, such as \"10.0.0.7\" (found \"10.0.0.0/8\")",
            ),
            (
                &format!("{one}base = \"jobs\""),
                "tasks.toml:3:8: http.base: expected a path such as \"/\" or \"/jobs\", of letters, digits, slashes and -._~ (found \"jobs\")",
            ),
            (
                &format!("{one}metrics = \"opne\""),
                "tasks.toml:3:11: http.metrics: expected \"token\" or \"open\" (found \"opne\"); did you mean \"open\"?",
            ),
            (
                &format!("{one}max_queues = -1"),
                "tasks.toml:3:14: http.max_queues: expected a whole number from 0 to 1000000 (found -1)",
            ),
            (&format!("{one}port = 80"), "tasks.toml:3:1: http.port: unknown key"),
        ] {
            assert_eq!(read(text).map(drop).unwrap_err(), told, "{text}");
        }
        let told = read_with(one, &[("WINDLASS_HTTP_TOKEN", "short")]).unwrap_err();
        assert!(told.starts_with("WINDLASS_HTTP_TOKEN: expected a token of 16"), "{told}");
    }
}
