use proptest::prelude::*;

use super::*;
use crate::task::handler_spec::{OutputMode, ProcessSettings, ResultMode, RetryLater, StdinMode};

fn arg(index: usize, path: &[&str]) -> Piece {
    let mut written = index.to_string();
    path.iter().for_each(|step| written.push_str(&format!(".{step}")));
    Piece::Arg { index, path: path.iter().map(ToString::to_string).collect(), written }
}

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

fn spec(items: Vec<Vec<Piece>>) -> ExecSpec {
    ExecSpec {
        argv: items.into_iter().map(|pieces| Template { pieces }).collect(),
        process: ProcessSettings::default(),
        stdin: StdinMode::Job,
        output: OutputMode::Discard,
        result: ResultMode::Nothing,
        progress: false,
        options_end_from: Some(1),
        allow_dash: false,
        later: RetryLater::default(),
    }
}

fn render(items: Vec<Vec<Piece>>, args: &str) -> Result<Vec<String>, ArgvError> {
    argv(&spec(items), Values { args: args.as_bytes(), id: "1f-0-1-2", queue: "mail" })
}

fn one(piece: Piece, args: &str) -> Result<String, ArgvError> {
    render(vec![vec![piece]], args).map(|mut argv| argv.remove(0))
}

fn error(piece: Piece, args: &str) -> ValueError {
    match one(piece, args) {
        Err(ArgvError::Value { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_go_in_as_the_producer_wrote_them() {
    for (args, expected) in [
        (r#"["it's \"$(quoted)\"\n`x`"]"#, "it's \"$(quoted)\"\n`x`"),
        ("[1.0]", "1.0"),
        ("[1E+2]", "1E+2"),
        ("[12345678901234567890123]", "12345678901234567890123"),
        ("[false]", "false"),
        (r#"[{"a": 1.50 , "b":["\u00fc"]}]"#, r#"{"a": 1.50 , "b":["\u00fc"]}"#),
        ("[[1, 2 ]]", "[1, 2 ]"),
        (r#"["\ud83d\ude00"]"#, "😀"),
        (r#"[""]"#, ""),
    ] {
        assert_eq!(one(arg(0, &[]), args).unwrap(), expected, "{args}");
    }
}

#[test]
fn paths_lead_through_objects_and_arrays() {
    let args = r#"[{"to":{"cities":["a","b"],"0":"zero","a":1,"\u0061":2},"\ud800":1,"last":"x"}, 7]"#;
    assert_eq!(one(arg(0, &["to", "cities", "1"]), args).unwrap(), "b");
    assert_eq!(one(arg(0, &["to", "0"]), args).unwrap(), "zero");
    assert_eq!(one(arg(0, &["to", "a"]), args).unwrap(), "2", "the last of equal members counts");
    assert_eq!(one(arg(0, &["last"]), args).unwrap(), "x");
    assert_eq!(one(arg(1, &[]), args).unwrap(), "7");
    for path in [&["no"][..], &["to", "cities", "2"], &["to", "cities", "01"], &["last", "0"], &["to", "cities", "x"]] {
        assert_eq!(error(arg(0, path), args), ValueError::Missing, "{path:?}");
    }
    assert_eq!(error(arg(2, &[]), args), ValueError::Missing);
}

#[test]
fn text_and_values_share_an_item() {
    let items = vec![
        vec![text("mail")],
        vec![text("--to="), arg(0, &["to"]), text("@"), arg(0, &["host"])],
        vec![Piece::JobId],
        vec![text("q:"), Piece::JobQueue],
        vec![],
    ];
    let argv = render(items, r#"[{"to":"-x","host":"h"}]"#).unwrap();
    assert_eq!(argv, ["mail", "--to=-x@h", "1f-0-1-2", "q:mail", ""]);
}

#[test]
fn unfit_values_are_told_by_name() {
    assert_eq!(error(arg(0, &[]), "[null]"), ValueError::Missing);
    assert_eq!(error(arg(0, &["a"]), r#"[{"a":null}]"#), ValueError::Missing);
    assert_eq!(error(arg(0, &[]), r#"["a\u0000b"]"#), ValueError::Nul);
    assert_eq!(error(arg(0, &[]), r#"["\ud83d"]"#), ValueError::Surrogate);
    assert_eq!(error(arg(0, &[]), r#"["x\udc00y"]"#), ValueError::Surrogate);
    let long = |n: usize| format!("[\"{}\"]", "x".repeat(n));
    assert_eq!(one(arg(0, &[]), &long(ITEM_CAP)).unwrap().len(), ITEM_CAP);
    assert_eq!(error(arg(0, &[]), &long(ITEM_CAP + 1)), ValueError::Long(ITEM_CAP + 1));
    let error = one(arg(0, &["to"]), "[{}]").unwrap_err();
    assert_eq!(error.to_string(), "placeholder {0.to}: the job's arguments hold no value for it");
    for bad in ["", "{}", "[1", "nope", "[1] 2", "[\"\n\"]"] {
        assert_eq!(one(arg(0, &[]), bad), Err(ArgvError::Args), "{bad:?}");
    }
    // Arguments that no placeholder uses do not matter.
    assert!(render(vec![vec![text("x")]], "nope").is_ok());
    let strange = Values { args: b"[]", id: "a\0b", queue: "-q" };
    for piece in [Piece::JobId, Piece::JobQueue] {
        assert!(argv(&spec(vec![vec![piece]]), strange).is_err());
    }
}

#[test]
fn a_value_cannot_become_an_option() {
    let dash = r#"["-rf", "--", ""]"#;
    let program = || vec![text("rm")];
    for items in [
        vec![program(), vec![arg(0, &[])]],
        vec![program(), vec![text(""), arg(0, &[])]],
        vec![program(), vec![arg(2, &[]), arg(0, &[])]],
        // What follows the value does not help, and what a value leaves empty does not either.
        vec![program(), vec![arg(0, &[]), text(".png")]],
        vec![program(), vec![arg(2, &[]), text("-rf")]],
        vec![program(), vec![arg(2, &[]), text("-"), arg(0, &[])]],
        // A value cannot end the options either.
        vec![program(), vec![arg(1, &[])], vec![arg(0, &[])]],
        // Later items do not help.
        vec![program(), vec![arg(0, &[])], vec![text("--")]],
    ] {
        let error = render(items, dash).unwrap_err();
        assert!(matches!(error, ArgvError::Value { error: ValueError::Dash, .. }), "{error}");
    }
    assert_eq!(error(arg(0, &[]), "[-5]"), ValueError::Dash);
    assert_eq!(render(vec![program(), vec![text("--")], vec![arg(0, &[])]], dash).unwrap(), ["rm", "--", "-rf"]);
    assert_eq!(render(vec![program(), vec![text("./"), arg(0, &[])]], dash).unwrap(), ["rm", "./-rf"]);
    let values = Values { args: dash.as_bytes(), id: "", queue: "-x" };
    let of_queue = vec![vec![text("rm")], vec![Piece::JobQueue, text(".log")]];
    assert!(argv(&spec(of_queue), values).is_err());
    // The dashes of a program that runs the one with the value end nothing, and some programs' never do.
    let items = || vec![program(), vec![text("--")], vec![text("rm")], vec![arg(0, &[])]];
    for options_end_from in [Some(3), None] {
        assert!(argv(&ExecSpec { options_end_from, ..spec(items()) }, values).is_err());
    }
    let allowed = ExecSpec { allow_dash: true, ..spec(vec![vec![arg(0, &[])]]) };
    assert_eq!(argv(&allowed, Values { args: dash.as_bytes(), id: "", queue: "" }).unwrap(), ["-rf"]);
}

proptest! {
    #[test]
    fn any_string_goes_through_unchanged_or_is_refused(value in any::<String>()) {
        let args = serde_json::to_string(&[&value]).unwrap();
        let fit = !value.contains('\0') && !value.starts_with('-');
        match one(arg(0, &[]), &args) {
            Ok(item) => prop_assert!(fit && item == value),
            Err(error) => prop_assert!(!fit, "{error}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(args in any::<Vec<u8>>(), step in any::<String>()) {
        let piece = Piece::Arg { index: 0, path: vec![step], written: String::new() };
        let _ = argv(&spec(vec![vec![piece]]), Values { args: &args, id: "", queue: "" });
    }
}
