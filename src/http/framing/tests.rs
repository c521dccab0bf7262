use proptest::prelude::*;

use super::*;

const HEAD: &str = "POST / HTTP/1.1\r\nhost: x\r\n";

fn judged(text: &str) -> Result<(), (String, &'static str)> {
    let whole = Framing::default().follow(text.as_bytes());
    // Byte by byte it is the same.
    let (mut framing, mut apart) = (Framing::default(), Ok(()));
    for (at, byte) in text.bytes().enumerate() {
        apart = framing.follow(&[byte]).map_err(|error| (at, error.why, error.is_begun));
        if apart.is_err() {
            break;
        }
    }
    assert_eq!(whole.map_err(|error| (error.why, error.is_begun)), apart.map_err(|(_, why, begun)| (why, begun)));
    whole.map_err(|error| (text[..error.good].to_owned(), error.why))
}

#[test]
fn requests_that_are_read_in_one_way_pass_one_behind_another() {
    let all = [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("\r\n{HEAD}Content-Length: 5\r\n\r\nGET \n"),
        format!("{HEAD}content-length:0\r\n\r\n"),
        format!(
            "{HEAD}Transfer-Encoding: \t Chunked \r\n\r\n3;a=b\r\nx\n\r\r\n00a;x;y=\"a\\\"\t;\u{e9}\"\r\n0123456789\r\n0\r\nx-sum: y\r\n\r\n"
        ),
        format!("{HEAD}x: \r\ny: a:b\r\n\r\n"),
    ];
    for one in &all {
        assert_eq!(judged(&format!("{one}{one}GET / HTTP/1.1\r\n\r\n")), Ok(()), "{one}");
    }
    assert_eq!(judged(&all.concat()), Ok(()));
}

#[test]
fn what_may_be_read_in_two_ways_is_refused_before_its_head_is_complete() {
    let long = format!("transfer-encoding: chunked\r\n\r\n1;{}\r\n", "x".repeat(EXTENSIONS + 1));
    for (text, told) in [
        ("content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", "both Content-Length and Transfer-Encoding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "both Content-Length and Transfer-Encoding"),
        ("content-length: 3\r\ncontent-length: 3\r\n\r\n", "more than one Content-Length"),
        ("content-length: 3, 3\r\n\r\n", "Content-Length is no number"),
        ("content-length: +3\r\n\r\n", "Content-Length is no number"),
        ("content-length:\r\n\r\n", "Content-Length is no number"),
        ("content-length: 99999999999999999999\r\n\r\n", "Content-Length is no number"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", "more than one Transfer-Encoding"),
        ("transfer-encoding: gzip, chunked\r\n\r\n", "unknown here"),
        ("transfer-encoding: identity\r\ncontent-length: 3\r\n\r\n", "unknown here"),
        ("x: a\r\n b\r\n\r\n", "on a second line"),
        ("x : a\r\n\r\n", "between the name of a header and its colon"),
        ("x\0: a\r\n\r\n", "what no name may"),
        (": a\r\n\r\n", "what no name may"),
        ("xa\r\n\r\n", "no colon"),
        ("x: a\n\r\n", "without a carriage return"),
        ("x: a\r\r\n\r\n", "within a line"),
        ("\n", "without a carriage return"),
    ] {
        let (good, why) = judged(&format!("{HEAD}{text}")).unwrap_err();
        assert!(why.contains(told), "{text:?}: {why}");
        assert!(!good.contains("\r\n\r\n") && !good.contains("\n\n"), "{text:?}: no head may be complete: {good:?}");
    }
    for (text, told) in [
        (long.as_str(), "extensions"),
        ("transfer-encoding: chunked\r\n\r\n3\nabc", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n3;x\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n0 \r\n\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n0\t\r\n\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n3;a\0\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3;a=\"b\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3;a=\"\0\"\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3;a=\"b\"c\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3;\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3;a=\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n3; a\r\nabc", "an extension"),
        ("transfer-encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n", "belongs in front"),
        ("transfer-encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "belongs in front"),
        ("transfer-encoding: chunked\r\n\r\n0\r\nhost: x\r\n\r\n", "belongs in front"),
        ("transfer-encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 1\r\n\r\n", "belongs in front"),
        ("transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "a chunk"),
        ("transfer-encoding: chunked\r\n\r\n0\r\nx\n\r\n", "without a carriage return"),
    ] {
        let error = Framing::default().follow(format!("{HEAD}{text}").as_bytes()).unwrap_err();
        assert!(error.why.contains(told) && error.is_begun, "{text:?}: {error:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(parts in proptest::collection::vec("[A-Za-z0-9:;,=\"\\\\ \r\n]{0,12}|\r\n|content-length: 2\r\n|transfer-encoding: chunked\r\n", 0..20)) {
        let _ = judged(&parts.concat());
    }
}
